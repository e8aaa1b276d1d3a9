# SPDX-License-Identifier: Apache-2.0
"""The way back to a root token, walked with the runbook's own words on the role's own node."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
from cryptography.hazmat.primitives import serialization
from module_lab import (
    BIN,
    PROJECT,
    Ansible,
    Server,
    free_port,
    listens,
    make_authority,
    write_leaf,
)

RUNBOOK = PROJECT / "docs" / "runbooks" / "openbao-away.md"
TEMPLATE = PROJECT / "roles" / "openbao" / "templates" / "config.hcl.j2"
MARK = "<!-- walked by a test: recovery -->"


def commands() -> str:
    """Return the block of the page that follows the mark."""
    text = RUNBOOK.read_text(encoding="utf-8")
    found = re.match(r"\n```sh\n(.*?)```", text[text.index(MARK) + len(MARK) :], re.DOTALL)
    assert found is not None
    return found[1]


def configuration(folder: Path, port: int) -> str:
    """Return what the role writes for a single node."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701  # HCL, as the role renders it
    environment.filters["to_json"] = json.dumps
    node = {"name": "openbao-1", "host": "127.0.0.1", "port": port, "cluster_port": free_port()}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        node=node,
        openbao_servers=[node],
        openbao_dir=str(folder / "authority"),
        openbao_log_level="warn",
        __openbao_tls=str(folder / "authority" / "tls"),
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The state directory of a platform with one running node, and the node's address."""
    authority = tmp_path / "authority"
    for name in ("tls", "admin", "openbao-1/raft"):
        (authority / name).mkdir(parents=True)
    issuer = make_authority("openbao CA")
    pem = issuer.certificate.public_bytes(serialization.Encoding.PEM)
    (authority / "tls" / "ca.crt").write_bytes(pem)
    write_leaf(authority / "tls", "openbao-1", issuer)
    (authority / "unseal.key").write_bytes(secrets.token_bytes(32))
    port = free_port()
    config = authority / "openbao-1" / "config.hcl"
    config.write_text(configuration(tmp_path, port), encoding="utf-8")
    command = [str(BIN / "bao"), "server", f"-config={config}"]
    server = Server(command, authority / "openbao-1.log")
    before = os.umask(0o077)  # that of the role's supervisord
    try:
        server.start(lambda: listens(port))
    finally:
        os.umask(before)
    yield tmp_path, f"https://127.0.0.1:{port}"
    server.stop()


def bao(
    state: Path, address: str, *arguments: str, token: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(state),
        "BAO_ADDR": address,
        "BAO_CACERT": str(state / "authority" / "tls" / "ca.crt"),
        **({"BAO_TOKEN": token} if token else {}),
    }
    return subprocess.run(
        [BIN / "bao", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def bao_shares(state: Path, count: int) -> subprocess.CompletedProcess[str]:
    """Try with some of the shares only."""
    admin = state / "authority" / "admin"
    kept = json.loads((admin / "recovery-keys.json").read_text(encoding="utf-8"))
    some = {"recovery_keys_base64": kept["recovery_keys_base64"][:count]}
    (state / "some.json").write_text(json.dumps(some), encoding="utf-8")
    command = [BIN / "securetransport", "admin", "root-token", "--out", state / "token"]
    socket = state / "authority" / "openbao-1.sock"
    return subprocess.run(
        [*command, "--socket", socket, "--shares", state / "some.json"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_recovery_keys_make_a_root_token_again(ansible: Ansible, state: tuple[Path, str]) -> None:
    folder, address = state
    admin = folder / "authority" / "admin"
    options = {
        "address": [address],
        "ca_file": str(folder / "authority" / "tls" / "ca.crt"),
        "recovery_keys_file": str(admin / "recovery-keys.json"),
        "root_token_file": str(admin / "root-token"),
        "recovery_shares": 5,
        "recovery_threshold": 3,
    }
    (made,) = ansible.run([("openbao_init", options, False)])
    assert made.get("changed") is True, made
    first = (admin / "root-token").read_text(encoding="utf-8").strip()
    assert bao(folder, address, "token", "revoke", "-self", token=first).returncode == 0
    (admin / "root-token").unlink()

    refused = bao(folder, address, "write", "-force", "sys/generate-root/attempt")
    assert refused.returncode != 0, "over TCP nobody may begin without a token"

    few = bao_shares(folder, 2)
    assert few.returncode == 1
    assert few.stderr == "securetransport: more recovery keys are needed (needed=3)\n"

    walked = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", commands()],
        cwd=folder,
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "S": str(folder)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert walked.returncode == 0, walked.stderr
    assert (admin / "root-token").stat().st_mode & 0o077 == 0
    assert (folder / "authority" / "openbao-1.sock").stat().st_mode & 0o077 == 0
    token = (admin / "root-token").read_text(encoding="utf-8").strip()
    assert token not in walked.stdout + walked.stderr
    looked = bao(folder, address, "token", "lookup", "-format=json", token=token)
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["data"]["policies"] == ["root"]

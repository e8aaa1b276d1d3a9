# SPDX-License-Identifier: Apache-2.0
"""Modules for OpenBao as a whole: first initialisation, audit, the end of a token, failures."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import requests
from conftest import OpenBaoLab
from module_lab import BIN, Ansible, OpenBaoNode, Server, free_port, listens, make_authority


def test_init_changes_once_and_leaves_the_secrets_in_their_files(openbao: OpenBaoLab) -> None:
    assert [result["changed"] for result in openbao.initialised] == [True, True, False, False]
    assert not any(result.get("failed") for result in openbao.initialised)
    kept = json.loads((openbao.folder / "recovery-keys.json").read_text())
    assert (kept["threshold"], len(kept["recovery_keys_base64"])) == (2, 3)
    token = (openbao.folder / "root-token").read_text()
    said = json.dumps(openbao.initialised)
    assert not any(secret in said for secret in (token, *kept["recovery_keys_base64"]))
    for name in ("recovery-keys.json", "root-token"):
        assert stat.S_IMODE((openbao.folder / name).stat().st_mode) == 0o600
    assert _states(openbao) == {200, 429}


def test_init_is_refused_when_a_node_is_silent_or_a_file_is_in_the_way(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    node = OpenBaoNode(openbao.folder, "fresh")
    server = node.server()
    server.start(lambda: listens(node.port))
    try:
        in_the_way = {
            "address": node.address,
            "ca_file": str(openbao.folder / "ca.crt"),
            "recovery_keys_file": str(openbao.folder / "fresh-keys.json"),
            "root_token_file": str(openbao.folder / "root-token"),
            "timeout": 1,
        }
        silent = {
            **in_the_way,
            "address": [node.address, f"https://127.0.0.1:{free_port()}"],
            "root_token_file": str(openbao.folder / "fresh-token"),
        }
        results = ansible.run(
            [("openbao_init", in_the_way, False), ("openbao_init", silent, False)]
        )
    finally:
        server.stop()
    assert "root-token is there although OpenBao is not initialised" in results[0]["msg"]
    assert "a node that does not answer could be" in results[1]["msg"]
    assert not (openbao.folder / "fresh-keys.json").exists()


def test_every_node_of_the_cluster_votes(ansible: Ansible, openbao: OpenBaoLab) -> None:
    calm = openbao.options(nodes=2, stabilization_seconds=3)
    quick = openbao.options(nodes=2, stabilization_seconds=1)
    ansible.walk("openbao_raft", [(calm, True), (calm, False), (quick, True), (quick, False)])
    assert len(ansible.one("openbao_raft", quick)["voters"]) == 2


def test_too_few_voters_are_an_error_that_counts_them(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    refused = ansible.one("openbao_raft", openbao.options(nodes=3, timeout=1))
    assert "2 of 3 nodes vote" in refused["msg"]


def test_audit_device_is_enabled_checked_and_disabled(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    log = openbao.folder / "audit.log"
    base = openbao.options(path="walk", type="file", options={"file_path": str(log)})
    ansible.walk("openbao_audit", [(base, True), (base, False)])
    assert log.exists()
    other = {**base, "options": {"file_path": str(openbao.folder / "other.log")}}
    refused = ansible.one("openbao_audit", other, check=True)
    assert "options.file_path" in refused["msg"]
    gone = openbao.options(path="walk", state="absent")
    ansible.walk("openbao_audit", [(gone, True), (gone, False)])


def test_audit_device_that_the_server_takes_from_its_configuration_only_names_the_remedy(
    ansible: Ansible, tmp_path: Path
) -> None:
    port = free_port()
    token = tmp_path / "token"
    token.write_text("dev-only")
    command = [
        str(BIN / "bao"), "server", "-dev-tls", f"-dev-tls-cert-dir={tmp_path}",
        "-dev-no-store-token", "-dev-root-token-id=dev-only",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    server = Server(command, tmp_path / "log")
    server.start(lambda: listens(port))
    try:
        ca_file = next(tmp_path.glob("*ca.pem"))
        refused = ansible.one(
            "openbao_audit",
            {
                "address": f"https://127.0.0.1:{port}",
                "ca_file": str(ca_file),
                "token_file": str(token),
                "path": "file",
                "type": "file",
                "options": {"file_path": str(tmp_path / "audit.log")},
            },
        )
    finally:
        server.stop()
    assert 'stanza audit "<type>" "file"' in refused["msg"]


def test_token_is_revoked_and_its_file_removed(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    made = openbao.client.write_data("auth/token/create", data={"policies": ["default"]})["auth"]
    path.write_text(made["client_token"])
    options = {**openbao.connection, "token_file": str(path)}
    ansible.walk("openbao_token_revoke", [(options, True), (options, False)])
    assert not path.exists()
    assert made["accessor"] not in openbao.client.list("auth/token/accessors")["data"]["keys"]
    path.write_text(made["client_token"])
    ansible.walk("openbao_token_revoke", [(options, True), (options, False)])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"address": "http://127.0.0.1:8200"}, "must begin with https://"),
        ({"address": "https://127.0.0.1:9", "timeout": 2}, "Connection refused"),
        ({"ca_file": "/nonexistent"}, "ca_file: /nonexistent does not exist"),
        ({"ca_file": "@wrong"}, "its certificate is not accepted with ca_file"),
        ({"token_file": "/nonexistent"}, "token_file: cannot read /nonexistent"),
        ({"token_file": "@wrong"}, "the token is not valid or its policies do not allow this"),
        ({"path": "../sys"}, "is not a path"),
        ({"max_lease_ttl": "ten days"}, "max_lease_ttl: 'ten days' is not a duration"),
    ],
)
def test_mistakes_are_told_in_one_line(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path, change: dict[str, str], text: str
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(_another_ca() if "ca_file" in change else b"not-a-token")
    named = {key: str(wrong) if value == "@wrong" else value for key, value in change.items()}
    options = {**openbao.options(path="secret", type="kv"), **named}
    failure = ansible.one("openbao_mount", options)
    assert failure["failed"]
    assert text in failure["msg"], failure["msg"]
    assert "\n" not in failure["msg"]


def _another_ca() -> bytes:
    return make_authority("another").pem


def _states(openbao: OpenBaoLab) -> set[int]:
    return {
        requests.get(
            f"{node.address}/v1/sys/health", verify=str(openbao.folder / "ca.crt"), timeout=5
        ).status_code
        for node in openbao.nodes
    }

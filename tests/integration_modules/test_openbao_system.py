# SPDX-License-Identifier: Apache-2.0
"""Modules for OpenBao as a whole: first initialisation, votes, the end of a token, failures."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import requests
from conftest import OpenBaoLab
from module_lab import Ansible, OpenBaoNode, free_port, listens, make_authority


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


@pytest.mark.parametrize("is_check", [True, False])
def test_init_that_can_never_be_opened_is_refused_before_anything_is_asked(
    ansible: Ansible, openbao: OpenBaoLab, is_check: bool
) -> None:
    options = {
        **openbao.connection,
        "recovery_keys_file": str(openbao.folder / "never.json"),
        "root_token_file": str(openbao.folder / "never"),
        "recovery_shares": 3,
        "recovery_threshold": 4,
    }
    refused = ansible.one("openbao_init", options, check=is_check)
    assert refused["msg"] == "recovery_threshold: 4 is not between 1 and 3"


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
        ({"address": "https://127.0.0.1:99999"}, "address: 'https://127.0.0.1:99999' must"),
        ({"address": "https://a:b@127.0.0.1:8200"}, "must begin with https://"),
        ({"timeout": 0}, "timeout: 0 is not between 1 and 3600"),
        ({"address": "https://127.0.0.1:9", "timeout": 2}, "Connection refused"),
        ({"ca_file": "/nonexistent"}, "ca_file: /nonexistent does not exist"),
        ({"ca_file": "@wrong"}, "its certificate is not accepted with ca_file"),
        ({"ca_file": "@latin-1"}, "its certificate is not accepted with ca_file"),
        ({"token_file": "/nonexistent"}, "token_file: /nonexistent does not exist"),
        ({"token_file": "@wrong"}, "the token is not valid or its policies do not allow this"),
        ({"token_file": "@latin-1"}, "latin-1 is not text in UTF-8"),
        ({"token_file": "@two-lines"}, "holds something else than one token or id"),
        ({"token_file": "@umlaut"}, "holds something else than one token or id"),
        ({"token_file": "/"}, "token_file: cannot read /"),
        ({"path": "../sys"}, "is not a path"),
        ({"max_lease_ttl": "ten days"}, "max_lease_ttl: 'ten days' is not a duration"),
        ({"max_lease_ttl": "²"}, "max_lease_ttl: '²' is not a duration"),
        ({"max_lease_ttl": "1" + "0" * 15}, "is longer than a hundred years"),
    ],
)
def test_mistakes_are_told_in_one_line(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path, change: dict[str, str], text: str
) -> None:
    (tmp_path / "wrong").write_bytes(_another_ca() if "ca_file" in change else b"not-a-token")
    (tmp_path / "latin-1").write_bytes("gärtner".encode("latin-1"))
    (tmp_path / "umlaut").write_text("gärtner", encoding="utf-8")
    (tmp_path / "two-lines").write_text("one\ntwo")
    named = {
        key: str(tmp_path / value[1:]) if str(value).startswith("@") else value
        for key, value in change.items()
    }
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

# SPDX-License-Identifier: Apache-2.0
"""Modules that do for a whole compiled ACL what the others do for one object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import NatsLab, OpenBaoLab
from module_lab import Ansible
from test_acl import ACL

WITHOUT_CONTROLLER = ACL.replace("controller:\n", "reader:\n").replace("durable: c", "durable: c")


@pytest.fixture
def engines(ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path) -> dict[str, Any]:
    """Options of ``openbao_engines``, and the auth method that rights need."""
    ansible.one("openbao_mount", openbao.options(kind="auth", path="approle", type="approle"))
    return {
        **openbao.access,
        "mounts": [
            {"path": "batch-pki", "type": "pki", "max_lease_ttl": "87600h"},
            {"path": "transit", "type": "transit"},
            {"path": "nats_int", "type": "pki"},
        ],
        "root": {"mount": "batch-pki", "common_name": "batch root"},
        "signing_keys": ["authority-signing", "authority-root"],
        "keys_file": str(tmp_path / "authority-keys.json"),
    }


def compiled(ansible: Ansible, folder: Path, text: str) -> dict[str, Any]:
    """Return what ``acl_info`` makes of an ACL."""
    (folder / "acl.yml").write_text(text)
    return ansible.one(
        "acl_info",
        {"acl_file": str(folder / "acl.yml"), "profile": "compressed", "replicas": 1},
    )


def test_rights_follow_the_acl_in_both_directions(
    ansible: Ansible, openbao: OpenBaoLab, engines: dict[str, Any], tmp_path: Path
) -> None:
    ansible.run([("openbao_engines", engines, False)])
    again = ansible.run([("openbao_engines", engines, is_check) for is_check in (True, False)])
    assert [result["changed"] for result in again] == [False, False]

    def rights(text: str) -> dict[str, Any]:
        plan = compiled(ansible, tmp_path, text)
        parts = ("policies", "approles", "pki_roles", "transit_keys")
        return openbao.options(**{part: plan[part] for part in parts}, spared=["spared"])

    spared = openbao.options(name="spared", policy="# somebody else's")
    ansible.one("openbao_policy", spared)
    ansible.one("openbao_policy", openbao.options(name="left-over", policy="# nobody's"))
    first, second = rights(ACL), rights(WITHOUT_CONTROLLER)
    results = ansible.walk(
        "openbao_rights", [(first, True), (first, False), (second, True), (second, False)]
    )
    assert "AppRole controller--0" in results[2]["changed_objects"]
    left = set(openbao.client.list("sys/policies/acl")["data"]["keys"])
    assert {"spared", "reader", "reader--0", "default"} <= left
    assert not {"controller", "controller--0", "left-over"} & left
    assert "controller--0" not in openbao.client.list("auth/approle/role")["data"]["keys"]
    assert "controller--0" not in openbao.client.list("nats_int/roles")["data"]["keys"]
    assert "svc-controller" in openbao.client.list("transit/keys")["data"]["keys"]


def test_credentials_of_several_roles_are_delivered_once(
    ansible: Ansible, openbao: OpenBaoLab, engines: dict[str, Any], tmp_path: Path
) -> None:
    assert engines
    entries = []
    for name in ("batch-a", "batch-b"):
        ansible.one("openbao_approle", openbao.options(name=name, token_policies=[name]))
        entries.append(
            {
                "name": name,
                "role_id_dest": str(tmp_path / f"{name}.role"),
                "secret_id_dest": str(tmp_path / f"{name}.secret"),
            }
        )
    options = openbao.options(credentials=entries)
    ansible.walk("openbao_credentials", [(options, True), (options, False)])
    (tmp_path / "batch-b.secret").unlink()
    ansible.walk("openbao_credentials", [(options, True), (options, False)])


def test_streams_and_durables_of_an_acl_are_made_together(
    ansible: Ansible, nats: NatsLab, tmp_path: Path
) -> None:
    def layout(text: str) -> dict[str, Any]:
        plan = compiled(ansible, tmp_path, text)
        return {**nats.connection, "streams": plan["streams"], "consumers": plan["consumers"]}

    first = layout(ACL)
    second = layout(ACL.replace("max_bytes: 1048576", "max_bytes: 2097152"))
    results = ansible.walk(
        "nats_layout", [(first, True), (first, False), (second, True), (second, False)]
    )
    assert results[2]["changed_objects"] == ["stream AUTH_STREAM"]

# SPDX-License-Identifier: Apache-2.0
"""Modules for mounts, rights, PKI and keys of OpenBao, against a real cluster."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenBaoLab
from module_lab import Ansible

from securetransport.core.formats.documents import AuthorityKeys


def test_mount_is_made_tuned_and_removed(ansible: Ansible, openbao: OpenBaoLab) -> None:
    base = openbao.options(path="walk-kv", type="kv", kv_cas_required=True)
    longer = {**base, "max_lease_ttl": "10d", "description": "walk"}
    ansible.walk("openbao_mount", [(base, True), (base, False), (longer, True), (longer, False)])
    entry = openbao.client.read("sys/mounts")["data"]["walk-kv/"]
    assert entry["config"]["max_lease_ttl"] == 864000
    assert openbao.client.read("walk-kv/config")["data"]["cas_required"] is True
    gone = openbao.options(path="walk-kv", state="absent")
    ansible.walk("openbao_mount", [(gone, True), (gone, False)])
    assert "walk-kv/" not in openbao.client.read("sys/mounts")["data"]


def test_auth_method_is_a_mount_too_and_another_type_is_refused(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    base = openbao.options(kind="auth", path="walk-approle", type="approle")
    gone = openbao.options(kind="auth", path="walk-approle", state="absent")
    ansible.walk("openbao_mount", [(base, True), (base, False)])
    refused = ansible.one("openbao_mount", {**base, "type": "userpass"}, check=True)
    assert refused["failed"]
    assert "type is 'approle' and cannot be changed" in refused["msg"]
    ansible.walk("openbao_mount", [(gone, True), (gone, False)])


def test_policy_has_exactly_the_text_given(ansible: Ansible, openbao: OpenBaoLab) -> None:
    def policy(word: str) -> str:
        return f'path "secret/data/walk" {{ capabilities = ["{word}"] }}'

    first = openbao.options(name="walk", policy=policy("read"))
    spaced = openbao.options(name="walk", policy="\n" + policy("read") + "\n\n")
    second = openbao.options(name="walk", policy=policy("list"))
    gone = openbao.options(name="walk", state="absent")
    results = ansible.walk(
        "openbao_policy",
        [
            (first, True),
            (spaced, False),
            (second, True),
            (second, False),
            (gone, True),
            (gone, False),
        ],
    )
    assert results[2]["diff"] == {"before": policy("read") + "\n", "after": policy("list") + "\n"}


def test_approle_options_that_are_not_given_are_put_back(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    _enable_approle(ansible, openbao)
    first = {**openbao.access, "name": "walk", "token_policies": ["b", "a"], "token_ttl": "20m"}
    second = {**openbao.access, "name": "walk", "token_policies": ["a"], "token_ttl": 60}
    ansible.walk(
        "openbao_approle", [(first, True), (first, False), (second, True), (second, False)]
    )
    # A right added by hand is drift, also in a field that the task does not name.
    openbao.client.write_data("auth/approle/role/walk", data={"secret_id_num_uses": 5})
    results = ansible.walk("openbao_approle", [(second, True), (second, False)])
    assert results[0]["diff"] == {
        "before": {"secret_id_num_uses": 5},
        "after": {"secret_id_num_uses": 0},
    }
    gone = openbao.options(name="walk", state="absent")
    ansible.walk("openbao_approle", [(gone, True), (gone, False)])


def test_secret_id_goes_into_its_file_only(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    _enable_approle(ansible, openbao)
    role = openbao.options(name="deliver", token_policies=["default"])
    base = openbao.options(
        name="deliver",
        role_id_dest=str(tmp_path / "role-id"),
        secret_id_dest=str(tmp_path / "secret-id"),
    )
    missing = ansible.one("openbao_approle_secret_id", base)
    assert "there is no AppRole 'deliver'" in missing["msg"]
    ansible.one("openbao_approle", role)
    results = ansible.walk("openbao_approle_secret_id", [(base, True), (base, False)])
    first = (tmp_path / "secret-id").read_text()
    role_id = (tmp_path / "role-id").read_text()
    for name in ("role-id", "secret-id"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert first not in json.dumps(results)
    assert role_id not in json.dumps(results)
    # The delivered pair logs in, and modules accept it in place of a token.
    by_role = {
        **openbao.connection,
        "role_id_file": str(tmp_path / "role-id"),
        "secret_id_file": str(tmp_path / "secret-id"),
    }
    denied = ansible.one("openbao_policy", {**by_role, "name": "walk", "policy": "# nothing"})
    assert "denies sys/policies/acl/walk" in denied["msg"]
    accessors = openbao.client.list("auth/token/accessors")["data"]["keys"]
    assert len(accessors) == 1, "the module's own token must be revoked at its end"

    forced = {**base, "force": True}
    ansible.walk("openbao_approle_secret_id", [(forced, True)])
    second = (tmp_path / "secret-id").read_text()
    assert second != first
    assert not _is_known(openbao, first)
    assert _is_known(openbao, second)
    # One that is over is found by a login and replaced; it was kept for ever.
    path = "auth/approle/role/deliver/secret-id/destroy"
    openbao.client.write_data(path, data={"secret_id": second})
    ansible.walk("openbao_approle_secret_id", [(base, True), (base, False)])
    assert _is_known(openbao, (tmp_path / "secret-id").read_text())
    (tmp_path / "secret-id").chmod(0o644)
    ansible.walk("openbao_approle_secret_id", [(base, True), (base, False)])
    # A role made anew has another role-id: what the files hold is of an earlier installation.
    ansible.one("openbao_approle", {**role, "state": "absent"})
    ansible.one("openbao_approle", role)
    ansible.walk("openbao_approle_secret_id", [(base, True), (base, False)])
    third = (tmp_path / "secret-id").read_text()
    assert _is_known(openbao, third)
    gone = {**base, "state": "absent"}
    ansible.walk("openbao_approle_secret_id", [(gone, True), (gone, False)])
    assert not _is_known(openbao, third)


def test_a_role_that_takes_no_fresh_secret_id_is_told(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    _enable_approle(ansible, openbao)
    far = openbao.options(name="far", secret_id_bound_cidrs=["192.0.2.0/24"])
    assert not ansible.one("openbao_approle", far).get("failed")
    options = openbao.options(
        name="far",
        role_id_dest=str(tmp_path / "role-id"),
        secret_id_dest=str(tmp_path / "secret-id"),
    )
    refused = ansible.one("openbao_approle_secret_id", options)
    assert "refuses even a fresh secret-id of 'far'" in refused["msg"]
    assert not (tmp_path / "secret-id").exists()


def test_the_lock_out_of_a_method_is_switched_off_and_on(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    _enable_approle(ansible, openbao)
    method = {"kind": "auth", "path": "approle", "type": "approle"}
    off = openbao.options(**method, user_lockout=False)
    on = openbao.options(**method, user_lockout=True)
    ansible.walk("openbao_mount", [(off, True), (off, False), (on, True), (on, False)])


def engines(openbao: OpenBaoLab, mount: str, keys_file: Path, **changes: Any) -> dict[str, Any]:
    """Return options of ``openbao_engines`` with a PKI mount and transit of their own."""
    options = openbao.options(
        mounts=[
            {"path": mount, "type": "pki", "max_lease_ttl": "87600h"},
            {"path": "transit", "type": "transit"},
        ],
        root={"mount": mount, "common_name": "test root"},
        signing_keys=[],
        keys_file=str(keys_file),
    )
    return {**options, **changes}


def rights(openbao: OpenBaoLab, **parts: Any) -> dict[str, Any]:
    """Return options of ``openbao_rights`` that leave alone what other tests made."""
    compiled: dict[str, Any] = {"policies": [], "approles": [], "pki_roles": [], "transit_keys": []}
    return openbao.options(**{**compiled, **parts})


def test_root_is_adopted_and_a_second_one_is_refused(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    base = engines(openbao, "walk-pki", tmp_path / "keys.json")
    short = {**base, "mounts": [{"path": "walk-pki", "type": "pki", "max_lease_ttl": "10d"}]}
    assert "tune max_lease_ttl of the mount first" in ansible.one("openbao_engines", short)["msg"]
    renamed = {**base, "root": {**base["root"], "issuer_name": "anchor"}}
    results = ansible.walk(
        "openbao_engines", [(base, True), (base, False), (renamed, True), (renamed, False)]
    )
    assert "root test root" in results[0]["changed_objects"]
    assert results[2]["diff"]["after"] == {"root test root": {"issuer_name": "anchor"}}
    assert len(openbao.client.list("walk-pki/issuers")["data"]["keys"]) == 1
    issuer = openbao.client.read("walk-pki/issuer/anchor")["data"]
    assert issuer["leaf_not_after_behavior"] == "err"
    assert "issuing-certificates" in issuer["usage"]
    other = {**base, "root": {**base["root"], "common_name": "another root"}}
    for is_check in (True, False):
        refused = ansible.one("openbao_engines", other, check=is_check)
        assert "a second root is not made" in refused["msg"]
    assert len(openbao.client.list("walk-pki/issuers")["data"]["keys"]) == 1


def test_engine_that_cannot_be_changed_is_an_error_before_anything_changes(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    base = engines(openbao, "walk-first", tmp_path / "keys.json")
    ansible.one("openbao_mount", openbao.options(path="walk-taken", type="kv"))
    taken = {**base, "mounts": [*base["mounts"], {"path": "walk-taken", "type": "transit"}]}
    refused = ansible.one("openbao_engines", taken)
    assert refused["msg"].startswith("mount walk-taken: mount walk-taken: type is 'kv' and cannot")
    assert "walk-first/" not in openbao.client.read("sys/mounts")["data"]


def test_pki_role_has_the_strictest_value_where_nothing_is_said(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    ansible.one("openbao_mount", openbao.options(path="walk-roles", type="pki"))
    _enable_approle(ansible, openbao)
    parameters = {
        "allowed_uri_sans": "spiffe://test.local/gatekeeper",
        "allowed_domains": ["gatekeeper/*"],
        "allow_glob_domains": True,
        "enforce_hostnames": "false",
        "max_ttl": "90s",
    }

    def role(**changes: Any) -> dict[str, Any]:
        entry = {
            "name": "gatekeeper",
            "mount": "walk-roles",
            "parameters": {**parameters, **changes},
        }
        return rights(openbao, pki_roles=[entry], pki_mount="walk-roles")

    ansible.run([("openbao_rights", rights(openbao, pki_mount="walk-roles"), False)])
    first, second = role(), role(max_ttl=120)
    results = ansible.walk(
        "openbao_rights", [(first, True), (first, False), (second, True), (second, False)]
    )
    what = "PKI role gatekeeper"
    assert results[2]["diff"] == {
        "before": {what: {"max_ttl": 90}},
        "after": {what: {"max_ttl": 120}},
    }
    kept = openbao.client.read("walk-roles/roles/gatekeeper")["data"]
    for right in ("allow_localhost", "allow_ip_sans", "allow_wildcard_certificates", "server_flag"):
        assert kept[right] is False
    assert kept["not_after_bound"] == "forbid"
    openbao.client.write_data("walk-roles/roles/gatekeeper", data={**kept, "allow_any_name": True})
    drift = ansible.walk("openbao_rights", [(second, True), (second, False)])
    assert drift[0]["diff"]["after"] == {what: {"allow_any_name": False}}
    gone = rights(openbao, pki_mount="walk-roles")
    ansible.walk("openbao_rights", [(gone, True), (gone, False)])


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (
            {"pki_roles": [{"name": "x", "mount": "m", "parameters": {"alowed_domains": []}}]},
            "PKI role x: a PKI role has no alowed_domains",
        ),
        (
            {"approles": [{"name": "x", "parameters": {"token_polices": []}}]},
            "AppRole x: an AppRole has no token_polices",
        ),
        (
            {"approles": [{"name": "x", "parameters": {"bind_secret_id": "perhaps"}}]},
            "bind_secret_id: 'perhaps' is neither true nor false",
        ),
        ({"approles": [{"name": "../x", "parameters": {}}]}, "name: '../x' is not a path"),
        ({"policies": [{"policy": ""}]}, "missing required arguments: name found in policies"),
    ],
)
def test_right_that_cannot_be_is_refused_before_anything_changes(
    ansible: Ansible, openbao: OpenBaoLab, parts: dict[str, Any], text: str
) -> None:
    # The policy comes first and could be made; it must not be.
    first = [{"name": "never-made", "policy": "# nothing"}]
    options = rights(openbao, **{**parts, "policies": [*first, *parts.get("policies", [])]})
    for is_check in (True, False):
        failure = ansible.one("openbao_rights", options, check=is_check)
        assert text in failure["msg"], failure["msg"]
        assert "\n" not in failure["msg"]
    assert "never-made" not in openbao.client.list("sys/policies/acl")["data"]["keys"]


def test_signing_key_stays_home_and_publishes_its_public_part(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    keys_file = tmp_path / "authority-keys.json"
    base = engines(openbao, "walk-keys", keys_file, signing_keys=["walk-sign"])
    both = {**base, "signing_keys": ["walk-sign", "walk-root"]}
    ansible.walk("openbao_engines", [(base, True), (base, False), (both, True), (both, False)])
    openbao.client.write_data("transit/keys/walk-sign/rotate", data={})
    results = ansible.walk("openbao_engines", [(both, True), (both, False)])
    assert results[0]["changed_objects"] == ["transit key walk-sign"]
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o644
    pinned = AuthorityKeys.from_json(keys_file.read_text())
    assert set(pinned.keys) == {"walk-root:v1", "walk-sign:v1", "walk-sign:v2"}
    # What would let a key out or away is taken back; a key that could get out is refused.
    by_hand = {"deletion_allowed": True, "auto_rotate_period": "24h"}
    openbao.client.write_data("transit/keys/walk-sign/config", data=by_hand)
    results = ansible.walk("openbao_engines", [(both, True), (both, False)])
    after = results[0]["diff"]["after"]["transit key walk-sign"]
    assert after == {"deletion_allowed": False, "auto_rotate_period": 0}
    other = ansible.one("openbao_engines", {**both, "signing_key_type": "mldsa-87"})
    assert "type is 'mldsa-65' and cannot be changed" in other["msg"]
    openbao.client.write_data(
        "transit/keys/walk-loose", data={"type": "aes256-gcm96", "exportable": True}
    )
    loose = rights(openbao, transit_keys=[{"name": "walk-loose", "type": "aes256-gcm96"}])
    refused = ansible.one("openbao_rights", loose, check=True)
    assert "exportable is True and cannot be changed to False" in refused["msg"]


def test_keys_file_that_is_something_else_is_refused_before_anything_changes(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text("{}")
    options = engines(openbao, "walk-late", tmp_path / "keys.json", signing_keys=["walk-late"])
    refused = ansible.one("openbao_engines", options)
    assert "keys_file: " in refused["msg"]
    assert "walk-late/" not in openbao.client.read("sys/mounts")["data"]


def _enable_approle(ansible: Ansible, openbao: OpenBaoLab) -> None:
    options = openbao.options(kind="auth", path="approle", type="approle")
    assert not ansible.one("openbao_mount", options).get("failed")


def _is_known(openbao: OpenBaoLab, secret_id: str) -> bool:
    answer = openbao.client.write_data(
        "auth/approle/role/deliver/secret-id/lookup", data={"secret_id": secret_id}
    )
    return isinstance(answer, dict) and bool(answer.get("data"))

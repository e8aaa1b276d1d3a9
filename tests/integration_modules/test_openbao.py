# SPDX-License-Identifier: Apache-2.0
"""Modules for mounts, rights, PKI and keys of OpenBao, against a real cluster."""

from __future__ import annotations

import json
import stat
from pathlib import Path

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


def test_root_is_adopted_and_a_second_one_is_refused(ansible: Ansible, openbao: OpenBaoLab) -> None:
    base = openbao.options(mount="walk-pki", common_name="test root")
    mount = openbao.options(path="walk-pki", type="pki")
    ansible.one("openbao_mount", mount)
    short = ansible.one("openbao_pki_root", base)
    assert "tune max_lease_ttl of the mount first" in short["msg"]
    ansible.one("openbao_mount", {**mount, "max_lease_ttl": "87600h"})
    renamed = {**base, "issuer_name": "anchor"}
    results = ansible.walk(
        "openbao_pki_root", [(base, True), (base, False), (renamed, True), (renamed, False)]
    )
    assert {result["fingerprint"] for result in results} == {results[0]["fingerprint"]}
    assert len(openbao.client.list("walk-pki/issuers")["data"]["keys"]) == 1
    issuer = openbao.client.read("walk-pki/issuer/anchor")["data"]
    assert issuer["leaf_not_after_behavior"] == "err"
    assert "issuing-certificates" in issuer["usage"]
    other = ansible.one("openbao_pki_root", {**base, "common_name": "another root"})
    assert "a second root is not made" in other["msg"]
    assert len(openbao.client.list("walk-pki/issuers")["data"]["keys"]) == 1


def test_pki_role_has_the_strictest_value_where_nothing_is_said(
    ansible: Ansible, openbao: OpenBaoLab
) -> None:
    ansible.one("openbao_mount", openbao.options(path="walk-roles", type="pki"))
    first = openbao.options(
        mount="walk-roles",
        name="gatekeeper",
        options={
            "allowed_uri_sans": "spiffe://test.local/gatekeeper",
            "allowed_domains": ["gatekeeper/*"],
            "allow_glob_domains": True,
            "enforce_hostnames": False,
            "max_ttl": "90s",
        },
    )
    second = {**first, "options": {**first["options"], "max_ttl": 120}}
    results = ansible.walk(
        "openbao_pki_role", [(first, True), (first, False), (second, True), (second, False)]
    )
    assert results[2]["diff"] == {"before": {"max_ttl": 90}, "after": {"max_ttl": 120}}
    role = openbao.client.read("walk-roles/roles/gatekeeper")["data"]
    for right in ("allow_localhost", "allow_ip_sans", "allow_wildcard_certificates", "server_flag"):
        assert role[right] is False
    assert role["not_after_bound"] == "forbid"
    openbao.client.write_data("walk-roles/roles/gatekeeper", data={**role, "allow_any_name": True})
    drift = ansible.walk("openbao_pki_role", [(second, True), (second, False)])
    assert drift[0]["diff"]["after"] == {"allow_any_name": False}
    wrong = ansible.one("openbao_pki_role", {**first, "options": {"alowed_domains": []}})
    assert "a PKI role has no alowed_domains" in wrong["msg"]
    gone = openbao.options(mount="walk-roles", name="gatekeeper", state="absent")
    ansible.walk("openbao_pki_role", [(gone, True), (gone, False)])


def test_transit_key_stays_home_and_publishes_its_public_part(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    ansible.one("openbao_mount", openbao.options(path="transit", type="transit"))
    keys_file = tmp_path / "authority-keys.json"
    base = openbao.options(name="walk-sign", type="mldsa-65", keys_file=str(keys_file))
    other = openbao.options(name="walk-root", type="mldsa-65", keys_file=str(keys_file))
    rotating = {**base, "auto_rotate_period": "24h"}
    ansible.walk("openbao_transit_key", [(base, True), (base, False)])
    ansible.walk("openbao_transit_key", [(other, True), (rotating, True), (rotating, False)])
    openbao.client.write_data("transit/keys/walk-sign/rotate", data={})
    results = ansible.walk(
        "openbao_transit_key", [(rotating, True), (rotating, False), (other, False)]
    )
    assert [key["key_id"] for key in results[0]["keys"]] == ["walk-sign:v1", "walk-sign:v2"]
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o644
    pinned = AuthorityKeys.from_json(keys_file.read_text())
    assert set(pinned.keys) == {"walk-root:v1", "walk-sign:v1", "walk-sign:v2"}
    wrong = ansible.one("openbao_transit_key", {**base, "type": "aes256-gcm96"})
    assert "type is 'mldsa-65' and cannot be changed" in wrong["msg"]
    gone = openbao.options(name="walk-sign", state="absent")
    refused = ansible.one("openbao_transit_key", gone)
    assert "may not be deleted" in refused["msg"]
    meant = {**gone, "deletion_allowed": True}
    ansible.walk("openbao_transit_key", [(meant, True), (meant, False)])


def _enable_approle(ansible: Ansible, openbao: OpenBaoLab) -> None:
    options = openbao.options(kind="auth", path="approle", type="approle")
    assert not ansible.one("openbao_mount", options).get("failed")


def _is_known(openbao: OpenBaoLab, secret_id: str) -> bool:
    answer = openbao.client.write_data(
        "auth/approle/role/deliver/secret-id/lookup", data={"secret_id": secret_id}
    )
    return isinstance(answer, dict) and bool(answer.get("data"))

# SPDX-License-Identifier: Apache-2.0
"""Modules for the administrator, the ACL, the deny list and ports."""

from __future__ import annotations

import base64
import os
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import OpenBaoLab
from module_lab import Ansible, free_port

from securetransport.core.acl import Acl
from securetransport.core.base.names import ServiceId
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.documents import AuthorityKeys

ACL = """\
version: 1
trust_domain: test.local
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 1048576}
topics:
  auth.requests: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests], consumes: []}
  controller:
    produces: []
    consumes: [{topic: auth.requests, durable: controller}]
foreign: {}
"""


def test_administrator_key_is_made_once_and_published(ansible: Ansible, tmp_path: Path) -> None:
    base = {
        "key_file": str(tmp_path / "administrator.key"),
        "public_keys_file": str(tmp_path / "administrators.json"),
    }
    results = ansible.walk("administrator_key", [(base, True), (base, False)])
    text = (tmp_path / "administrator.key").read_text()
    key = signing.signing_key_from_pem(text)
    assert results[0]["key_id"] == key.key_id
    assert stat.S_IMODE((tmp_path / "administrator.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "administrators.json").stat().st_mode) == 0o644
    (tmp_path / "administrator.key").chmod(0o640)
    ansible.walk("administrator_key", [(base, True), (base, False)])
    assert (tmp_path / "administrator.key").read_text() == text
    second = {**base, "key_file": str(tmp_path / "second.key")}
    ansible.walk("administrator_key", [(second, True), (second, False), (base, False)])
    pinned = AuthorityKeys.from_json((tmp_path / "administrators.json").read_text())
    assert len(pinned.keys) == 2
    (tmp_path / "second.key").write_text("something else")
    assert "no readable PKCS#8 PEM key" in ansible.one("administrator_key", second)["msg"]


def test_acl_is_signed_when_its_meaning_changes(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    ansible.one("openbao_mount", openbao.options(path="secret", type="kv", kv_cas_required=True))
    openbao.client.delete("secret/metadata/acl/current")
    key_file, acl_file = tmp_path / "administrator.key", tmp_path / "acl.yml"
    acl_file.write_text(ACL)
    options = openbao.options(acl_file=str(acl_file), key_file=str(key_file))
    assert "make it with administrator_key" in ansible.one("openbao_acl", options)["msg"]
    public = ansible.one("administrator_key", {"key_file": str(key_file)})
    for validity, text in (("0s", "never valid"), ("1" + "0" * 15, "longer than a hundred years")):
        assert text in ansible.one("openbao_acl", {**options, "validity": validity})["msg"]
    results = ansible.walk("openbao_acl", [(options, True), (options, False)])
    assert results[1]["version"] == "0.1"
    # Comments and order are no change; a new right is, and the difference names it.
    acl_file.write_text("# a comment\n" + ACL)
    ansible.walk("openbao_acl", [(options, False)])
    acl_file.write_text(
        ACL.replace("controller:\n    produces: []", "controller:\n    produces: [auth.requests]")
    )
    results = ansible.walk("openbao_acl", [(options, True), (options, False)])
    assert results[0]["consequences"] == ["+ controller produces auth.requests"]
    assert results[0]["diff"]["after"] == "version 0.2\n+ controller produces auth.requests\n"
    body = documents.verify_document(
        _document(openbao, "acl/current"),
        lambda key_id: {
            public["key_id"]: (public["algorithm"], base64.b64decode(public["public_key"]))
        }[key_id],
        kind=DocumentKind.ACL,
        audience=documents.AUTHORITY,
        at=datetime.now(tz=UTC),
        signer=documents.ADMINISTRATOR,
        newest=Version(counter=2),
    )
    assert Acl.from_canonical(body).digest() == results[0]["digest"]
    # Another administrator's signature, one near its end, and a damaged document are replaced.
    other = {**options, "key_file": str(tmp_path / "other.key")}
    ansible.one("administrator_key", {"key_file": str(tmp_path / "other.key")})
    ansible.walk("openbao_acl", [(other, True), (other, False)])
    longer = {**other, "validity": "3650d"}
    results = ansible.walk("openbao_acl", [(longer, True), (longer, False)])
    assert results[0]["consequences"] == ["signed anew, nothing else changes"]
    openbao.client.write_data(
        "secret/data/acl/current", data={"data": {"document": "AAAA"}, "options": {"cas": 4}}
    )
    results = ansible.walk("openbao_acl", [(longer, True), (longer, False)])
    assert results[0]["version"] == "0.6"
    openbao.client.delete("secret/data/acl/current")
    results = ansible.walk("openbao_acl", [(longer, True), (longer, False)])
    assert results[0]["version"] == "0.7"


def test_wrong_acl_file_is_told_line_by_line_and_changes_nothing(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    acl_file = tmp_path / "acl.yml"
    acl_file.write_text(
        ACL.replace(
            "produces: [auth.requests]", "produces: [auth.requests, auth.reqests, auth.more]"
        )
    )
    key_file = tmp_path / "administrator.key"
    ansible.one("administrator_key", {"key_file": str(key_file)})
    for module, options in (
        ("acl_info", {"acl_file": str(acl_file)}),
        ("openbao_acl", openbao.options(acl_file=str(acl_file), key_file=str(key_file))),
    ):
        failure = ansible.one(module, options)
        assert len(failure["problems"]) == 2
        assert "auth.reqests" in failure["problems"][0]


def test_compiled_acl_is_what_the_other_modules_take(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    acl_file = tmp_path / "acl.yml"
    acl_file.write_text(ACL)
    info = {
        "acl_file": str(acl_file),
        "profile": "compressed",
        "denied": ["gatekeeper"],
        "replicas": 1,
    }
    plan = ansible.walk("acl_info", [(info, False)])[0]
    assert plan["services"] == ["controller", "gatekeeper"]
    assert plan["denied"] == ["gatekeeper"]
    for mount in ({"path": "nats_int", "type": "pki"}, {"path": "transit", "type": "transit"}):
        ansible.one("openbao_mount", openbao.options(**mount))
    ansible.one("openbao_mount", openbao.options(kind="auth", path="approle", type="approle"))
    parts = ("policies", "approles", "pki_roles", "transit_keys")
    rights = openbao.options(**{part: plan[part] for part in parts})
    ansible.walk("openbao_rights", [(rights, True), (rights, False)])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"replicas": 0}, "replicas: 0 is not between 1 and 5"),
        (
            {"profile_overrides": {"ca_period": 10**15}},
            "is not between nothing and a hundred years",
        ),
        ({"acl_file": "/nonexistent"}, "acl_file: /nonexistent does not exist"),
        ({"acl_file": "/"}, "acl_file: cannot read /: Is a directory"),
    ],
)
def test_mistakes_are_told_in_one_line(
    ansible: Ansible, tmp_path: Path, change: dict[str, object], text: str
) -> None:
    (tmp_path / "acl.yml").write_text(ACL)
    failure = ansible.one("acl_info", {"acl_file": str(tmp_path / "acl.yml"), **change})
    assert text in failure["msg"]
    assert "\n" not in failure["msg"]


def test_profile_that_breaks_a_rule_is_refused(ansible: Ansible, tmp_path: Path) -> None:
    (tmp_path / "acl.yml").write_text(ACL)
    base = {"acl_file": str(tmp_path / "acl.yml"), "profile": "compressed"}
    broken = ansible.one("acl_info", {**base, "profile_overrides": {"ca_validity": "61s"}})
    assert "ca_validity must be at least 4 * ca_period" in broken["msg"]
    unknown = ansible.one("acl_info", {**base, "profile": "fast"})
    assert "profile: 'fast' is unknown" in unknown["msg"]


def test_deny_list_is_believed_only_with_the_pinned_signature(
    ansible: Ansible, openbao: OpenBaoLab, tmp_path: Path
) -> None:
    ansible.one("openbao_mount", openbao.options(path="secret", type="kv", kv_cas_required=True))
    key, foreign = signing.generate_signing_key(), signing.generate_signing_key()
    keys_file = tmp_path / "authority-keys.json"
    keys_file.write_text(AuthorityKeys({key.key_id: (key.algorithm, key.public_key)}).to_json())
    options = openbao.options(keys_file=str(keys_file))
    assert ansible.walk("deny_list_info", [(options, False)])[0]["denied"] == []
    _post_deny_list(openbao, key, cas=0)
    assert ansible.walk("deny_list_info", [(options, False)])[0]["denied"] == ["gatekeeper"]
    _post_deny_list(openbao, foreign, cas=1)
    assert "no such verify key is pinned" in ansible.one("deny_list_info", options)["msg"]


def test_port_of_a_stranger_is_refused_and_named(ansible: Ansible) -> None:
    unused = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        failure = ansible.one("ports_info", {"ports": [unused, port]})
        assert f"{port} is held by" in failure["msg"]
        assert f"(pid {os.getpid()})" in failure["msg"]
        own = {"ports": [unused, port], "own_pids": [os.getppid()]}
        result = ansible.walk("ports_info", [(own, False)])[0]
    assert [entry["is_own"] for entry in result["ports"]] == [False, True]
    assert [entry["is_free"] for entry in result["ports"]] == [True, False]
    assert "70000 is not between 1" in ansible.one("ports_info", {"ports": [70000]})["msg"]
    for host, text in (("ä..b", "is not a name or an address"), ("192.0.2.1", "cannot listen")):
        assert text in ansible.one("ports_info", {"ports": [unused], "host": host})["msg"]


def _post_deny_list(openbao: OpenBaoLab, key: signing.SigningKey, *, cas: int) -> None:
    now = datetime.now(tz=UTC)
    document = documents.sign_with_key(
        kind=DocumentKind.DENY_LIST,
        audience=documents.EVERYBODY,
        version=Version(counter=cas + 1),
        created_at=now,
        not_after=now + timedelta(hours=1),
        body=DenyList(services={ServiceId("gatekeeper"): now}).to_bytes(),
        signer=documents.AUTHORITY,
        key=key,
    )
    data = base64.b64encode(documents.encode(document)).decode()
    openbao.client.write_data(
        "secret/data/deny/list", data={"data": {"document": data}, "options": {"cas": cas}}
    )


def _document(openbao: OpenBaoLab, path: str) -> documents.SignedDocument:
    data = openbao.client.read(f"secret/data/{path}")["data"]["data"]["document"]
    return documents.decode(base64.b64decode(data))

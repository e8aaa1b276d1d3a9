"""The compiled OpenBao plan on a real OpenBao: who reads, writes and signs what.

The table below is written from docs/architecture.md, not from the code, and every identity tries
every path with a token of its own AppRole.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from securetransport.core.acl import (
    REVOKED_POLICY,
    Acl,
    OpenBaoPlan,
    compile_openbao,
    load_acl,
    policies,
)
from securetransport.core.base import names
from securetransport.core.base.names import InstanceId, ServiceId
from securetransport.core.base.profile import PROFILES
from securetransport.core.crypto import x509
from servers import OpenBao

ACL_FILE = Path(__file__).parents[3] / "inventories" / "local" / "group_vars" / "acl.yml"
PROFILE = PROFILES["compressed"]
DOMAIN = "securetransport.local"
AUTHORITY = "metadata--0"
EVERYONE = (
    "admin--cli",
    "auth-controller--0",
    "gatekeeper--0",
    "gatekeeper--1",
    "keeper--0",
    "keeper--1",
    AUTHORITY,
    "watcher--0",
)


def _is(who: str, named: tuple[str, ...]) -> bool:
    """Tell whether a table names this instance, or its service and so all instances."""
    return who in named or who.partition("--")[0] in named


SERVICES = ("admin", "auth-controller", "gatekeeper", "keeper", "metadata", "watcher")

# path: (who may replace its value, who may read it); a service stands for all its instances
TABLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "acl/current": (("admin",), ("admin", "metadata")),
    "trust/bundle": (("metadata",), SERVICES),
    "broker/policy": (("metadata",), ("admin", "keeper", "metadata")),
    "deny/list": (("metadata",), SERVICES),
    "directory/current": (("metadata",), SERVICES),
    "directory/keys/0123abcd": (("metadata",), SERVICES),
    "rotation/ca": (("metadata",), ("admin", "metadata")),
    "topic-keys/auth.requests/7": (("metadata",), ("metadata",)),
    "enroll/gatekeeper/1/0123abcd": ((), ("metadata",)),
    "enroll/metadata/0/0123abcd": ((), ("metadata",)),
    "attest/keeper/nats-1": (("keeper--0",), ("admin", "keeper", "metadata")),
    "attest/keeper/nats-2": (("keeper--1",), ("admin", "keeper", "metadata")),
    "secret-ids/offered/gatekeeper/0": (("metadata",), ("gatekeeper--0", "metadata")),
    "secret-ids/offered/gatekeeper/1": (("metadata",), ("gatekeeper--1", "metadata")),
    "secret-ids/offered/metadata/0": (("metadata",), ("metadata",)),
    "secret-ids/offered/keeper/1": (("metadata",), ("keeper--1", "metadata")),
    "secret-ids/proven/gatekeeper/0": (("gatekeeper--0",), ("gatekeeper--0", "metadata")),
    "secret-ids/proven/gatekeeper/1": (("gatekeeper--1",), ("gatekeeper--1", "metadata")),
    "secret-ids/proven/metadata/0": (("metadata--0",), ("metadata",)),
    "bundles/gatekeeper": (("metadata",), ("gatekeeper", "metadata")),
    "bundles/auth-controller": (("metadata",), ("auth-controller", "metadata")),
    "unknown/path": ((), ()),
}
SIGNS = {who: {who} for who in EVERYONE} | {
    "keeper--0": {"nats--0"},
    "keeper--1": {"nats--1"},
    AUTHORITY: {AUTHORITY, "probe"},
    "watcher--0": {"probe", "watcher--0"},
}
ENROLS = ("auth-controller", "gatekeeper", "metadata", "watcher")


@dataclass(frozen=True)
class Built:
    """An OpenBao in which the plan was built as Ansible does, and a token of every identity."""

    bao: OpenBao
    plan: OpenBaoPlan
    tokens: dict[str, str]

    def ask(
        self, method: str, path: str, body: object = None, *, who: str, wrap: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Return status and answer of one call."""
        headers = {"Content-Type": "application/json", "X-Vault-Token": self.tokens[who]}
        if wrap:
            headers["X-Vault-Wrap-TTL"] = "60s"
        request = urllib.request.Request(  # noqa: S310  # the address is https
            f"{self.bao.addresses[0]}/v1/{path}",
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        context = ssl.create_default_context(cafile=str(self.bao.ca_file))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        return status, dict(json.loads(text)) if text else {}


@pytest.fixture(scope="module")
def acl() -> Acl:
    return load_acl(ACL_FILE.read_text())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, acl: Acl) -> Iterator[Built]:
    bao = OpenBao(tmp_path_factory.mktemp("bao-policies"))
    try:
        bao.start()
        plan = compile_openbao(acl, PROFILE)
        yield Built(bao, plan, _build(bao, plan))
    finally:
        bao.stop()


def _build(bao: OpenBao, plan: OpenBaoPlan) -> dict[str, str]:
    bao.call("POST", "pki/root/generate/internal", {"common_name": "root", "ttl": "87600h"})
    for name, text in plan.policies.items():
        bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
    for key in plan.transit_keys:
        bao.call("POST", f"transit/keys/{key.name}", {"type": key.type})
    for pki_role in plan.pki_roles:
        bao.call("POST", f"{pki_role.mount}/roles/{pki_role.name}", pki_role.parameters)
    tokens = {}
    for role in plan.approles:
        path = f"auth/approle/role/{role.name}"
        bao.call("POST", path, role.parameters)
        login = {
            "role_id": bao.call("GET", f"{path}/role-id")["data"]["role_id"],
            "secret_id": bao.call("POST", f"{path}/secret-id", {})["data"]["secret_id"],
        }
        made = bao.call("POST", "auth/approle/login", login, token=None)
        tokens[role.name] = made["auth"]["client_token"]
    for path in TABLE:
        bao.call("POST", f"secret/data/{path}", {"data": {"n": 0}, "options": {"cas": 0}})
    return tokens


@pytest.fixture(scope="module")
def issuer(built: Built) -> str:
    """Make the first issuer with the rights of the authority alone; returns its id."""
    return _make_issuer(built, 1)


def _make_issuer(built: Built, epoch: int) -> str:
    def must(method: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = built.ask(method, path, body, who=AUTHORITY)
        assert status < 300, (path, answer)
        return dict(answer.get("data") or {})

    must("LIST", "nats_int/keys") if epoch > 1 else None
    request = must(
        "POST",
        "nats_int/issuers/generate/intermediate/internal",
        {"common_name": f"nats-int e{epoch}", "key_type": "ec", "key_bits": 256},
    )
    signed = must(
        "POST",
        "pki/root/sign-intermediate",
        {
            "csr": request["csr"],
            "common_name": f"nats-int e{epoch}",
            "max_path_length": 0,
            "ttl": "1h",
        },
    )
    imported = must(
        "POST", "nats_int/intermediate/set-signed", {"certificate": signed["certificate"]}
    )
    issuer_id = str(imported["imported_issuers"][0])
    must(
        "POST",
        f"nats_int/issuer/{issuer_id}",
        {
            "issuer_name": f"e{epoch}",
            "leaf_not_after_behavior": "err",
            "usage": "read-only,issuing-certificates",
        },
    )
    must("POST", "nats_int/config/issuers", {"default": issuer_id})
    assert issuer_id in must("LIST", "nats_int/issuers")["keys"]
    assert must("GET", f"nats_int/issuer/{issuer_id}")["issuer_name"] == f"e{epoch}"
    return issuer_id


def _request(service: str, instance: str, *, trust_domain: str = DOMAIN, **names_: Any) -> str:
    csr, _ = x509.make_csr(
        trust_domain=trust_domain,
        service=ServiceId(service),
        instance=InstanceId(instance),
        **names_,
    )
    return csr


# --- documents and secrets -----------------------------------------------------------------------


@pytest.mark.parametrize("who", EVERYONE)
def test_identity_reads_and_replaces_what_the_table_says(built: Built, who: str) -> None:
    wrong = []
    for path, (writers, readers) in TABLE.items():
        read = built.ask("GET", f"secret/data/{path}", who=who)[0]
        current = built.bao.call("GET", f"secret/metadata/{path}")["data"]["current_version"]
        body = {"data": {"n": 1}, "options": {"cas": current}}
        write = built.ask("POST", f"secret/data/{path}", body, who=who)[0]
        expected = (200 if _is(who, readers) else 403, 200 if _is(who, writers) else 403)
        if (read, write) != expected:
            wrong.append((path, (read, write), expected))
    assert wrong == []


@pytest.mark.parametrize("who", EVERYONE)
def test_enrolment_creates_in_the_own_folder_and_never_again(built: Built, who: str) -> None:
    for folder in EVERYONE:
        path = f"secret/data/enroll/{folder.replace('--', '/')}/key-of-{who}"
        first = built.ask("POST", path, {"data": {"n": 1}, "options": {"cas": 0}}, who=who)[0]
        assert first == (200 if folder == who and _is(who, ENROLS) else 403), folder
        again = built.ask("POST", path, {"data": {"n": 2}, "options": {"cas": 1}}, who=who)[0]
        assert again == 403, folder
        assert built.ask("DELETE", path, who=who)[0] == 403, folder


@pytest.mark.parametrize("who", EVERYONE)
def test_only_the_authority_lists_and_destroys_keys(built: Built, who: str) -> None:
    is_authority = who == AUTHORITY
    for folder in ("topic-keys", "topic-keys/auth.requests", "enroll", "enroll/gatekeeper/1"):
        status = built.ask("LIST", f"secret/metadata/{folder}", who=who)[0]
        assert status == (200 if is_authority else 403), folder
    made = {"data": {"n": 0}, "options": {"cas": 0}}
    path = f"topic-keys/gatekeeper.responses/{EVERYONE.index(who)}"
    built.bao.call("POST", f"secret/data/{path}", made)
    status = built.ask("DELETE", f"secret/metadata/{path}", who=who)[0]
    assert status == (204 if is_authority else 403)
    for kept in ("rotation/ca", "acl/current", "deny/list", "trust/bundle"):
        assert built.ask("DELETE", f"secret/metadata/{kept}", who=who)[0] == 403, kept


def test_capabilities_are_what_openbao_itself_says(built: Built, acl: Acl) -> None:
    """Every rule of every policy, asked of every other identity's token."""
    found = policies(acl)
    paths = sorted(
        {
            rule.path.replace("+", "x").replace("*", "x/y")
            for policy in found.values()
            for rule in policy.rules
            if not rule.path.endswith("/")
        }
    )
    for role in built.plan.approles:
        body = {"token": built.tokens[role.name], "paths": paths}
        said = built.bao.call("POST", "sys/capabilities", body)["data"]
        for path in paths:
            both = (found[name].capabilities(path) for name in role.policies)
            expected = frozenset().union(*both) or {"deny"}
            assert set(said[path]) == set(expected), (role.name, path)


def test_token_has_the_policies_of_its_service_and_its_own_alone(built: Built) -> None:
    for who in EVERYONE:
        data = built.ask("GET", "auth/token/lookup-self", who=who)[1]["data"]
        assert data["policies"] == [who.partition("--")[0], who]
        assert built.ask("POST", "auth/token/renew-self", {}, who=who)[0] == 200


# --- transit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", EVERYONE)
def test_only_the_authority_signs_documents_and_nobody_uses_the_root_key(
    built: Built, who: str
) -> None:
    body = {"input": "AA=="}
    expected = 200 if who == AUTHORITY else 403
    assert built.ask("POST", "transit/sign/authority-signing", body, who=who)[0] == expected
    assert built.ask("POST", "transit/sign/authority-root", body, who=who)[0] == 403


@pytest.mark.parametrize("who", EVERYONE)
def test_bundle_copy_is_sealed_by_the_authority_and_opened_by_its_service(
    built: Built, who: str
) -> None:
    plain = {"plaintext": "AA=="}
    for service in ("gatekeeper", "auth-controller"):
        sealed = built.bao.call("POST", f"transit/encrypt/svc-{service}", plain)["data"]
        status = built.ask("POST", f"transit/encrypt/svc-{service}", plain, who=who)[0]
        assert status == (200 if who == AUTHORITY else 403)
        body = {"ciphertext": sealed["ciphertext"]}
        status = built.ask("POST", f"transit/decrypt/svc-{service}", body, who=who)[0]
        assert status == (200 if _is(who, (service,)) else 403)


def test_authority_makes_no_transit_key_by_using_it(built: Built) -> None:
    status = built.ask("POST", "transit/encrypt/svc-new", {"plaintext": "AA=="}, who=AUTHORITY)[0]
    assert status == 403


# --- certificates --------------------------------------------------------------------------------


@pytest.mark.usefixtures("issuer")
@pytest.mark.parametrize("who", EVERYONE)
def test_identity_signs_leaf_certificates_of_its_own_roles_only(built: Built, who: str) -> None:
    for role in (one.name for one in built.plan.pki_roles):
        service, _, instance = role.partition("--")
        if service == "nats":
            instance = f"nats-{int(instance) + 1}"
        body = {"csr": _request(service, f"{service}/{instance or 1}")}
        status = built.ask("POST", f"nats_int/sign/{role}", body, who=who)[0]
        assert status == (200 if role in SIGNS[who] else 403), role
        assert built.ask("POST", f"nats_int/issue/{role}", {}, who=who)[0] == 403, role
        path = f"nats_int/issuer/default/sign-verbatim/{role}"
        assert built.ask("POST", path, body, who=who)[0] == 403, role


@pytest.mark.usefixtures("issuer")
def test_leaf_carries_the_uri_and_common_name_and_is_back_dated(built: Built) -> None:
    body = {"csr": _request("gatekeeper", "gatekeeper/0")}
    answer = built.ask("POST", "nats_int/sign/gatekeeper--0", body, who="gatekeeper--0")[1]
    facts = x509.describe(x509.pem_to_der(answer["data"]["certificate"]))
    assert facts.common_name == "gatekeeper/0"
    assert facts.uri_sans == (f"spiffe://{DOMAIN}/gatekeeper",)
    life = PROFILE.leaf_validity + PROFILE.not_before_backdate
    assert abs(facts.not_after - facts.not_before - life).total_seconds() <= 1


@pytest.mark.usefixtures("issuer")
@pytest.mark.parametrize(
    "csr",
    [
        pytest.param(_request("metadata", "metadata/0"), id="another service"),
        pytest.param(_request("gatekeeper", "gatekeeper/1"), id="sibling"),
        pytest.param(_request("gatekeeper", "gatekeeper/00"), id="longer instance"),
        pytest.param(_request("gatekeeper", "gatekeeper/0", trust_domain="evil"), id="domain"),
        pytest.param(_request("gatekeeperx", "gatekeeperx/0"), id="longer name"),
        pytest.param(_request("gatekeeper", "gatekeeper/0", dns=["localhost"]), id="dns"),
        pytest.param(_request("gatekeeper", "gatekeeper/0", ips=["127.0.0.1"]), id="ip"),
    ],
)
def test_request_beyond_the_role_is_refused(built: Built, csr: str) -> None:
    status, answer = built.ask(
        "POST", "nats_int/sign/gatekeeper--0", {"csr": csr}, who="gatekeeper--0"
    )
    assert status == 400, answer


@pytest.mark.usefixtures("issuer")
def test_wrong_common_name_with_the_right_uri_is_refused(built: Built) -> None:
    role = next(role for role in built.plan.pki_roles if role.name == AUTHORITY).parameters
    wider = role | {"allowed_uri_sans": [f"spiffe://{DOMAIN}/gatekeeper"]}
    built.bao.call("POST", "nats_int/roles/gatekeeper-cn", wider)
    body = {"csr": _request("gatekeeper", "gatekeeper/0")}
    context = built.bao.token_file('path "nats_int/sign/gatekeeper-cn" {capabilities=["update"]}')
    other = Built(built.bao, built.plan, {"x": context.read_text()})
    status, answer = other.ask("POST", "nats_int/sign/gatekeeper-cn", body, who="x")
    assert status == 400
    assert "common name gatekeeper/0 not allowed" in str(answer["errors"])


@pytest.mark.usefixtures("issuer")
def test_parameters_of_the_request_add_no_name(built: Built) -> None:
    body = {
        "csr": _request("gatekeeper", "gatekeeper/0"),
        "common_name": "metadata/1",
        "uri_sans": f"spiffe://{DOMAIN}/metadata",
        "alt_names": "localhost",
        "ip_sans": "127.0.0.1",
    }
    answer = built.ask("POST", "nats_int/sign/gatekeeper--0", body, who="gatekeeper--0")[1]
    facts = x509.describe(x509.pem_to_der(answer["data"]["certificate"]))
    assert (facts.common_name, facts.uri_sans) == (
        "gatekeeper/0",
        (f"spiffe://{DOMAIN}/gatekeeper",),
    )


@pytest.mark.usefixtures("issuer")
def test_server_leaf_may_carry_its_names_and_no_others(built: Built) -> None:
    path = "nats_int/sign/nats--0"
    good = {"csr": _request("nats", "nats/nats-1", dns=["localhost"], ips=["127.0.0.1"])}
    assert built.ask("POST", path, good, who="keeper--0")[0] == 200
    for instance, host in (("nats/nats-1", "example.org"), ("nats/nats-2", "localhost")):
        bad = {"csr": _request("nats", instance, dns=[host])}
        assert built.ask("POST", path, bad, who="keeper--0")[0] == 400, instance


def test_roles_come_back_as_they_were_written(built: Built) -> None:
    for pki_role in built.plan.pki_roles:
        found = built.bao.call("GET", f"nats_int/roles/{pki_role.name}")["data"]
        assert {key: found[key] for key in pki_role.parameters} == pki_role.parameters
    for role in built.plan.approles:
        found = built.bao.call("GET", f"auth/approle/role/{role.name}")["data"]
        assert {key: found[key] for key in role.parameters} == role.parameters


def test_authority_rotates_issuers_and_nobody_else_touches_them(built: Built, issuer: str) -> None:
    newer = _make_issuer(built, 2)
    csr = {"csr": _request("probe", "probe/1"), "ttl": "30m"}
    path = f"nats_int/issuer/{issuer}/sign/probe"
    assert built.ask("POST", path, csr, who=AUTHORITY)[0] == 200
    for who in set(EVERYONE) - {AUTHORITY}:
        assert built.ask("DELETE", f"nats_int/issuer/{newer}", who=who)[0] == 403
        assert built.ask("POST", "nats_int/config/issuers", {"default": issuer}, who=who)[0] == 403
        assert built.ask("POST", "pki/root/sign-intermediate", {}, who=who)[0] == 403
    built.ask("POST", "nats_int/config/issuers", {"default": issuer}, who=AUTHORITY)
    key = built.ask("GET", f"nats_int/issuer/{newer}", who=AUTHORITY)[1]["data"]["key_id"]
    assert built.ask("DELETE", f"nats_int/issuer/{newer}", who=AUTHORITY)[0] in (200, 204)
    assert built.ask("DELETE", f"nats_int/key/{key}", who=AUTHORITY)[0] in (200, 204)


# --- secret-ids, fencing, revocation; last, because a service loses its rights -------------------


def test_secret_ids_come_out_wrapped_and_for_the_authority_only(built: Built) -> None:
    path = "auth/approle/role/gatekeeper--0/secret-id"
    assert built.ask("POST", path, {}, who=AUTHORITY)[0] == 403
    assert built.ask("POST", path, {}, who=AUTHORITY, wrap=True)[0] == 200
    accessors = built.ask("LIST", path, who=AUTHORITY)[1]["data"]["keys"]
    body = {"secret_id_accessor": accessors[0]}
    destroy = "auth/approle/role/gatekeeper--0/secret-id-accessor/destroy"
    assert built.ask("POST", destroy, body, who=AUTHORITY)[0] == 204
    for who in set(EVERYONE) - {AUTHORITY}:
        for role in EVERYONE:
            mint = f"auth/approle/role/{role}/secret-id"
            assert built.ask("POST", mint, {}, who=who, wrap=True)[0] == 403


def test_an_offer_is_taken_back_only_while_nobody_has_opened_it(built: Built) -> None:
    mint = "auth/approle/role/gatekeeper--0/secret-id"

    def offer() -> str:
        answer = built.ask("POST", mint, {}, who=AUTHORITY, wrap=True)[1]
        return str(answer["wrap_info"]["token"])

    def take_back(wrapped: str, who: str = AUTHORITY) -> int:
        return built.ask("POST", "sys/wrapping/rewrap", {"token": wrapped}, who=who)[0]

    def unwrap(wrapped: str) -> int:
        holder = Built(built.bao, built.plan, {"holder": wrapped})
        return holder.ask("POST", "sys/wrapping/unwrap", {}, who="holder")[0]

    left, opened = offer(), offer()
    assert unwrap(opened) == 200
    assert unwrap(opened) == 400
    assert take_back(opened) == 400
    assert [take_back(left, who) for who in sorted(set(EVERYONE) - {AUTHORITY})] == [403] * 7
    assert take_back(left) == 200
    assert unwrap(left) == 400


def test_successor_revokes_the_token_of_its_predecessor(built: Built) -> None:
    made = built.bao.call(
        "POST",
        "auth/token/create",
        {"policies": ["metadata", AUTHORITY], "no_default_policy": True},
    )["auth"]
    after = Built(built.bao, built.plan, {"old": made["client_token"]})
    assert after.ask("GET", "secret/data/rotation/ca", who="old")[0] == 200
    body = {"accessor": made["accessor"]}
    assert built.ask("POST", "auth/token/revoke-accessor", body, who="keeper--0")[0] == 403
    assert built.ask("POST", "auth/token/revoke-accessor", body, who=AUTHORITY)[0] == 204
    assert after.ask("GET", "secret/data/rotation/ca", who="old")[0] == 403


def test_authority_empties_a_policy_and_writes_no_other_text(built: Built) -> None:
    path = "sys/policies/acl/gatekeeper"
    everything = {"policy": 'path "*" { capabilities = ["sudo", "read"] }'}
    assert built.ask("PUT", path, everything, who=AUTHORITY)[0] == 403
    for other in ("metadata", AUTHORITY, "keeper", "keeper--0", "test-admin", "admin"):
        body = {"policy": REVOKED_POLICY}
        assert built.ask("PUT", f"sys/policies/acl/{other}", body, who=AUTHORITY)[0] == 403
    assert built.ask("GET", "secret/data/bundles/gatekeeper", who="gatekeeper--0")[0] == 200
    assert built.ask("PUT", path, {"policy": REVOKED_POLICY}, who=AUTHORITY)[0] == 204
    own = "sys/policies/acl/gatekeeper--0"
    assert built.ask("PUT", own, {"policy": REVOKED_POLICY}, who=AUTHORITY)[0] == 204
    own_paths = ("nats_int/sign/gatekeeper--0", "secret/data/secret-ids/offered/gatekeeper/0")
    for read in ("secret/data/bundles/gatekeeper", "secret/data/trust/bundle", *own_paths):
        assert built.ask("GET", read, who="gatekeeper--0")[0] == 403
    assert names.KV_TRUST_BUNDLE in TABLE

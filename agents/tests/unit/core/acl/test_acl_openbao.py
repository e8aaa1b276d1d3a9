from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from acl_scene import TEXT, acl

from securetransport.core.acl import REVOKED_POLICY, LoginLimits, compile_openbao, policies
from securetransport.core.acl.compile.openbao import OpenBaoPlan
from securetransport.core.acl.compile.policies import path_matches
from securetransport.core.base import names
from securetransport.core.base.errors import ConfigError
from securetransport.core.base.names import ServiceId
from securetransport.core.base.profile import PROFILES
from securetransport.core.formats.deny_list import DenyList

PROFILE = PROFILES["compressed"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GATEKEEPER = ServiceId("gatekeeper")


def plan(deny: DenyList | None = None) -> OpenBaoPlan:
    return compile_openbao(acl(), PROFILE, deny=deny, server_names=("localhost",))


def test_service_sees_its_own_paths_and_the_public_documents_only() -> None:
    assert {(rule.path, rule.capabilities) for rule in policies(acl())[GATEKEEPER].rules} == {
        ("auth/token/lookup-self", ("read",)),
        ("auth/token/renew-self", ("update",)),
        ("auth/token/revoke-self", ("update",)),
        ("secret/data/bundles/gatekeeper", ("read",)),
        ("secret/data/deny/list", ("read",)),
        ("secret/data/directory/current", ("read",)),
        ("secret/data/directory/keys/*", ("read",)),
        ("secret/data/trust/bundle", ("read",)),
        ("transit/decrypt/svc-gatekeeper", ("update",)),
    }


def test_instance_sees_what_no_sibling_does() -> None:
    found = policies(acl(TEXT.replace("  gatekeeper:\n", "  gatekeeper:\n    replicas: 2\n", 1)))
    assert [name for name in found if name.startswith("gatekeeper")] == [
        "gatekeeper",
        "gatekeeper--0",
        "gatekeeper--1",
    ]
    for own, other in (("0", "1"), ("1", "0")):
        policy = found[f"gatekeeper--{own}"]
        assert {(rule.path, rule.capabilities) for rule in policy.rules} == {
            (f"auth/approle/role/gatekeeper--{own}/secret-id/lookup", ("update",)),
            (f"nats_int/sign/gatekeeper--{own}", ("update",)),
            (f"secret/data/enroll/gatekeeper/{own}/*", ("create",)),
            (f"secret/data/secret-ids/offered/gatekeeper/{own}", ("read",)),
            (f"secret/data/secret-ids/proven/gatekeeper/{own}", ("create", "read", "update")),
        }
        assert not any(other in rule.path for rule in policy.rules)


def test_keeper_states_and_signs_for_its_own_server_only() -> None:
    found = compile_openbao(acl(), PROFILE, servers=("east", "west"))
    roles = {role.name: role.parameters for role in found.pki_roles}
    assert roles["nats--0"]["allowed_domains"] == ["nats/east", "localhost"]
    assert roles["nats--1"]["allowed_domains"] == ["nats/west", "localhost"]
    own = policies(acl(), ("east", "west"))["keeper--1"]
    assert own.capabilities("secret/data/attest/keeper/west") == {"create", "read", "update"}
    assert not own.capabilities("secret/data/attest/keeper/east")
    assert own.capabilities("nats_int/sign/nats--1")
    assert not own.capabilities("nats_int/sign/nats--0")
    assert "keeper--2" not in found.policies


@pytest.mark.parametrize("name", ["keeper", "watcher", "admin", "gatekeeper", "auth-controller"])
def test_nobody_but_the_authority_signs_documents_or_touches_issuers(name: str) -> None:
    policy = policies(acl())[name]
    for path in (
        "transit/sign/authority-signing",
        "transit/sign/authority-root",
        "pki/root/sign-intermediate",
        "nats_int/issuer/abc",
        "nats_int/config/issuers",
        "secret/data/rotation/ca-forged",
    ):
        assert not policy.capabilities(path) & {"create", "update", "delete"}, path


def test_authority_signs_no_leaf_but_its_own_and_the_probe() -> None:
    found = policies(acl())
    policy, own = found[names.METADATA], found["metadata--1"]
    signed = {
        role.name
        for role in plan().pki_roles
        if (policy.capabilities(path := f"nats_int/sign/{role.name}") | own.capabilities(path))
    }
    assert signed == {"metadata--1", "probe"}
    for below in ("sign-verbatim", "sign/nats", "sign-intermediate", "issue/metadata"):
        assert not policy.capabilities(f"nats_int/issuer/default/{below}"), below


def test_authority_may_not_use_the_root_key_of_documents() -> None:
    assert not policies(acl())[names.METADATA].capabilities("transit/sign/authority-root")


def test_authority_may_only_empty_policies() -> None:
    rules = [r for r in policies(acl())[names.METADATA].rules if r.path.startswith("sys/policies/")]
    assert {r.path for r in rules} == {
        "sys/policies/acl/auth-controller",
        "sys/policies/acl/auth-controller--0",
        "sys/policies/acl/gatekeeper",
        "sys/policies/acl/gatekeeper--0",
        "sys/policies/acl/monitor",
        "sys/policies/acl/monitor--0",
    }
    assert all(rule.only == {"policy": (REVOKED_POLICY,)} for rule in rules)


def test_denied_service_gets_an_empty_policy_and_is_named() -> None:
    found = plan(DenyList(services={GATEKEEPER: NOW}))
    emptied = {name for name, text in found.policies.items() if text == REVOKED_POLICY}
    assert emptied == {"gatekeeper", "gatekeeper--0"}
    assert found.denied == ("gatekeeper",)
    assert [role.name for role in found.approles if role.is_denied] == ["gatekeeper--0"]


def test_denied_platform_identity_changes_nothing() -> None:
    found = plan(DenyList(services={names.METADATA: NOW}))
    assert found.policies == plan().policies


def test_every_login_has_the_policies_of_its_service_and_its_own_only() -> None:
    for role in plan().approles:
        assert role.name == f"{role.service}--{role.instance}"
        assert role.policies == (role.service, role.name)
        assert role.parameters["token_policies"] == [role.service, role.name]
        assert role.parameters["token_no_default_policy"] is True
        assert set(role.policies) <= set(plan().policies)


def test_server_and_probe_have_a_sign_role_and_no_login() -> None:
    logins = {role.name for role in plan().approles}
    roles = {role.name for role in plan().pki_roles}
    assert {"nats--0", "nats--1", "nats--2", "probe"} == roles - logins
    assert {"keeper--0", "keeper--1", "keeper--2"} == logins - roles


def test_pki_role_allows_one_uri_and_one_common_name() -> None:
    for role in plan().pki_roles:
        found = role.parameters
        service, _, instance = role.name.partition("--")
        assert found["allowed_uri_sans"] == [f"spiffe://securetransport.test/{service}"]
        assert found["allow_any_name"] is False
        assert "cn_validations" not in found  # "disabled" would switch the check of names off
        if service == "nats":
            name = f"nats/nats-{int(instance) + 1}"
            assert found["allowed_domains"] == [name, "localhost"]
        else:
            extras = ("allow_ip_sans", "server_flag")
            assert not any(found[extra] for extra in extras)
        if service not in {"nats", "probe"}:
            assert found["allowed_domains"] == [f"{service}/{instance}"]
            assert found["allow_glob_domains"] is False


def test_logins_are_held_to_their_limits() -> None:
    limits = LoginLimits(
        secret_id_ttl=timedelta(hours=9), secret_id_uses=40, networks=("10.0.0.0/8",)
    )
    for role in compile_openbao(acl(), PROFILE, limits=limits).approles:
        found = role.parameters
        assert found["secret_id_ttl"] == 9 * 3600
        assert found["secret_id_num_uses"] == 40
        assert found["secret_id_bound_cidrs"] == found["token_bound_cidrs"] == ["10.0.0.0/8"]


def test_a_secret_id_that_ends_before_it_is_renewed_is_refused() -> None:
    limits = LoginLimits(secret_id_ttl=timedelta(seconds=479))
    with pytest.raises(ConfigError, match="secret_id_ttl: 479 s is less than four renewals of 120"):
        compile_openbao(acl(), PROFILE, limits=limits)


def test_leaf_certificates_are_back_dated_by_skew_and_a_minute() -> None:
    role = next(role for role in plan().pki_roles if role.name == "gatekeeper--0")
    assert role.parameters["not_before_duration"] == 65
    assert (role.parameters["ttl"], role.parameters["max_ttl"]) == (90, 90)


def test_probe_leaf_certificates_may_live_as_long_as_their_issuer() -> None:
    role = next(role for role in plan().pki_roles if role.name == "probe")
    assert role.parameters["max_ttl"] == 260


def test_transit_keys_are_the_authority_s_and_one_for_each_service() -> None:
    assert {key.name: key.type for key in plan().transit_keys} == {
        "authority-root": "mldsa-65",
        "authority-signing": "mldsa-65",
        "svc-auth-controller": "aes256-gcm96",
        "svc-gatekeeper": "aes256-gcm96",
    }


@pytest.mark.parametrize(
    ("pattern", "path", "is_covered"),
    [
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/*", "a/b/c", True),
        ("a/*", "a", False),
        ("a/+/c", "a/b/c", True),
        ("a/b", "a/b/", False),
    ],
)
def test_policy_paths_match_as_in_openbao(pattern: str, path: str, is_covered: bool) -> None:
    assert path_matches(pattern, path) is is_covered

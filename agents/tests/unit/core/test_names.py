"""One name everywhere: what is accepted as one, and what is derived from it."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import (
    Fingerprint,
    KeyId,
    ServiceId,
    Topic,
    instance_id,
    parse_service,
    parse_topic,
    replica_of,
    service_of,
)

parts = st.text(alphabet=string.ascii_lowercase + string.digits, min_size=1, max_size=9)
replicas = st.lists(parts, min_size=1, max_size=3).map("-".join)
services = st.builds("{}{}".format, st.sampled_from(string.ascii_lowercase), replicas).map(
    ServiceId
)


@given(services)
def test_a_service_of_letters_digits_and_single_hyphens_is_accepted(service: ServiceId) -> None:
    assert parse_service(service) == service


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Gatekeeper",
        "gate_keeper",
        "gate--keeper",
        "-gate",
        "gate-",
        "1gate",
        "gate.keeper",
        "gate/keeper",
        "gate keeper",
        "gate*",
        "gate>",
        "gäte",
        "gate\n",
        "a" * 41,
    ],
)
def test_any_other_service_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="service"):
        parse_service(text)


@given(st.text(alphabet=string.printable, max_size=50))
def test_an_accepted_service_is_safe_in_paths_subjects_and_uris(text: str) -> None:
    try:
        service = parse_service(text)
    except ValueError:
        return
    assert set(service) <= set(string.ascii_lowercase + string.digits + "-")
    assert names.spiffe_id("example.test", service).count("/") == 3


@given(services, replicas)
def test_an_instance_gives_back_its_service_and_replica(service: ServiceId, replica: str) -> None:
    instance = instance_id(service, replica)
    assert service_of(instance) == service
    assert replica_of(instance) == replica


@pytest.mark.parametrize("text", ["", "A", "a b", "a.b", "a/b", "a--b", "*", ">", "a" * 41])
def test_any_other_replica_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="instance"):
        instance_id(ServiceId("gatekeeper"), text)


@pytest.mark.parametrize("text", ["auth.requests", "auth.requests.v2", "a.b_c-d"])
def test_a_topic_of_two_or_more_tokens_is_accepted(text: str) -> None:
    assert parse_topic(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "auth", "auth.", ".auth", "auth..x", "auth.*", "auth.>", "auth.X", "auth. x", "$SYS.x"],
)
def test_any_other_topic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        parse_topic(text)


def test_the_issuer_name_carries_epoch_and_key() -> None:
    name = names.issuer_common_name(EpochNumber(1469232), "9f2c41d07ab3e815" + "0" * 48)
    assert name == "nats-int e1469232 9f2c41d07ab3e815"


@given(services, services, replicas, replicas)
def test_names_of_different_instances_never_meet(
    one: ServiceId, other: ServiceId, first: str, second: str
) -> None:
    if (one, first) == (other, second):
        return
    left, right = instance_id(one, first), instance_id(other, second)
    key = KeyId("0" * 32)
    assert names.subject_attestation(left) != names.subject_attestation(right)
    assert names.kv_enrolled_key(left, key) != names.kv_enrolled_key(right, key)


@given(services, services)
def test_an_inbox_prefix_does_not_contain_another_one(one: ServiceId, other: ServiceId) -> None:
    if one != other:
        assert not f"{names.inbox_prefix(one)}.".startswith(f"{names.inbox_prefix(other)}.")


def test_paths_are_those_of_the_architecture_page() -> None:
    topic, key = Topic("auth.requests"), KeyId("ab" * 16)
    assert names.kv_topic_key(topic, EpochNumber(7)) == "topic-keys/auth.requests/7"
    assert names.kv_directory_entry(key) == f"directory/keys/{key}"
    assert names.kv_keeper_attestation("nats-1") == "attest/keeper/nats-1"
    assert names.kv_service_bundle(ServiceId("gatekeeper")) == "bundles/gatekeeper"
    assert names.service_transit_key(ServiceId("gatekeeper")) == "svc-gatekeeper"
    assert names.subject_bundle_push(ServiceId("gatekeeper")) == "metadata.bundle-push.gatekeeper"


@pytest.mark.parametrize("text", ["gatekeeper\n", "\ngatekeeper", "gatekeeper ", "gate\x00keeper"])
@pytest.mark.parametrize(
    "parse",
    [
        names.parse_service,
        names.parse_free_service,
        names.parse_replica,
        names.parse_durable,
        names.parse_stream,
        names.parse_topic,
        names.parse_trust_domain,
    ],
)
def test_no_name_has_white_space_at_its_ends(parse: Callable[[str], str], text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|is upper"):
        parse(text)


@pytest.mark.parametrize("text", ["auth-controller", "A_b-9", "x" * 63])
def test_a_durable_of_letters_digits_hyphens_and_underscores_is_accepted(text: str) -> None:
    assert names.parse_durable(text) == text


@pytest.mark.parametrize("text", ["", "a.b", "a*", "a>", "-a", "x" * 64])
def test_any_other_durable_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="durable"):
        names.parse_durable(text)


@pytest.mark.parametrize("text", ["securetransport.local", "a-b.c--d.e1", "x"])
def test_a_lower_case_domain_is_a_trust_domain(text: str) -> None:
    assert names.parse_trust_domain(text) == text


@pytest.mark.parametrize("text", ["", "A.b", "a..b", "-a.b", "a.b-", "a/b", "ü.de", "a" * 256])
def test_any_other_trust_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        names.parse_trust_domain(text)


@pytest.mark.parametrize("text", sorted(names.RESERVED_NAMES))
def test_a_name_of_the_platform_is_nobody_elses(text: str) -> None:
    assert parse_service(text) == text, "a reserved name that no rule lets through is none"
    with pytest.raises(ValueError, match="name of the platform"):
        names.parse_free_service(text)


@pytest.mark.parametrize("text", ["ansible-admin", "default", "root", "authority", "all"])
def test_the_names_that_mean_something_else_are_reserved(text: str) -> None:
    assert text in names.RESERVED_NAMES


def test_the_platforms_own_services_are_services() -> None:
    assert all(parse_service(service) == service for service in names.PLATFORM_SERVICES)
    assert Fingerprint("ab") == "ab"

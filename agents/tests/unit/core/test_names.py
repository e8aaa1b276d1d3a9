"""One name everywhere: what is accepted as one, and what is derived from it."""

from __future__ import annotations

import string

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


def test_the_platforms_own_services_are_services() -> None:
    assert all(parse_service(service) == service for service in names.PLATFORM_SERVICES)
    assert Fingerprint("ab") == "ab"

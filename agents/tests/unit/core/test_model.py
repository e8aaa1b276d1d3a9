"""Bodies of documents: strict, immutable, and silent about secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint, ServiceId, Topic
from securetransport.core.formats.body import Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.service_bundle import TopicKey
from securetransport.core.formats.trust_bundle import (
    TRUSTED_STATES,
    EpochState,
    RenewalWindow,
    TrustBundle,
    TrustedIssuer,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
versions = st.builds(
    lambda incarnation, counter: Version(incarnation=incarnation, counter=counter),
    st.integers(0, 5),
    st.integers(0, 10**6),
)
states = st.sampled_from(list(EpochState))
bundles = st.builds(
    TrustBundle,
    issuers=st.lists(
        st.builds(
            TrustedIssuer,
            epoch=st.integers(0, 10**9).map(EpochNumber),
            state=states,
            certificate=st.binary(max_size=40),
            fingerprint=st.just(Fingerprint("ab" * 32)),
            common_name=st.text(max_size=20),
            not_before=st.just(NOW),
            not_after=st.just(NOW + timedelta(hours=1)),
        ),
        max_size=4,
    ).map(tuple),
    active=st.none() | st.integers(0, 10**9).map(EpochNumber),
    digest=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
    renewal=st.none(),
)


@given(bundles)
def test_a_document_read_back_is_the_same(bundle: TrustBundle) -> None:
    assert TrustBundle.from_bytes(bundle.to_bytes()) == bundle


@given(bundles)
def test_writing_twice_gives_the_same_bytes(bundle: TrustBundle) -> None:
    assert bundle.to_bytes() == TrustBundle.from_bytes(bundle.to_bytes()).to_bytes()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_document_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        TrustBundle.from_bytes(data)


def test_an_unknown_field_is_refused() -> None:
    body = json.loads(TrustBundle(issuers=(), active=None, digest="00").to_bytes())
    body["root"] = "surprise"
    with pytest.raises(ValidationError, match="root"):
        TrustBundle.from_bytes(json.dumps(body).encode())


def test_a_document_cannot_be_changed() -> None:
    version = Version(counter=1)
    with pytest.raises(ValidationError, match="frozen"):
        version.counter = 2


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        DenyList.from_bytes(b'{"services": {"gatekeeper": "2026-01-01T00:00:00"}}')


@pytest.mark.parametrize("text", ["not base64!", "YQ", "YQ==\n", "ÿÿ=="])
def test_text_that_is_not_strict_base64_is_refused(text: str) -> None:
    body = {"topic": "auth.requests", "epoch": 1, "generation": 0, "secret": text}
    with pytest.raises(ValidationError, match="secret"):
        TopicKey.from_bytes(json.dumps(body).encode())


@given(versions, versions)
def test_versions_are_ordered_by_incarnation_then_counter(one: Version, other: Version) -> None:
    left, right = (one.incarnation, one.counter), (other.incarnation, other.counter)
    assert (one < other) == (left < right)
    assert (one <= other) == (left <= right)
    assert (one == other) == (left == right)


@given(st.lists(versions, min_size=2))
def test_sorted_versions_never_fall(found: list[Version]) -> None:
    assert all(one <= other for one, other in pairwise(sorted(found)))


@given(versions)
def test_the_next_version_is_higher_in_the_same_incarnation(version: Version) -> None:
    assert version.next() > version
    assert version.next().incarnation == version.incarnation
    assert str(version.next()) == f"{version.incarnation}.{version.counter + 1}"


def test_a_topic_key_never_shows_its_bytes() -> None:
    key = TopicKey(
        topic=Topic("auth.requests"), epoch=EpochNumber(7), generation=1, secret=b"S" * 32
    )
    for text in (repr(key), str(key), f"{key}", repr([key]), repr({"key": key})):
        assert "SSSS" not in text
        assert "U1NT" not in text
        assert "auth.requests" in text


def test_an_epoch_that_is_only_prepared_or_already_retired_is_not_trusted() -> None:
    untrusted = {
        EpochState.PLANNED,
        EpochState.PREPARED,
        EpochState.RETIRED,
        EpochState.DESTROYED,
    }
    assert not TRUSTED_STATES & untrusted
    assert EpochState.ACTIVE in TRUSTED_STATES


def test_a_deny_list_is_empty_by_default() -> None:
    assert DenyList() == DenyList.from_bytes(b"{}")
    assert ServiceId("gatekeeper") not in DenyList().services


@pytest.mark.parametrize("epoch", [-1, 253_402_300_800, 10**15, 10**30])
def test_a_document_of_an_impossible_epoch_is_refused(epoch: int) -> None:
    """No arithmetic sees it: the border is the document's own type."""
    body = json.dumps({"epoch": epoch, "opens_at": NOW.isoformat(), "closes_at": NOW.isoformat()})
    with pytest.raises(ValueError, match="epoch"):
        RenewalWindow.from_bytes(body.encode())

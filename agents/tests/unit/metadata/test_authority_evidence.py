"""Statements are believed only when signed, one's own, and about certificates one has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from authority_desk import GATEKEEPER, PROFILE, Desk
from enrolments import Enrolled

from certificates import TRUST_DOMAIN, Issuer
from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.base.names import Fingerprint, InstanceId
from securetransport.core.crypto.x509 import pem_to_der
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.server_report import ServerReport
from securetransport.core.ports import TlsIdentity
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.issuers import issuer_facts

WATCHER = InstanceId("watcher/1")
NAME = "nats-int e41 00000000000000aa"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer.root("root").intermediate(NAME)


@pytest.fixture
def store(desk: Desk, issuer: Issuer) -> EvidenceStore:
    keys = EnrolledKeys(desk.store, PROFILE)
    evidence = EvidenceStore(TRUST_DOMAIN, PROFILE, keys)
    evidence.know_issuers([issuer_facts("id", issuer.der)])
    return evidence


def attestation(desk: Desk, leaf: TlsIdentity | None, **changes: Any) -> Attestation:
    facts: dict[str, Any] = {
        "instance": GATEKEEPER,
        "boot_id": "ab" * 16,
        "bundle_version": Version(counter=1),
        "digest": "00" * 32,
        "leaf_fingerprints": (Fingerprint(leaf.fingerprint),) if leaf else (),
        "certificates": (pem_to_der(leaf.certificate),) if leaf else (),
        "attested_at": desk.clock.now(),
        **changes,
    }
    return Attestation(**facts)


def report(desk: Desk, **changes: Any) -> ServerReport:
    return ServerReport(**{"servers": (), "reported_at": desk.clock.now(), **changes})


async def enrolled(desk: Desk, instance: InstanceId) -> Enrolled:
    member = Enrolled(instance, desk.clock)
    await member.enrol(desk.store)
    return member


async def accept(store: EvidenceStore, desk: Desk, data: bytes) -> None:
    await store.accept_attestation(data, desk.clock.now(), desk.clock.now())


async def test_a_members_own_leaf_is_counted_for_its_epoch(
    desk: Desk, store: EvidenceStore, issuer: Issuer
) -> None:
    member = await enrolled(desk, GATEKEEPER)
    leaf = issuer.leaf(GATEKEEPER)
    await accept(store, desk, member.signed(DocumentKind.ATTESTATION, attestation(desk, leaf)))
    assert store.members[GATEKEEPER].leaf_epochs == {leaf.fingerprint: 41}


async def test_a_leaf_of_another_service_or_of_no_issuer_counts_for_no_epoch(
    desk: Desk, store: EvidenceStore, issuer: Issuer
) -> None:
    member = await enrolled(desk, GATEKEEPER)
    stranger = Issuer.root("root").intermediate(NAME)  # same name, another key
    for leaf in (issuer.leaf("auth-controller/1"), stranger.leaf(GATEKEEPER)):
        await accept(store, desk, member.signed(DocumentKind.ATTESTATION, attestation(desk, leaf)))
        assert store.members[GATEKEEPER].leaf_epochs == {}
        desk.clock.advance(1)


async def test_an_instance_cannot_attest_for_its_sibling(desk: Desk, store: EvidenceStore) -> None:
    member = await enrolled(desk, InstanceId("gatekeeper/2"))
    data = member.signed(DocumentKind.ATTESTATION, attestation(desk, None))
    with pytest.raises(RejectedDocumentError, match="another instance"):
        await accept(store, desk, data)
    assert store.members == {}


async def test_an_unknown_signer_is_refused(desk: Desk, store: EvidenceStore) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    data = member.signed(DocumentKind.ATTESTATION, attestation(desk, None))
    with pytest.raises(SecureTransportError):
        await accept(store, desk, data)


async def test_an_older_statement_that_arrives_late_changes_nothing(
    desk: Desk, store: EvidenceStore
) -> None:
    member = await enrolled(desk, GATEKEEPER)
    late = member.signed(DocumentKind.ATTESTATION, attestation(desk, None, digest="11" * 32))
    desk.clock.advance(1)
    newest = member.signed(DocumentKind.ATTESTATION, attestation(desk, None, digest="22" * 32))
    for data in (newest, late):
        await accept(store, desk, data)
    assert store.members[GATEKEEPER].attestation.digest == "22" * 32


async def test_a_member_that_is_silent_for_a_day_is_forgotten(
    desk: Desk, store: EvidenceStore
) -> None:
    first = await enrolled(desk, GATEKEEPER)
    await accept(store, desk, first.signed(DocumentKind.ATTESTATION, attestation(desk, None)))
    desk.clock.advance(timedelta(hours=24, seconds=1))
    other = await enrolled(desk, InstanceId("gatekeeper/2"))
    statement = attestation(desk, None, instance=other.instance)
    await accept(store, desk, other.signed(DocumentKind.ATTESTATION, statement))
    assert set(store.members) == {other.instance}


async def test_only_a_watcher_reports_servers(desk: Desk, store: EvidenceStore) -> None:
    member = await enrolled(desk, GATEKEEPER)
    data = member.signed(DocumentKind.SERVER_REPORT, report(desk))
    with pytest.raises(RejectedDocumentError, match="watcher"):
        await store.accept_report(data, desk.clock.now())
    assert store.report is None


async def test_the_newest_report_stays(desk: Desk, store: EvidenceStore) -> None:
    watcher = await enrolled(desk, WATCHER)
    late = watcher.signed(DocumentKind.SERVER_REPORT, report(desk))
    desk.clock.advance(1)
    newest = report(desk)
    for data in (watcher.signed(DocumentKind.SERVER_REPORT, newest), late):
        await store.accept_report(data, desk.clock.now())
    assert store.report == newest
    assert store.report_received_at == desk.clock.now()


@pytest.mark.parametrize(("ahead", "is_taken"), [(5, True), (6, False)])
async def test_a_report_of_the_future_is_refused_and_shadows_nothing(
    desk: Desk, store: EvidenceStore, ahead: int, *, is_taken: bool
) -> None:
    """Clocks may differ by the profile's skew, five seconds here."""
    watcher = await enrolled(desk, WATCHER)
    at = desk.clock.now() + timedelta(seconds=ahead)
    data = watcher.signed(DocumentKind.SERVER_REPORT, report(desk, reported_at=at))
    if is_taken:
        await store.accept_report(data, desk.clock.now())
    else:
        with pytest.raises(RejectedDocumentError, match="compare the watcher's clock"):
            await store.accept_report(data, desk.clock.now())
    desk.clock.advance(10)
    newest = report(desk)
    await store.accept_report(watcher.signed(DocumentKind.SERVER_REPORT, newest), desk.clock.now())
    assert store.report == newest


@pytest.mark.parametrize("data", [b"", b"junk", b"\x00" * 100])
async def test_junk_is_refused_by_an_error_of_ours(
    desk: Desk, store: EvidenceStore, data: bytes
) -> None:
    with pytest.raises(SecureTransportError):
        await accept(store, desk, data)
    with pytest.raises(SecureTransportError):
        await store.accept_report(data, desk.clock.now())


async def test_a_signed_body_of_another_kind_is_refused(desk: Desk, store: EvidenceStore) -> None:
    watcher = await enrolled(desk, WATCHER)
    data = watcher.signed(DocumentKind.ATTESTATION, report(desk))
    with pytest.raises(RejectedDocumentError, match="invalid body"):
        await accept(store, desk, data)
    data = watcher.signed(DocumentKind.SERVER_REPORT, attestation(desk, None))
    with pytest.raises(RejectedDocumentError, match="invalid body"):
        await store.accept_report(data, desk.clock.now())

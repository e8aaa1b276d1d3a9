"""Builders of documents for tests: valid by default, each argument changes one thing.

The certificates in them are made-up bytes: fit for decisions, digests and codecs, not for TLS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from securetransport.core.base.epochs import EpochNumber, EpochSchedule
from securetransport.core.base.names import Fingerprint, Topic, issuer_common_name
from securetransport.core.base.profile import PROFILES
from securetransport.core.formats.service_bundle import TopicKey
from securetransport.core.formats.trust_bundle import (
    TRUSTED_STATES,
    EpochState,
    TrustBundle,
    TrustedIssuer,
)
from securetransport.core.trust.bundle import trust_digest

SCHEDULE: EpochSchedule = PROFILES["compressed"].ca_schedule


def an_issuer(
    epoch: int,
    state: EpochState = EpochState.ACTIVE,
    *,
    schedule: EpochSchedule = SCHEDULE,
    not_after: datetime | None = None,
) -> TrustedIssuer:
    """Return the intermediate of ``epoch``; the same epoch always gives the same bytes."""
    number = EpochNumber(epoch)
    der = b"intermediate of epoch " + str(epoch).encode()
    digest = hashlib.sha256(der).hexdigest()
    return TrustedIssuer(
        epoch=number,
        state=state,
        certificate=der,
        fingerprint=Fingerprint(digest),
        common_name=issuer_common_name(number, digest),
        not_before=schedule.start_of(number) - timedelta(minutes=2),
        not_after=not_after or schedule.expiry_of(number),
    )


def trust_bundle(issuers: Iterable[TrustedIssuer]) -> TrustBundle:
    """Return the bundle of ``issuers`` with its digest and its active epoch."""
    ordered = tuple(sorted(issuers, key=lambda issuer: issuer.epoch))
    active = [issuer.epoch for issuer in ordered if issuer.state is EpochState.ACTIVE]
    trusted = (issuer.certificate for issuer in ordered if issuer.state in TRUSTED_STATES)
    return TrustBundle(
        issuers=ordered, active=active[-1] if active else None, digest=trust_digest(trusted)
    )


def a_topic_key(topic: str = "auth.requests", epoch: int = 1, generation: int = 1) -> TopicKey:
    """Return a topic key whose bytes follow from its name."""
    secret = hashlib.sha256(f"{topic} {epoch} {generation}".encode()).digest()
    return TopicKey(
        topic=Topic(topic), epoch=EpochNumber(epoch), generation=generation, secret=secret
    )

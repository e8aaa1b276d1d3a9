"""What verifiers are told: the TrustBundle that follows from the record.

The bundle is a function of the record alone, so a crash between writing the record and publishing
is repaired by publishing again; equal bodies are not published twice, except to renew their time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca.observation import PublishedBundle
from securetransport.core.decisions.ca.record import CaEpoch, RotationRecord
from securetransport.core.formats.trust_bundle import (
    EpochState,
    RenewalWindow,
    TrustBundle,
    TrustedIssuer,
)
from securetransport.core.trust import bundle as trust

_TOLD_AS = {EpochState.CONFIRMED: EpochState.DISTRIBUTED}
"""Confirmation changes nothing for a verifier, so it is not worth a new document."""
_FLEET_RATE_PER_SECOND = 20


def wanted_bundle(record: RotationRecord) -> TrustBundle:
    """Return the TrustBundle that should be in force now."""
    issuers = tuple(_entry(epoch) for epoch in record.trusted if epoch.issuer is not None)
    active = record.active
    return TrustBundle(
        issuers=issuers,
        active=active.epoch if active else None,
        digest=trust.trust_digest(entry.certificate for entry in issuers),
        renewal=record.renewal,
    )


def must_publish(
    record: RotationRecord, published: PublishedBundle | None, now: datetime, profile: Profile
) -> bool:
    """Tell whether the bundle in KV differs from the wanted one, or would soon expire."""
    wanted = wanted_bundle(record)
    if not wanted.issuers:
        return False
    if published is None or published.bundle != wanted:
        return True
    return now - published.created_at >= lifetime(profile) / 2


def lifetime(profile: Profile) -> timedelta:
    """Return how long a published TrustBundle may be accepted.

    As long as a leaf lives: without OpenBao a member can go on no longer than its leaf anyway.
    """
    return profile.leaf_validity


def renewal_window(epoch: CaEpoch, now: datetime, profile: Profile, members: int) -> RenewalWindow:
    """Return when members move onto the newly active epoch.

    Args:
        epoch: The active epoch.
        now: The instant when every server serves it.
        profile: The durations.
        members: Connections counted now; at most 20 of them shall renew per second.
    """
    spread = timedelta(seconds=members / _FLEET_RATE_PER_SECOND)
    longest = min(profile.renewal_window, profile.ca_period / 5)
    shortest = min(timedelta(seconds=1), longest)
    return RenewalWindow(
        epoch=epoch.epoch, opens_at=now, closes_at=now + min(max(spread, shortest), longest)
    )


def _entry(epoch: CaEpoch) -> TrustedIssuer:
    issuer = epoch.issuer
    if issuer is None:
        raise ValueError(f"epoch {epoch.epoch} is trusted but has no issuer")
    return TrustedIssuer(
        epoch=epoch.epoch,
        state=_TOLD_AS.get(epoch.state, epoch.state),
        certificate=issuer.certificate,
        fingerprint=issuer.fingerprint,
        common_name=issuer.common_name,
        not_before=issuer.not_before,
        not_after=issuer.not_after,
    )

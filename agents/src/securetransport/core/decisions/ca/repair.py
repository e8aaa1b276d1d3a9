"""Repair: the mount and the published bundle follow the record (rules 1 and 2 of ``decide``)."""

from __future__ import annotations

from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca.bundle import must_publish
from securetransport.core.decisions.ca.observation import MountIssuer, Observation
from securetransport.core.decisions.ca.record import CaEpoch, RotationRecord
from securetransport.core.decisions.ca.steps import (
    NameIssuer,
    Publish,
    RemoveIssuer,
    SetUsage,
    Step,
)
from securetransport.core.formats.trust_bundle import EpochState


def repair_mount(seen: Observation, record: RotationRecord) -> Step | None:
    """Rule 1."""
    by_name = {entry.issuer_name: entry for entry in record.live()}
    for issuer in seen.issuers:
        owner = by_name.get(issuer.made_as)
        step = _of_nobody(issuer, record) if owner is None else _of(owner, issuer, record)
        if step is not None:
            return step
    return None


def _of_nobody(issuer: MountIssuer, record: RotationRecord) -> Step | None:
    if issuer.is_default and record.active is not None:
        return None  # first give the mount its right default, then remove this one
    return RemoveIssuer(issuer)


def _of(owner: CaEpoch, issuer: MountIssuer, record: RotationRecord) -> Step | None:
    if owner.issuer is None and not issuer.name:
        return NameIssuer(issuer, issuer.made_as)
    if owner.issuer is None and not issuer.key_id:
        return RemoveIssuer(issuer)  # it can never sign, and its name is wanted
    is_active = owner == record.active
    if is_active and not (issuer.may_issue and issuer.is_default):
        return SetUsage(issuer, may_issue=True, make_default=True)
    if issuer.may_issue and not is_active and _may_stop(record, owner):
        return SetUsage(issuer, may_issue=False, make_default=False)
    return None


def _may_stop(record: RotationRecord, owner: CaEpoch) -> bool:
    """Tell whether an issuer that is not the active one must stop signing.

    The one just replaced goes on until its demotion, so that a bad start of the new one can be
    taken back without a gap in issuing.
    """
    active = record.active
    if active is None or owner.state is not EpochState.LEGACY:
        return True
    return record.is_demoted or owner.entered(EpochState.LEGACY) != active.entered(
        EpochState.ACTIVE
    )


def publish(seen: Observation, record: RotationRecord, profile: Profile) -> Step | None:
    """Rule 2."""
    return Publish() if must_publish(record, seen.published, seen.now, profile) else None

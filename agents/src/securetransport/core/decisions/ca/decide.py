"""The next safe step of the CA rotation: one pure function of what is seen and what is remembered.

:func:`decide` is asked after every look at the world and answers with exactly one step. Steps are
carried out elsewhere, record first; the next call sees whether that worked. Nothing here remembers
anything, so a crash at any point is resumed by looking again.

Rules, in the order in which they are tried:

1. OpenBao does what the record says: the active issuer, and before its demotion the one before it,
   may sign; the active one is the default; issuers that no record names are removed.
2. The TrustBundle in force is the one that follows from the record, and is not about to expire.
3. One candidate at a time walks ``planned, prepared, distributed, confirmed, active``:
   a. distributed is confirmed when every server and every connected member shows the new trust set;
   b. confirmed is activated when its start is reached **and that evidence still holds**;
   c. a candidate whose whole period passed is overtaken by a newer one.
4. The epoch before is demoted when every server serves a leaf of the active one.
5. An expired issuer is retired, and destroyed when every keeper has dropped it, or a period later.
   This does not happen while a candidate's trust set is being confirmed.
6. A new epoch is planned when its lead begins, or at once when the current one has no issuer.
7. Nobody can veto a rotation to death: at the deadline, ``active.not_after - leaf - margin``, a
   gate is passed without its evidence, and what was missing is kept by name.
8. Cold start: when no issuer that ever signed is still valid, no leaf in the world is, so there is
   nobody whom a new issuer could surprise; rules 3a and 3b need no evidence then.

Source: docs/rotation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.profile import MAX_LIVE_ISSUERS, Profile
from securetransport.core.decisions.ca import gates
from securetransport.core.decisions.ca.bundle import must_publish, wanted_bundle
from securetransport.core.decisions.ca.observation import MountIssuer, Observation
from securetransport.core.decisions.ca.record import CaEpoch, RotationRecord
from securetransport.core.formats.trust_bundle import EpochState

_CANDIDATE_STATES = (
    EpochState.PLANNED,
    EpochState.PREPARED,
    EpochState.DISTRIBUTED,
    EpochState.CONFIRMED,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Remember that ``epoch`` shall exist."""

    epoch: EpochNumber


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make key and certificate of a planned epoch inside OpenBao."""

    epoch: CaEpoch


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over the issuer that a crashed preparation left complete."""

    epoch: CaEpoch
    issuer: MountIssuer


@dataclass(frozen=True, slots=True)
class RemoveIssuer:
    """Delete an issuer, and its key, that no live epoch of the record names."""

    issuer: MountIssuer


@dataclass(frozen=True, slots=True)
class SetUsage:
    """Let an issuer sign, or stop it; with ``make_default`` it also becomes the default."""

    issuer: MountIssuer
    may_issue: bool
    make_default: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """Sign and publish the TrustBundle that follows from the record."""


@dataclass(frozen=True, slots=True)
class Move:
    """Move one epoch to another state in the record.

    Attributes:
        epoch: The epoch as it is.
        state: Where it goes.
        missing: Evidence that was missing when the deadline let it pass; empty in good times.
    """

    epoch: CaEpoch
    state: EpochState
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Activate:
    """Make ``epoch`` the signing epoch; the one before becomes legacy in the same write."""

    epoch: CaEpoch
    previous: CaEpoch | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Demote:
    """Every server serves ``active``: stop the issuer before it, announce the renewal window."""

    active: CaEpoch
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now.

    Attributes:
        epoch: The epoch that waits, ``None`` when all is done.
        step: The step it waits to take.
        waits_for: Missing evidence; empty when only time must pass.
        until: When the wait ends in any case.
    """

    epoch: EpochNumber | None
    step: str
    waits_for: tuple[str, ...]
    until: datetime | None


Step = Plan | Prepare | Adopt | RemoveIssuer | SetUsage | Publish | Move | Activate | Demote | Wait


def decide(seen: Observation, record: RotationRecord, profile: Profile) -> Step:
    """Return the next step.

    Args:
        seen: The world, now.
        record: What the authority remembers, as just read.
        profile: The durations of this deployment.
    """
    repair = _repair_mount(seen, record) or _publish(seen, record, profile)
    if repair is not None:
        return repair
    demotion = _demote(seen, record, profile)
    if isinstance(demotion, Demote):
        return demotion
    candidate = _candidate(record)
    if candidate is None:
        step = _clean_up(seen, record, profile) or _plan(seen, record, profile)
        return step or demotion or _idle(seen, profile)
    # Before the candidate was told to anybody the trust set may still change; a full mount must.
    makes_room = _clean_up(seen, record, profile) if candidate.issuer is None else None
    return makes_room or _advance(seen, record, profile, candidate)


def _candidate(record: RotationRecord) -> CaEpoch | None:
    """Return the epoch on its way to activation; the newest, if a crash left several."""
    active = record.active
    found = [
        entry
        for entry in record.in_states(_CANDIDATE_STATES)
        if active is None or entry.epoch > active.epoch
    ]
    return found[-1] if found else None


def _repair_mount(seen: Observation, record: RotationRecord) -> Step | None:
    """Rule 1."""
    active = record.active
    by_name = {entry.issuer_name: entry for entry in record.live()}
    for issuer in seen.issuers:
        owner = by_name.get(issuer.name)
        if owner is None:
            if issuer.is_default and active is not None:
                continue  # first give the mount its right default, then remove this one
            return RemoveIssuer(issuer)
        if owner == active and not (issuer.may_issue and issuer.is_default):
            return SetUsage(issuer, may_issue=True, make_default=True)
        if issuer.may_issue and owner != active and _may_stop(record, owner):
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
    return is_demoted(record) or owner.entered(EpochState.LEGACY) != active.entered(
        EpochState.ACTIVE
    )


def is_demoted(record: RotationRecord) -> bool:
    """Tell whether the renewal window of the active epoch was announced (rule 4 is done)."""
    active = record.active
    return (
        active is not None and record.renewal is not None and (record.renewal.epoch == active.epoch)
    )


def _publish(seen: Observation, record: RotationRecord, profile: Profile) -> Step | None:
    """Rule 2."""
    return Publish() if must_publish(record, seen.published, seen.now, profile) else None


def _advance(
    seen: Observation, record: RotationRecord, profile: Profile, candidate: CaEpoch
) -> Step:
    """Rule 3: one step of the candidate."""
    schedule = profile.ca_schedule
    if schedule.end_of(candidate.epoch) <= seen.now:
        return _overtaken(candidate)
    if candidate.state is EpochState.PLANNED:
        return _prepare(seen, candidate)
    if candidate.state is EpochState.PREPARED:
        return Move(candidate, EpochState.DISTRIBUTED)
    missing = _missing_trust(seen, record, candidate)
    deadline = deadline_of(record, profile)
    may_pass = not missing or (deadline is not None and seen.now >= deadline)
    if candidate.state is EpochState.DISTRIBUTED and may_pass:
        return Move(candidate, EpochState.CONFIRMED, missing)
    start = schedule.start_of(candidate.epoch)
    if candidate.state is EpochState.CONFIRMED and may_pass and seen.now >= start:
        return Activate(candidate, record.active, missing)
    waits_to = "activate" if candidate.state is EpochState.CONFIRMED else "confirm"
    return Wait(candidate.epoch, waits_to, missing, deadline if missing else start)


def _overtaken(candidate: CaEpoch) -> Step:
    """Rule 3c: what was told to verifiers leaves as legacy, what was not is abandoned."""
    was_told = candidate.state in (EpochState.DISTRIBUTED, EpochState.CONFIRMED)
    return Move(candidate, EpochState.LEGACY if was_told else EpochState.ABANDONED)


def _prepare(seen: Observation, candidate: CaEpoch) -> Step:
    for issuer in seen.issuers:
        if issuer.name == candidate.issuer_name:
            return Adopt(candidate, issuer)
    if len(seen.issuers) >= MAX_LIVE_ISSUERS:
        line = f"OpenBao: {len(seen.issuers)} issuers in the mount, {MAX_LIVE_ISSUERS} allowed"
        return Wait(candidate.epoch, "prepare", (line,), None)
    return Prepare(candidate)


def _missing_trust(
    seen: Observation, record: RotationRecord, candidate: CaEpoch
) -> tuple[str, ...]:
    """Return the evidence still missing for trust-before-use (rules 3a, 3b and 8)."""
    if is_cold(record, seen.now):
        return ()
    since = candidate.entered(EpochState.DISTRIBUTED) or seen.now
    bundle = wanted_bundle(record)
    servers = gates.servers_confirm(seen, bundle, since)
    members = gates.members_confirm(seen, bundle, since)
    return tuple(dict.fromkeys(servers + members))


def is_cold(record: RotationRecord, now: datetime) -> bool:
    """Rule 8: no issuer that ever signed is still valid."""
    return not any(
        entry.issuer is not None
        and entry.entered(EpochState.ACTIVE) is not None
        and now < entry.issuer.not_after
        for entry in record.epochs
    )


def deadline_of(record: RotationRecord, profile: Profile) -> datetime | None:
    """Rule 7: the last instant at which the active issuer can still give a full leaf."""
    active = record.active
    if active is None or active.issuer is None:
        return None
    return active.issuer.not_after - profile.leaf_validity - profile.retire_margin


def _demote(seen: Observation, record: RotationRecord, profile: Profile) -> Demote | Wait | None:
    """Rule 4."""
    active = record.active
    if active is None or active.issuer is None or is_demoted(record):
        return None
    since = active.entered(EpochState.ACTIVE) or seen.now
    missing = gates.servers_present(seen, active.issuer.common_name, since)
    deadline = deadline_of(record, profile)
    if not missing or (deadline is not None and seen.now >= deadline):
        return Demote(active, missing)
    return Wait(active.epoch, "demote", missing, deadline)


def _clean_up(seen: Observation, record: RotationRecord, profile: Profile) -> Step | None:
    """Rule 5. A period after its end nothing accepts an issuer, whatever a silent keeper holds."""
    for entry in record.in_states({EpochState.LEGACY}):
        if entry.issuer is not None and seen.now >= entry.issuer.not_after:
            return Move(entry, EpochState.RETIRED)
    for entry in record.in_states({EpochState.ABANDONED}):
        return Move(entry, EpochState.DESTROYED)
    for entry in record.in_states({EpochState.RETIRED}):
        is_long_over = entry.issuer is None or (
            seen.now >= entry.issuer.not_after + profile.ca_period
        )
        if is_long_over or not gates.keepers_attest(seen, wanted_bundle(record)):
            return Move(entry, EpochState.DESTROYED)
    return None


def _plan(seen: Observation, record: RotationRecord, profile: Profile) -> Step | None:
    """Rule 6."""
    schedule = profile.ca_schedule
    current = schedule.number_at(seen.now)
    active = record.active
    if active is None or active.epoch < current:
        return Plan(current)
    following = EpochNumber(current + 1)
    lead_begins = schedule.start_of(following) - profile.ca_lead
    if active.epoch < following and seen.now >= lead_begins:
        return Plan(following)
    return None


def _idle(seen: Observation, profile: Profile) -> Wait:
    schedule = profile.ca_schedule
    following = EpochNumber(schedule.number_at(seen.now) + 1)
    return Wait(None, "plan", (), schedule.start_of(following) - profile.ca_lead)

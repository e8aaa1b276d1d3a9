"""An epoch on its way to become active (rules 3, 6 and 8 of ``decide``)."""

from __future__ import annotations

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.profile import MAX_LIVE_ISSUERS, Profile
from securetransport.core.decisions.ca import gates
from securetransport.core.decisions.ca.bundle import wanted_bundle
from securetransport.core.decisions.ca.observation import Observation
from securetransport.core.decisions.ca.record import CaEpoch, RotationRecord
from securetransport.core.decisions.ca.steps import Activate, Adopt, Move, Plan, Prepare, Step
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.trust_bundle import EpochState


def advance(
    seen: Observation, record: RotationRecord, profile: Profile, candidate: CaEpoch
) -> Step | Wait:
    """Rule 3: one step of the candidate."""
    schedule = profile.ca_schedule
    if schedule.end_of(candidate.epoch) <= seen.now:
        return _overtaken(candidate)
    if candidate.state is EpochState.PLANNED:
        return _prepare(seen, candidate)
    if candidate.state is EpochState.PREPARED:
        return Move(candidate, EpochState.DISTRIBUTED)
    missing = _missing_trust(seen, record, profile, candidate)
    deadline = gates.deadline_of(record, profile)
    may_pass = not missing or gates.is_past(deadline, seen.now)
    if candidate.state is EpochState.DISTRIBUTED and may_pass:
        return Move(candidate, EpochState.CONFIRMED, missing)
    start = schedule.start_of(candidate.epoch)
    if candidate.state is EpochState.CONFIRMED and may_pass and seen.now >= start:
        return Activate(candidate, record.active, missing)
    waits_to = "activate" if candidate.state is EpochState.CONFIRMED else "confirm"
    return Wait(missing, deadline if missing else start, waits_to, candidate.epoch)


def plan(seen: Observation, record: RotationRecord, profile: Profile) -> Step | None:
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


def idle(seen: Observation, profile: Profile) -> Wait:
    """Return until when there is nothing to do."""
    schedule = profile.ca_schedule
    following = EpochNumber(schedule.number_at(seen.now) + 1)
    return Wait(until=schedule.start_of(following) - profile.ca_lead, step="plan")


def _overtaken(candidate: CaEpoch) -> Step:
    """Rule 3c: what was told to verifiers leaves as legacy, what was not is abandoned."""
    was_told = candidate.state in (EpochState.DISTRIBUTED, EpochState.CONFIRMED)
    return Move(candidate, EpochState.LEGACY if was_told else EpochState.ABANDONED)


def _prepare(seen: Observation, candidate: CaEpoch) -> Step | Wait:
    """Rule 3d. Rule 1 has named and stopped what is there, and removed what has no key."""
    for issuer in seen.issuers:
        if issuer.name == candidate.issuer_name:
            return Adopt(candidate, issuer)
    if len(seen.issuers) >= MAX_LIVE_ISSUERS:
        line = f"OpenBao: {len(seen.issuers)} issuers in the mount, {MAX_LIVE_ISSUERS} allowed"
        return Wait((line,), None, "prepare", candidate.epoch)
    return Prepare(candidate)


def _missing_trust(
    seen: Observation, record: RotationRecord, profile: Profile, candidate: CaEpoch
) -> tuple[str, ...]:
    """Return the evidence still missing for trust-before-use (rules 3a, 3b and 8)."""
    if record.is_cold(seen.now):
        return ()
    since = candidate.entered(EpochState.DISTRIBUTED) or seen.now
    bundle = wanted_bundle(record)
    servers = gates.servers_confirm(seen, bundle, since)
    members = gates.members_confirm(seen, bundle, since, profile.clock_skew)
    return tuple(dict.fromkeys(servers + members))

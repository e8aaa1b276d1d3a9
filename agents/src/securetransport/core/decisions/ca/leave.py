"""An epoch on its way out: demoted, retired, destroyed (rules 4 and 5 of ``decide``).

An epoch leaves when its certificate expires; moving connections off it earlier belongs here.
"""

from __future__ import annotations

from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca import gates
from securetransport.core.decisions.ca.bundle import wanted_bundle
from securetransport.core.decisions.ca.observation import Observation
from securetransport.core.decisions.ca.record import RotationRecord
from securetransport.core.decisions.ca.steps import Demote, Move, Step
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.trust_bundle import EpochState


def demote(seen: Observation, record: RotationRecord, profile: Profile) -> Demote | Wait | None:
    """Rule 4; ``None`` when the active epoch is alone already."""
    active = record.active
    if active is None or active.issuer is None or record.is_demoted:
        return None
    since = active.entered(EpochState.ACTIVE) or seen.now
    missing = gates.servers_present(seen, active.issuer.common_name, since)
    deadline = gates.deadline_of(record, profile)
    if not missing or gates.is_past(deadline, seen.now):
        return Demote(active, missing)
    return Wait(missing, deadline, "demote", active.epoch)


def make_room(seen: Observation, record: RotationRecord, profile: Profile) -> Step | None:
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

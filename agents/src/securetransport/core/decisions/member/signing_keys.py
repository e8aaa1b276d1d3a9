"""The signing keys of an instance: one per key epoch, made here, enrolled, forgotten in time.

Rules, the first that applies:

1. A key whose epoch is over is forgotten, before anything that may fail: whoever signs with it is
   refused by every receiver.
2. The current epoch has an enrolled key.
3. So has the next one, from ``key_lead`` before its start on.

To sign with (:func:`for_signing`): the newest key of a started epoch that is valid now and known to
those who verify. There is no other; without one nothing is signed.

Source: docs/rotation.md, "Keys".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from securetransport.core.base.epochs import EpochNumber, EpochSchedule
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.wait import Wait


@dataclass(frozen=True, slots=True)
class Observation:
    """What an instance knows of its keys.

    Attributes:
        now: Wall clock.
        held: Epochs of which it has a key.
        enrolled: Those whose key OpenBao has taken.
    """

    now: datetime
    held: frozenset[EpochNumber]
    enrolled: frozenset[EpochNumber]


@dataclass(frozen=True, slots=True)
class EnrolKey:
    """Enrol the key of an epoch, made now if there is none."""

    epoch: EpochNumber


@dataclass(frozen=True, slots=True)
class ForgetKey:
    """Forget the key of an epoch."""

    epoch: EpochNumber


Step = EnrolKey | ForgetKey


def decide(seen: Observation, profile: Profile) -> Step | Wait:
    """Return the next step, by the rules of this module."""
    schedule = profile.key_schedule
    for epoch in sorted(seen.held):
        if seen.now >= schedule.expiry_of(epoch):
            return ForgetKey(epoch)
    current = schedule.number_at(seen.now)
    if current not in seen.enrolled:
        return EnrolKey(current)
    following = EpochNumber(current + 1)
    lead = schedule.start_of(following) - profile.key_lead
    if following in seen.enrolled:
        return Wait(until=schedule.start_of(following))
    return EnrolKey(following) if seen.now >= lead else Wait(until=lead)


def for_signing(
    known: Iterable[EpochNumber], schedule: EpochSchedule, now: datetime
) -> EpochNumber | None:
    """Return the epoch whose key signs now; ``None`` when there is none.

    Args:
        known: Epochs whose key is held and known to those who verify.
        schedule: Of key epochs.
        now: Wall clock.
    """
    return max((epoch for epoch in known if schedule.is_valid(epoch, now)), default=None)

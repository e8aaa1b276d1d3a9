"""Rules of ``core.decisions.member.signing_keys``, one test or more for each."""

from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.profile import PROFILES
from securetransport.core.decisions.member.signing_keys import (
    EnrolKey,
    ForgetKey,
    Observation,
    Step,
    decide,
    for_signing,
)
from securetransport.core.decisions.wait import Wait
from securetransport.testing.clock import START

PROFILE = PROFILES["compressed"]
SCHEDULE = PROFILE.key_schedule
NOW = SCHEDULE.number_at(START)
BEGIN = SCHEDULE.start_of(NOW)


def epoch(distance: int) -> EpochNumber:
    return EpochNumber(NOW + distance)


def step(at: datetime, held: set[int], enrolled: set[int] | None = None) -> Step | Wait:
    known = held if enrolled is None else enrolled
    seen = Observation(at, frozenset(map(epoch, held)), frozenset(map(epoch, known)))
    return decide(seen, PROFILE)


def test_key_whose_epoch_is_over_is_forgotten_before_anything_that_may_fail() -> None:  # rule 1
    old = -int(PROFILE.key_validity / PROFILE.key_period)
    assert step(BEGIN, {old}) == ForgetKey(epoch(old))
    assert step(BEGIN - timedelta(seconds=1), {old, -1}) != ForgetKey(epoch(old))


def test_current_epoch_has_an_enrolled_key() -> None:  # rule 2
    assert step(BEGIN, set()) == EnrolKey(epoch(0))
    assert step(BEGIN, {0}, set()) == EnrolKey(epoch(0))


def test_next_key_is_enrolled_from_its_lead_on() -> None:  # rule 3
    lead = SCHEDULE.start_of(epoch(1)) - PROFILE.key_lead
    assert step(lead - timedelta(seconds=1), {0}) == Wait(until=lead)
    assert step(lead, {0}) == EnrolKey(epoch(1))
    assert step(lead, {0, 1}) == Wait(until=SCHEDULE.start_of(epoch(1)))


def test_newest_valid_key_signs_and_one_of_a_coming_epoch_never() -> None:
    assert for_signing([epoch(-1), epoch(0), epoch(1)], SCHEDULE, BEGIN) == epoch(0)
    assert for_signing([epoch(-1), epoch(1)], SCHEDULE, BEGIN) == epoch(-1)


def test_key_of_an_epoch_that_is_over_never_signs() -> None:
    assert for_signing([epoch(-1)], SCHEDULE, SCHEDULE.expiry_of(epoch(-1))) is None

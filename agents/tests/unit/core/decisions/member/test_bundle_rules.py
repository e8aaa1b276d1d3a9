"""Rules of ``core.decisions.member.bundle``, one test or more for each."""

from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.base.profile import PROFILES
from securetransport.core.decisions.member.bundle import FetchBundle, Observation, decide
from securetransport.testing.clock import START

PROFILE = PROFILES["compressed"]
SCHEDULE = PROFILE.key_schedule
BOUNDARY = SCHEDULE.start_of(SCHEDULE.number_at(START))


def at(seconds: float) -> datetime:
    return BOUNDARY + timedelta(seconds=seconds)


def reason(
    now: datetime,
    fetched_at: datetime | None,
    *,
    has_notice: bool = False,
    misses_next: bool = False,
    share: float = 1.0,
) -> str | None:
    step = decide(Observation(now, fetched_at, has_notice, misses_next, share), PROFILE)
    return step.reason if isinstance(step, FetchBundle) else None


def test_without_a_bundle_it_is_fetched() -> None:  # rule 1
    assert reason(at(1), None) == "first"


def test_notice_fetches_at_once() -> None:  # rule 2
    assert reason(at(7), at(6), has_notice=True) == "notice"


def test_boundary_fetches_once_after_the_refresh_delay() -> None:  # rule 3
    assert reason(at(4.9), at(-3)) is None
    assert reason(at(5), at(-3)) == "boundary"
    assert reason(at(20), at(5.1)) is None


def test_missing_keys_of_the_next_epoch_are_fetched_within_the_lead() -> None:  # rule 4
    assert reason(at(24), at(6), misses_next=True) is None
    assert reason(at(25), at(6), misses_next=True) == "lead"
    assert reason(at(29), at(6)) is None


def test_instances_refresh_at_different_instants() -> None:
    assert reason(at(2.5), at(-3), share=0.0) == "boundary"
    assert reason(at(2.5), at(-3), share=1.0) is None

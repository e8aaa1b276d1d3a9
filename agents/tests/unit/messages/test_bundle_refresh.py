from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.base.profile import PROFILES
from securetransport.messages.bundle import BundleState, refresh_reason
from securetransport.testing.clock import START

PROFILE = PROFILES["compressed"]
SCHEDULE = PROFILE.key_schedule
BOUNDARY = SCHEDULE.start_of(SCHEDULE.number_at(START))


def at(seconds: float) -> datetime:
    return BOUNDARY + timedelta(seconds=seconds)


def state(
    fetched_at: datetime | None,
    *,
    has_notice: bool = False,
    misses_next: bool = False,
    share: float = 1.0,
) -> BundleState:
    return BundleState(fetched_at, has_notice, misses_next, share)


def test_without_a_bundle_it_is_fetched() -> None:
    assert refresh_reason(state(None), PROFILE, at(1)) == "first"


def test_notice_fetches_at_once() -> None:
    assert refresh_reason(state(at(6), has_notice=True), PROFILE, at(7)) == "notice"


def test_boundary_fetches_once_after_the_refresh_delay() -> None:
    assert refresh_reason(state(at(-3)), PROFILE, at(4.9)) is None
    assert refresh_reason(state(at(-3)), PROFILE, at(5)) == "boundary"
    assert refresh_reason(state(at(5.1)), PROFILE, at(20)) is None


def test_missing_keys_of_the_next_epoch_are_fetched_within_the_lead() -> None:
    waiting = state(at(6), misses_next=True)
    assert refresh_reason(waiting, PROFILE, at(24)) is None
    assert refresh_reason(waiting, PROFILE, at(25)) == "lead"
    assert refresh_reason(state(at(6)), PROFILE, at(29)) is None


def test_instances_refresh_at_different_instants() -> None:
    early, late = state(at(-3), share=0.0), state(at(-3), share=1.0)
    assert refresh_reason(early, PROFILE, at(2.5)) == "boundary"
    assert refresh_reason(late, PROFILE, at(2.5)) is None

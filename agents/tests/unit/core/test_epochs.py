"""Laws of epoch arithmetic (docs/decisions/0003-epochs.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base.epochs import UNIX_START, EpochNumber, EpochSchedule
from securetransport.core.base.profile import PROFILES

TICK = timedelta(microseconds=1)

instants = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001  # hypothesis wants bounds without a zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001  # as above
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-11, minutes=-30))]
    ),
)
periods = st.integers(1, 7 * 86400).map(lambda seconds: timedelta(seconds=seconds))
# Up to 20 valid epochs, and a part of one: validity need not be a multiple.
schedules = periods.flatmap(
    lambda period: st.builds(
        EpochSchedule,
        st.just(period),
        st.timedeltas(min_value=period, max_value=20 * period),
    )
)


@given(schedules, instants)
def test_an_instant_lies_in_its_epoch(schedule: EpochSchedule, at: datetime) -> None:
    epoch = schedule.number_at(at)
    assert schedule.start_of(epoch) <= at < schedule.end_of(epoch)


@given(schedules, st.integers(0, 10**7))
def test_an_epoch_starts_where_the_one_before_ends(schedule: EpochSchedule, number: int) -> None:
    number %= timedelta(days=36500) // schedule.period
    epoch, following = EpochNumber(number), EpochNumber(number + 1)
    assert schedule.end_of(epoch) == schedule.start_of(following)
    assert schedule.number_at(schedule.start_of(following)) == following
    assert schedule.number_at(schedule.end_of(epoch) - TICK) == epoch


@given(schedules, instants)
def test_the_number_depends_on_the_instant_not_on_its_zone(
    schedule: EpochSchedule, at: datetime
) -> None:
    assert schedule.number_at(at) == schedule.number_at(at.astimezone(UTC))


@given(schedules, instants)
def test_time_never_lowers_the_number(schedule: EpochSchedule, at: datetime) -> None:
    assert schedule.number_at(at) <= schedule.number_at(at + TICK)


@given(schedules, instants)
def test_the_epoch_of_now_is_always_valid(schedule: EpochSchedule, at: datetime) -> None:
    assert schedule.is_valid(schedule.number_at(at), at)


@given(schedules, instants)
def test_validity_is_half_open_and_counts_from_the_start(
    schedule: EpochSchedule, at: datetime
) -> None:
    epoch = schedule.number_at(at)
    start, expiry = schedule.start_of(epoch), schedule.expiry_of(epoch)
    assert expiry - start == schedule.validity
    assert not schedule.is_valid(epoch, start - TICK)
    assert schedule.is_valid(epoch, start)
    assert schedule.is_valid(epoch, expiry - TICK)
    assert not schedule.is_valid(epoch, expiry)


@given(schedules, instants)
def test_valid_epochs_are_all_and_only_the_valid_ones(
    schedule: EpochSchedule, at: datetime
) -> None:
    valid = schedule.valid_at(at)
    newest = schedule.number_at(at)
    assert valid[-1] == newest
    assert valid == list(range(valid[0], newest + 1))
    assert all(schedule.is_valid(epoch, at) for epoch in valid)
    assert not schedule.is_valid(EpochNumber(valid[0] - 1), at)
    assert not schedule.is_valid(EpochNumber(newest + 1), at)


@given(st.integers(1, 86400), st.integers(1, 8), instants)
def test_a_validity_of_n_periods_makes_n_epochs_valid(
    period: int, factor: int, at: datetime
) -> None:
    schedule = EpochSchedule(timedelta(seconds=period), timedelta(seconds=period) * factor)
    assert len(schedule.valid_at(at)) == factor


def test_counting_begins_in_1970() -> None:
    schedule = EpochSchedule(timedelta(minutes=20), timedelta(minutes=80))
    assert schedule.start_of(EpochNumber(0)) == UNIX_START
    at = datetime(2025, 11, 12, 10, 39, 59, tzinfo=UTC)
    assert schedule.number_at(at) == int(at.timestamp()) // 1200


def test_an_instant_without_a_zone_is_refused() -> None:
    schedule = EpochSchedule(timedelta(seconds=60), timedelta(seconds=240))
    with pytest.raises(ValueError, match="time zone"):
        schedule.number_at(datetime(2026, 1, 1))  # noqa: DTZ001  # that is the mistake


@pytest.mark.parametrize("seconds", [0, -60, 0.5, 60.25])
def test_a_period_of_parts_of_seconds_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        EpochSchedule(timedelta(seconds=seconds), timedelta(days=1))


def test_a_validity_below_the_period_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than period"):
        EpochSchedule(timedelta(seconds=60), timedelta(seconds=59))


@given(
    epoch=st.one_of(
        st.integers(min_value=-(10**40), max_value=10**40),
        st.sampled_from([10**15, -(10**15), 253_402_300_799, 2**63]),
    ),
    period=st.integers(min_value=1, max_value=10**8),
)
def test_every_number_has_an_answer(epoch: int, period: int) -> None:
    """A peer's epoch of 10**15 ends no process: it is valid at no time, and sums stay instants."""
    schedule = EpochSchedule(timedelta(seconds=period), timedelta(seconds=4 * period))
    number = EpochNumber(epoch)
    start, end = schedule.start_of(number), schedule.end_of(number)
    assert start <= end
    assert start <= schedule.expiry_of(number)
    assert start - timedelta(days=400) < schedule.expiry_of(number) + timedelta(days=400)
    schedule.is_valid(number, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("epoch", [10**15, -(10**15), 10**30])
def test_an_absurd_epoch_is_valid_at_no_time(epoch: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for profile in PROFILES.values():
        assert not profile.key_schedule.is_valid(EpochNumber(epoch), now)
        assert not profile.ca_schedule.is_valid(EpochNumber(epoch), now)

"""The rules of core.decisions.agreed_time: when a time is sure enough to destroy by."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from securetransport.core.decisions.agreed_time import (
    Agreement,
    Reading,
    agreed_at,
    dwell,
    follow,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SKEW = timedelta(seconds=5)


def reading(wall: float, store: float | None = None, monotonic: float | None = None) -> Reading:
    """A reading ``wall`` seconds after the start; the other clocks say the same unless told."""
    stores = wall if store is None else store
    return Reading(
        START + timedelta(seconds=wall),
        START + timedelta(seconds=stores),
        1000.0 + (wall if monotonic is None else monotonic),
    )


def after(*readings: Reading) -> datetime | None:
    held: Agreement | None = None
    for each in readings:
        held = follow(held, each, SKEW)
    return agreed_at(held, SKEW)


def test_two_rounds_of_agreement_make_the_earlier_time_sure() -> None:
    assert after(reading(0)) is None
    assert after(reading(0), reading(4.9)) is None
    assert after(reading(0), reading(5, store=3)) == START + timedelta(seconds=3)
    assert after(reading(0), reading(5, store=7)) == START + timedelta(seconds=5)


@pytest.mark.parametrize("store", [-6.1, 6.1, -9e9, 9e9])
def test_clocks_that_differ_agree_on_nothing_and_begin_anew(store: float) -> None:
    differ = reading(10, store=10 + store)
    assert after(reading(0), reading(5), differ) is None
    assert after(reading(0), reading(5), differ, reading(11)) is None


@pytest.mark.parametrize("step", [-6, 6, 1e6])
def test_a_step_of_both_clocks_is_a_new_beginning(step: float) -> None:
    stepped = reading(10 + step, monotonic=10)
    assert after(reading(0), reading(5), stepped) is None
    later = reading(15 + step, monotonic=15)
    assert after(reading(0), reading(5), stepped, later) == START + timedelta(seconds=15 + step)


def test_a_step_forth_and_back_between_two_readings_of_the_store_is_seen() -> None:
    def asked(wall: float, monotonic: float) -> Reading:
        return reading(wall, monotonic=monotonic)

    def alone(wall: float, monotonic: float) -> Reading:
        return replace(reading(wall, monotonic=monotonic), store=None)

    assert after(asked(0, 0), alone(3, 3), asked(6, 6)) == START + timedelta(seconds=6)
    assert after(asked(0, 0), alone(3, 3)) is None, "the store was not asked now"
    assert after(asked(900, 0), alone(3, 3), asked(906, 6)) is None


def test_the_wait_is_bounded_where_much_skew_is_accepted() -> None:
    assert dwell(timedelta(minutes=10)) == timedelta(minutes=1)
    assert dwell(SKEW) == SKEW

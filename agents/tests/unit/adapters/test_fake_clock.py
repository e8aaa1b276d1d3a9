"""The clock that tests move."""

from __future__ import annotations

from datetime import timedelta

import pytest

from securetransport.testing import FakeClock


def test_time_stands_still_until_moved() -> None:
    clock = FakeClock()
    assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic())


def test_advance_moves_both_clocks() -> None:
    clock = FakeClock()
    at, seconds = clock.now(), clock.monotonic()
    clock.advance(timedelta(minutes=1))
    clock.advance(0.5)
    assert clock.now() - at == timedelta(seconds=60.5)
    assert clock.monotonic() - seconds == 60.5


def test_jump_moves_the_wall_clock_only() -> None:
    clock = FakeClock()
    at, seconds = clock.now(), clock.monotonic()
    clock.jump(timedelta(hours=-2))
    assert clock.now() - at == timedelta(hours=-2)
    assert clock.monotonic() == seconds


def test_time_does_not_pass_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(-1)

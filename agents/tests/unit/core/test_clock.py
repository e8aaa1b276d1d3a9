"""The machine's clocks: aware wall time, monotonic seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from securetransport.adapters.system import SystemClock
from securetransport.core.ports.clock import Clock


def test_wall_time_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert timedelta(0) <= now - before < timedelta(seconds=10)


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    seen = [clock.monotonic() for _ in range(1000)]
    assert seen == sorted(seen)


def test_the_system_clock_is_a_clock() -> None:
    clock: Clock = SystemClock()
    assert clock.monotonic() > 0

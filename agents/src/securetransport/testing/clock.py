"""A clock that moves by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Wall and monotonic time that stand still until moved.

    Args:
        at: The wall time to begin with, aware.
    """

    def __init__(self, at: datetime = START) -> None:
        self._now = at
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        return self._monotonic

    def advance(self, by: timedelta | float) -> None:
        """Let time pass on both clocks.

        Args:
            by: How much; a number is seconds.

        Raises:
            ValueError: Negative; time does not pass backwards, see :meth:`jump`.
        """
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            raise ValueError("time does not pass backwards; use jump for the wall clock")
        self._now += step
        self._monotonic += step.total_seconds()

    def jump(self, by: timedelta) -> None:
        """Set the wall clock only, forwards or back, as an administrator or NTP does."""
        self._now += by

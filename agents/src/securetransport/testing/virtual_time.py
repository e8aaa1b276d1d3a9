"""An event loop whose time passes only while everybody waits: hours of timers in a moment.

In the unit tests: ``pytestmark = pytest.mark.virtual_time``.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, Final

_TICK_SECONDS: Final = 1e-9
"""Passes at least in each turn, or a wait that is rounded to nothing would never end."""


class _PatientSelector(selectors.DefaultSelector):
    """Never sleeps for a timer; tells how long it would have."""

    slept_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return what is ready; with timers set, time passes instead of being waited for."""
        if timeout is None:
            return super().select(None)  # only another thread or a socket can end this wait
        ready = super().select(0)
        if not ready:
            self.slept_seconds += max(timeout, _TICK_SECONDS)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs what is due; when nothing is, time moves on to the next timer.

    Threads and sockets still take real time, in which the time of this loop may run away.
    """

    def __init__(self) -> None:
        self._patience = _PatientSelector()
        super().__init__(self._patience)

    def time(self) -> float:
        """Return the seconds that were not slept."""
        return self._patience.slept_seconds

"""An event loop whose time passes only while everybody waits: hours of timers in a moment.

In the unit tests: ``pytestmark = pytest.mark.virtual_time``.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, Final

_MOST_TURNS: Final = 1000
_TICK_SECONDS: Final = 1e-9
"""Passes when that many turns took no time: a wait that is rounded to nothing would never end."""


_LONGEST_WAIT_SECONDS: Final = 30.0


class StuckError(BaseException):
    """Nothing is left that could happen: every task waits, no timer is set, no thread answers.

    No ``Exception``, so that no loop that goes on after errors swallows it.
    """


def _waiting() -> str:
    """Return what each task waits for."""
    lines = [f"{task.get_name()}: {task.get_stack(limit=1)}" for task in asyncio.all_tasks()]
    return "simulated time is stuck: " + "; ".join(lines)


class _PatientSelector(selectors.DefaultSelector):
    """Never sleeps for a timer; tells how long it would have."""

    slept_seconds = 0.0
    turns_in_no_time = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return what is ready; with timers set, time passes instead of being waited for."""
        if timeout is None:
            # Only another thread or a socket can end this wait, and none of a test takes long.
            ready = super().select(_LONGEST_WAIT_SECONDS)
            if not ready:
                raise StuckError(_waiting())
            return ready
        ready = super().select(0)
        if not ready:
            self._pass(timeout)
        return ready

    def _pass(self, seconds: float) -> None:
        before = self.slept_seconds
        self.slept_seconds += max(seconds, 0.0)
        self.turns_in_no_time = 0 if self.slept_seconds > before else self.turns_in_no_time + 1
        if self.turns_in_no_time > _MOST_TURNS:
            self.slept_seconds += _TICK_SECONDS


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

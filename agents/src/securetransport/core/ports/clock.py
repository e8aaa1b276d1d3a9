"""The two clocks: wall time for epochs and documents, monotonic time for waiting and leaf life.

A wall clock can jump; a duration measured by it can be negative. So renewal ages and time-outs use
``monotonic``, while epochs, validity and freshness use ``now``. Agents get a :class:`Clock`
injected; ``securetransport.testing`` has one that tests move by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Source of time for everything that is not a plain ``asyncio`` wait."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        ...

"""This machine's clocks and randomness."""

from __future__ import annotations

import random
import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        return time.monotonic()


class SystemRandomness:
    """The randomness of this machine."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` bytes that nobody can predict."""
        return secrets.token_bytes(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``, both included; not for secrets."""
        return random.uniform(low, high)  # noqa: S311  # spreads load, hides nothing

"""A pause after a step that failed."""

from __future__ import annotations

from typing import Final

from securetransport.core.ports import Clock, Randomness
from securetransport.runtime.supervisor import Backoff

_FIRST_HOLD_SECONDS: Final = 0.5
_LAST_HOLD_SECONDS: Final = 8.0


class StepBackoff:
    """Keeps a failing step from being repeated at once; each failure holds longer, up to 8 s."""

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._backoff = Backoff(_FIRST_HOLD_SECONDS, _LAST_HOLD_SECONDS, randomness.uniform)
        self._until = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the step may be tried."""
        return self._clock.monotonic() >= self._until

    def failed(self) -> None:
        """Keep the step from being tried for a while."""
        self._until = self._clock.monotonic() + self._backoff.next_seconds()

    def done(self) -> None:
        """Forget the failures."""
        self._backoff.reset()
        self._until = 0.0

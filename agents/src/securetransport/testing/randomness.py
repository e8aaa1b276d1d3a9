"""Randomness that is the same in every run."""

from __future__ import annotations

import random


class FakeRandomness:
    """Implements ``Randomness``; two of one seed draw the same.

    Args:
        seed: Which sequence.
    """

    def __init__(self, seed: int = 0) -> None:
        self._source = random.Random(seed)  # noqa: S311  # repeatable on purpose, tests only

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` bytes."""
        return self._source.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``, both included."""
        return self._source.uniform(low, high)

"""Randomness that no key is made of: names, nonces and the spread of waits.

Keys and salts come from the cryptography library inside ``core.crypto``. What is drawn here is a
port, so that a simulation is repeatable.
"""

from __future__ import annotations

from typing import Protocol


class Randomness(Protocol):
    """Source of unpredictable bytes and of spread."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` bytes that nobody can predict."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``, both included; not for secrets."""
        ...

"""Which time is sure enough to destroy something by: two clocks, twice, with no step between.

Destroying a key cannot be taken back, so one clock that is ahead for a moment must not do it.
Rules:

1. The wall clock of this process and that of the secret store differ by no more than the accepted
   skew; a store that does not answer agrees with nothing.
2. They agreed before, at least ``dwell`` ago by the monotonic clock, and did not disagree since.
3. Between two readings the wall clock went on as the monotonic one did, within the skew: a step is
   a new beginning, also when both clocks made it (they are one on a single machine). So the wall
   clock is read each round, the store's only when something is to be destroyed.
4. The agreed time is the earlier of both.

Source: docs/rotation.md, "Keys".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_STORE_RESOLUTION: Final = timedelta(seconds=1)  # OpenBao tells whole seconds
_LONGEST_DWELL: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks, read at one moment.

    Attributes:
        wall: This process's clock.
        store: The secret store's; ``None`` where it was not asked.
        monotonic: Seconds of the monotonic clock.
    """

    wall: datetime
    store: datetime | None
    monotonic: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Readings that agree, without a step between the first and the last."""

    first: Reading
    last: Reading


def follow(held: Agreement | None, reading: Reading, skew: timedelta) -> Agreement | None:
    """Return the agreement after one more reading, ``None`` when the clocks differ (rules 1, 3)."""
    if held is not None and _is_step(held.last, reading, skew):
        held = None
    if reading.store is None:
        return held and Agreement(held.first, reading)
    if abs(reading.wall - reading.store) > skew + _STORE_RESOLUTION:
        return None
    return Agreement(held.first if held else reading, reading)


def agreed_at(agreement: Agreement | None, skew: timedelta) -> datetime | None:
    """Return the agreed time of the last reading, ``None`` while there is none (rules 2, 4)."""
    if agreement is None:
        return None
    first, last = agreement.first, agreement.last
    if last.store is None or last.monotonic - first.monotonic < dwell(skew).total_seconds():
        return None
    return min(last.wall, last.store)


def dwell(skew: timedelta) -> timedelta:
    """Return how long two clocks must have agreed."""
    return min(skew, _LONGEST_DWELL)


def _is_step(before: Reading, after: Reading, skew: timedelta) -> bool:
    passed = timedelta(seconds=after.monotonic - before.monotonic)
    return abs(after.wall - before.wall - passed) > skew

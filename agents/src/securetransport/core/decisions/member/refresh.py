"""When a member asks OpenBao for a document that the bus announces.

A change is told on the bus; asking by timer only repairs. What every member polls costs OpenBao
requests and audit log by the number of members, so the first rule that applies:

1. Nothing was read from OpenBao yet, or it is demanded: a message or another document shows that
   something newer exists.
2. The bus did not tell: no connection, no answer, or nothing is announced there.
3. ``repair_every`` has passed since, spread by the instance.

Source: docs/architecture.md, "What an idle member costs".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from securetransport.core.base.names import InstanceId

_SHORTEST: Final = timedelta(seconds=2)
_LONGEST: Final = timedelta(minutes=10)
_PARTS: Final = 18


@dataclass(frozen=True, slots=True)
class Observation:
    """What a member knows of a document's sources.

    Attributes:
        has_bus_told: The bus answered in this round with the newest announcement.
        since_store_seconds: Since OpenBao was read, by the monotonic clock; ``None`` before.
        is_demanded: Something newer is known to exist.
    """

    has_bus_told: bool
    since_store_seconds: float | None
    is_demanded: bool = False


def repair_every(period: timedelta, instance: InstanceId) -> timedelta:
    """Return the distance of reads that only repair: 0.75 to 1.25 of the usual one.

    Args:
        period: Of the epochs that the document follows.
        instance: Who asks; members do not ask at the same time.
    """
    usual = min(max(period / _PARTS, _SHORTEST), _LONGEST)
    share = hashlib.sha256(b"repair\x00" + instance.encode()).digest()[0] / 255
    return usual * (0.75 + share / 2)


def is_store_due(seen: Observation, every: timedelta) -> bool:
    """Tell whether OpenBao is asked now, by the rules of this module."""
    if seen.since_store_seconds is None or seen.is_demanded:
        return True
    return not seen.has_bus_told or seen.since_store_seconds >= every.total_seconds()

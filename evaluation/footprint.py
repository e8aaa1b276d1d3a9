"""What a run takes of the machine, and what README.md promises: memory, disk, time.

Memory and disk are asserted within a quarter, so that the page stays true in both directions; time
depends on the machine and is an upper bound for two cores with nothing else at work. Disk is judged
only where the run built the platform: an older one has more behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TOLERANCE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Promise:
    """The numbers of README.md.

    Attributes:
        memory_megabytes: Sum of the processes' resident memory at the end; pages that several
            share count for each.
        disk_megabytes: What the platform's state takes at the end.
        seconds: From the command to the verdict, at most.
    """

    memory_megabytes: float
    disk_megabytes: float
    seconds: float


PROMISED: Final = Promise(memory_megabytes=2000, disk_megabytes=175, seconds=600)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one run took.

    Attributes:
        memory_megabytes: As in :class:`Promise`.
        disk_megabytes: As in :class:`Promise`.
        seconds: From the command to the verdict.
        is_fresh: Whether the run built the platform from nothing.
        is_judged: Whether it is a run that README.md tells of.
    """

    memory_megabytes: float
    disk_megabytes: float
    seconds: float
    is_fresh: bool
    is_judged: bool

    def broken(self, promised: Promise = PROMISED) -> list[str]:
        """Return each promise that the run broke, in words."""
        if not self.is_judged:
            return []
        rules = {
            _differs("memory", self.memory_megabytes, promised.memory_megabytes): (
                _is_near(self.memory_megabytes, promised.memory_megabytes)
            ),
            _differs("disk", self.disk_megabytes, promised.disk_megabytes): (
                not self.is_fresh or _is_near(self.disk_megabytes, promised.disk_megabytes)
            ),
            f"it took {self.seconds:.0f} s, README.md says {promised.seconds:.0f} at most": (
                self.seconds <= promised.seconds
            ),
        }
        return [text for text, holds in rules.items() if not holds]


def _is_near(found: float, promised: float) -> bool:
    return abs(found - promised) <= TOLERANCE * promised


def _differs(what: str, found: float, promised: float) -> str:
    return f"{what} is {found:.0f} MB, README.md says {promised:.0f}, a quarter either way allowed"

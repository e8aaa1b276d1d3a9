"""The answer of a decision that has nothing to do now: what it waits for.

Every decision of this package has one shape: ``decide(observation, …) -> Step | Wait``. A step is a
small frozen class that says *what* to do and with what; carrying it out belongs to the loop that
asked, which then observes and asks again. ``Wait`` is the only answer that ends a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from securetransport.core.base.epochs import EpochNumber


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now.

    Attributes:
        waits_for: What is missing, one line each; empty when only time must pass.
        until: When the wait ends in any case; ``None`` when only the world can end it.
        step: The step that waits, in a word; empty when none does.
        epoch: The epoch that waits, where the decision is about one.
    """

    waits_for: tuple[str, ...] = ()
    until: datetime | None = None
    step: str = ""
    epoch: EpochNumber | None = None

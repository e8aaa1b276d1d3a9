"""The ServiceBundle of a service: when it is fetched, and why.

Rules, the first that applies:

1. None is held ("first").
2. A notice said that it changed, or a message named a key that is missing here ("notice").
3. ``key_refresh`` after the boundary of a key epoch, spread by the instance ("boundary").
4. In the second half of the lead before a boundary, while keys of the next epoch are missing
   ("lead"), also spread by the instance.

Source: docs/rotation.md, "Keys".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from securetransport.core.base.profile import Profile
from securetransport.core.decisions.wait import Wait


@dataclass(frozen=True, slots=True)
class Observation:
    """What a service knows of its bundle.

    Attributes:
        now: Wall clock.
        fetched_at: When the bundle in force was fetched, ``None`` without one.
        has_notice: A change was announced or a key was missed since.
        misses_next: Keys of the next epoch are missing.
        share: 0 to 1, fixed by the instance; spreads refreshes.
    """

    now: datetime
    fetched_at: datetime | None
    has_notice: bool
    misses_next: bool
    share: float


@dataclass(frozen=True, slots=True)
class FetchBundle:
    """Fetch the bundle.

    Attributes:
        reason: A word of the rules.
    """

    reason: str


def decide(seen: Observation, profile: Profile) -> FetchBundle | Wait:
    """Return whether the bundle is fetched now, by the rules of this module."""
    if seen.fetched_at is None:
        return FetchBundle("first")
    if seen.has_notice:
        return FetchBundle("notice")
    schedule = profile.key_schedule
    current = schedule.number_at(seen.now)
    after = schedule.start_of(current) + profile.key_refresh * (1 + seen.share) / 2
    if seen.fetched_at < after <= seen.now:
        return FetchBundle("boundary")
    lead = schedule.end_of(current) - profile.key_lead * (1 + seen.share) / 4
    if seen.misses_next and seen.now >= lead:
        return FetchBundle("lead")
    return Wait(until=after if seen.now < after else lead)

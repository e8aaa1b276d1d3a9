"""The next step of what stands beside a bao agent in the renewal of its secret-id.

Rules, the first that applies:

1. A secret-id that was opened and lies on the disk is proven by a login, and then put in the place
   of the old one; one that OpenBao refuses is dropped.
2. A secret-id in the file that somebody else wrote is looked up, so that its end is known.
3. The one that is kept is stated, so that the authority may destroy the older ones.
4. Renewal is due shortly before the interval is over, and at once when the kept one is refused.
5. While it is due, the offer is looked for; an open one is opened once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.decisions.secret_ids import look_interval
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.secret_id import Offer

_DUE: Final = 0.9
"""Share of the interval after which the offer is looked for; the authority offers at its end."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of the secret-id in the file.

    Attributes:
        since: When it was put there, or made.
        accessor: Its accessor; ``None`` while unknown.
        expires_at: When it ends; ``None`` when unknown or never.
        is_stated: Whether the authority was told, or need not be.
        is_refused: Whether OpenBao refuses it.
    """

    since: datetime
    accessor: str | None = None
    expires_at: datetime | None = None
    is_stated: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known at one moment.

    Attributes:
        now: Wall clock.
        has_secret_id: Whether the file holds one.
        kept: What is known of it; ``None`` when it is not the one that was there before.
        has_opened: Whether an opened one lies beside it.
        is_proven: Whether that one was proven.
        offer: The newest offer that was seen.
        spent: The handover that was tried last.
        looked_at: When the offer was looked for last.
    """

    now: datetime
    has_secret_id: bool
    kept: Kept | None = None
    has_opened: bool = False
    is_proven: bool = False
    offer: Offer | None = None
    spent: str | None = None
    looked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prove:
    """Log in with the opened secret-id."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Put the proven secret-id in the place of the old one."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask OpenBao about the secret-id in the file."""


@dataclass(frozen=True, slots=True)
class State:
    """Tell the authority which secret-id is kept."""


@dataclass(frozen=True, slots=True)
class LookForOffer:
    """Read what the authority offers."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open an offer and put its secret-id on the disk."""

    offer: Offer


Step = Prove | Keep | LookUp | State | LookForOffer | Open


def decide(seen: Observation, interval: timedelta) -> Step | Wait:
    """Return the next step, by the rules of this module."""
    if seen.has_opened:
        return Keep() if seen.is_proven else Prove()
    kept = seen.kept
    if seen.has_secret_id and kept is None:
        return LookUp()
    if kept is not None and not kept.is_refused:
        if not kept.is_stated and kept.accessor is not None:
            return State()
        due = kept.since + interval * _DUE
        if seen.now < due:
            return Wait(until=due)
    return _offered(seen, look_interval(interval))


def _offered(seen: Observation, look: timedelta) -> Step | Wait:
    """Rule 5."""
    offer = seen.offer
    if offer is not None and _is_open(offer, seen):
        return Open(offer)
    if seen.looked_at is None or seen.now >= seen.looked_at + look:
        return LookForOffer()
    reason = "the authority offers no secret-id yet"
    return Wait(waits_for=(reason,), until=seen.looked_at + look)


def _is_open(offer: Offer, seen: Observation) -> bool:
    # Its end is the authority's to judge: clocks differ, and one that is over just does not open.
    return not offer.is_withdrawn and offer.handover != seen.spent

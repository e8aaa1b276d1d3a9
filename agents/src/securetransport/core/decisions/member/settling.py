"""What becomes of a delivery that was refused or not handled.

What an authenticated producer published is not destroyed within the bounds of rule 6. The first
rule that applies:

1. A copy is no message: one whose subject is not its signed topic, whose ``Nats-Msg-Id`` is not its
   signed id, or whose statement of a replay is false. Whoever made it is not its signer, so it is
   dropped and charged to nobody. A statement that cannot be verified is not false: rule 2.
2. A refusal that may only mean that this receiver knows less than the sender waits a little, so
   that what is on its way arrives; while the newest could not be read it waits like a handler that
   cannot work now.
3. Everything else is parked, charged to who is answerable: the service whose key verifiably signed
   it, or one of three accounts: of messages that a later version of this code can read, of messages
   that are out of their time (anybody who may read a stream can have old ones stored again), and of
   bytes that nobody signed.
4. A message that a handler did not settle is handled again, later each time, and parked at last.
5. A message that was delivered more often than that is parked before a handler sees it: it may be
   what ends the process each time.
6. What the dead letters do not take is asked for again much later. What they refuse (a full quota,
   or too large for any) waits only if it verifiably is somebody's, and only a few of each account:
   each waiting message takes one of the durable's unacknowledged deliveries, which all producers
   share. Beyond that, and at once if nobody verifiably signed it or its signer is denied, it is
   counted and dropped. While they cannot be written at all, what is signed waits without a bound,
   since that is nobody's doing.

One place decides how long a message waits: durables have no backoff of their own, because a server
adds it to what is asked for here (measured).

Source: docs/wire-format.md, "Dead letters".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.names import ServiceId
from securetransport.core.trust.opening import Refusal

LAST_DELIVERY: Final = 16
"""Deliveries in which a handler may settle a message; then it is parked."""
STALE_DELIVERIES: Final = 6
"""Deliveries of a message that names something unknown, when the newest has been read."""
_COPIES: Final = frozenset({Refusal.SUBJECT, Refusal.MESSAGE_ID, Refusal.STATEMENT})
_NOBODYS: Final[dict[str, str]] = {
    Refusal.FRESHNESS: names.ACCOUNT_LATE,
    Refusal.VERSION: names.ACCOUNT_NEWER,
    Refusal.STATEMENT_KEY: names.ACCOUNT_LATE,
}
MAY_BE_STALE: Final = frozenset(
    {Refusal.VERIFY_KEY, Refusal.TOPIC_KEY, Refusal.POLICY, Refusal.PRODUCER}
)
"""Refusals that may only mean that this process knows less than the sender."""
_WAITS: Final = MAY_BE_STALE | {Refusal.STATEMENT_KEY}
_STALE_STEP: Final = timedelta(seconds=0.5)
_FIRST_DELAY: Final = timedelta(seconds=0.5)
_LONGEST_DELAY: Final = timedelta(seconds=10)
_FAILED_DELAY: Final = timedelta(seconds=5)
_HELD_STEP: Final = timedelta(seconds=30)
_LONGEST_HELD: Final = timedelta(minutes=5)
HELD_OF_ACCOUNT: Final = 32
"""Messages of one account that an instance lets wait for room among the dead letters."""
HELD_IN_ALL: Final = 128
"""The same of all accounts together, far below a durable's unacknowledged deliveries."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that a check refused.

    Attributes:
        code: Which one.
        signer: The service that verifiably signed it, ``None`` when nobody can be named.
        deliveries: How often it was delivered.
        is_current: What it was judged by had been read after it came; ``None`` when that was not
            tried, because the refusal does not depend on it.
    """

    code: str
    signer: ServiceId | None
    deliveries: int
    is_current: bool | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Ask for another delivery.

    Attributes:
        delay: Not before it has passed.
    """

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Park:
    """Put a copy to the dead letters, and end the delivery when they have it.

    Attributes:
        code: Why.
        account: Who is answerable; last token of the subject, and unit of the quota.
        is_kept: The message may wait when the dead letters refuse it (rule 6).
    """

    code: str
    account: str
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Drop:
    """Count it and end the delivery.

    Attributes:
        code: Why.
    """

    code: str


def refused(seen: Refused) -> Later | Park | Drop:
    """Return what becomes of a message that a check refused (rules 1 to 3)."""
    if seen.code in _COPIES:
        return Drop(seen.code)
    if seen.code in _WAITS:
        is_behind = seen.is_current is False
        if seen.deliveries < (LAST_DELIVERY if is_behind else STALE_DELIVERIES):
            step = _STALE_STEP * seen.deliveries
            return Later(_growing(seen.deliveries) if is_behind else step)
    if seen.code in _NOBODYS:
        return Park(seen.code, _NOBODYS[seen.code], is_kept=seen.signer is not None)
    if seen.signer is not None:
        return Park(seen.code, seen.signer, is_kept=seen.code != Refusal.DENIED)
    return Park(seen.code, names.ACCOUNT_UNVERIFIED, is_kept=seen.is_current is False)


def not_handled(code: str, signer: ServiceId, deliveries: int) -> Later | Park:
    """Return what becomes of a message whose handler did not settle it (rule 4).

    Args:
        code: ``transient`` when the handler asked for more time, ``failed`` otherwise.
        signer: Who signed it.
        deliveries: How often it was delivered.
    """
    if deliveries >= LAST_DELIVERY:
        return Park(code, signer)
    least = _FAILED_DELAY if code == "failed" else timedelta(0)
    return Later(max(least, _growing(deliveries)))


def before_handling(signer: ServiceId, deliveries: int) -> Park | None:
    """Return what to do instead of handling a message, ``None`` to handle it (rule 5)."""
    return Park("deliveries", signer) if deliveries > LAST_DELIVERY else None


class NotTaken(StrEnum):
    """Why the dead letters did not take a message; labels of a metric."""

    FULL = "full"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    NOT_PERMITTED = "not_permitted"
    NO_SIGNING_KEY = "no_signing_key"

    @property
    def is_their_word(self) -> bool:
        """Whether they were asked, and refused this message for what it is."""
        return self in {NotTaken.FULL, NotTaken.REFUSED}


@dataclass(frozen=True, slots=True)
class Holding:
    """How many other messages of a durable wait for room among the dead letters.

    Attributes:
        of_account: Of the same account.
        in_all: Of every account.
    """

    of_account: int = 0
    in_all: int = 0

    @property
    def has_room(self) -> bool:
        """Whether one more may wait."""
        return self.of_account < HELD_OF_ACCOUNT and self.in_all < HELD_IN_ALL


def not_taken(park: Park, deliveries: int, why: NotTaken, holding: Holding) -> Later | Drop:
    """Return what becomes of a message that the dead letters did not take (rule 6)."""
    is_over = why.is_their_word and not park.is_kept
    is_bounded = why.is_their_word or not park.is_kept
    if is_over or (is_bounded and not holding.has_room):
        return Drop(park.code)
    return Later(min(_HELD_STEP * deliveries, _LONGEST_HELD))


def _growing(deliveries: int) -> timedelta:
    doubled: int = 2 ** min(deliveries, 10)
    return min(_FIRST_DELAY * doubled, _LONGEST_DELAY)

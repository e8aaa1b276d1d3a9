"""The verdict over ledgers: what was lost, done twice, invented or recovered, by comparing sets.

Let A be the attempts, K the acknowledged ones, and E the effects, over all ledgers of each side:

============== ========== ========================================================================
lost           K - E      acknowledged and not done; a defect once the consumer has caught up
effected twice            done in more than one ledger of the consumer group; a defect
unexpected     E - A      done without ever being tried; a defect
recovered      E - K      done although the sender never saw a receipt; fine
unknown        A - K - E  not acknowledged and not done; the sender was told so; fine
============== ========== ========================================================================

Losses are placed: before the first effect (prefix), after the last (postfix), or between (middle).

Source: the set comparison of Jepsen's analysis of NATS.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from securetransport.core.base.errors import SecureTransportError

Point = tuple[float, float]
"""An instant in seconds since 1970, and the latency in seconds of what happened then."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One message that was verified and opened.

    Attributes:
        at: When, in seconds since 1970.
        key_epoch: Epoch of the topic key that it was sealed with.
        key_id: The key that signed it.
    """

    at: float
    key_epoch: int
    key_id: str


@dataclass(frozen=True, slots=True)
class Losses:
    """Acknowledged messages without an effect, by where in the run they lie."""

    prefix: tuple[str, ...] = ()
    middle: tuple[str, ...] = ()
    postfix: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.prefix) + len(self.middle) + len(self.postfix)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of :func:`judge`; see the module.

    Attributes:
        attempted: How many messages were tried.
        acked: How many were acknowledged.
        effected: How many different messages were done.
        redelivered: Deliveries beyond the first of each message.
        answered: How many requests got a response, if the sender records responses.
        answered_twice: Requests with more than one different response.
        lost: Acknowledged and not done.
        effected_twice: Done in more than one ledger.
        unexpected: Done and never tried.
        recovered: Done and not acknowledged.
        unknown: Neither acknowledged nor done.
    """

    attempted: int
    acked: int
    effected: int
    redelivered: int
    answered: int
    answered_twice: tuple[str, ...]
    lost: Losses
    effected_twice: tuple[str, ...]
    unexpected: tuple[str, ...]
    recovered: int
    unknown: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, repeated or invented."""
        faults = (self.effected_twice, self.unexpected, self.answered_twice)
        return not len(self.lost) and not any(faults)

    def summary(self) -> dict[str, int]:
        """Return the counts, for reports."""
        return {
            "attempted": self.attempted,
            "acked": self.acked,
            "effected": self.effected,
            "redelivered": self.redelivered,
            "answered": self.answered,
            "answered_twice": len(self.answered_twice),
            "lost": len(self.lost),
            "lost_prefix": len(self.lost.prefix),
            "lost_middle": len(self.lost.middle),
            "lost_postfix": len(self.lost.postfix),
            "effected_twice": len(self.effected_twice),
            "unexpected": len(self.unexpected),
            "recovered": self.recovered,
            "unknown": self.unknown,
        }


def judge(
    senders: Iterable[Path],
    readers: Iterable[Path],
    topic: str,
    *,
    acked_before: float = math.inf,
) -> Verdict:
    """Compare the ledgers of a topic's senders with those of its consumer group.

    Args:
        senders: Ledgers of every instance that sent.
        readers: Ledgers of every instance of the consumer group.
        topic: Which messages.
        acked_before: While messages are still sent: one whose receipt came at this Unix time or
            later may be on its way, and is not called lost.

    Raises:
        SecureTransportError: A ledger cannot be read.
    """
    attempts: set[str] = set()
    acks: dict[str, float] = {}
    responses: dict[str, set[str]] = {}
    for path in senders:
        with _reading(path) as db:
            attempts |= _column(db, "SELECT message_id FROM attempts WHERE topic = ?", topic)
            acks.update(db.execute(_ACKS, (topic,)).fetchall())
            for request, response in _responses(db):
                responses.setdefault(request, set()).add(response)
    effects: dict[str, float] = {}
    twice: set[str] = set()
    deliveries = seen = 0
    for path in readers:
        with _reading(path) as db:
            own = dict(db.execute("SELECT message_id, at FROM effects").fetchall())
            deliveries += db.execute("SELECT count(*) FROM seen").fetchone()[0]
            seen += len(own)
        twice |= effects.keys() & own.keys()
        effects.update(own)
    acked = set(acks)
    return Verdict(
        attempted=len(attempts),
        acked=len(acked),
        effected=len(effects),
        redelivered=deliveries - seen,
        answered=len(responses.keys() & attempts),
        answered_twice=tuple(sorted(name for name, ids in responses.items() if len(ids) > 1)),
        lost=_placed(
            {name for name in acked - effects.keys() if acks[name] < acked_before}, acks, effects
        ),
        effected_twice=tuple(sorted(twice)),
        unexpected=tuple(sorted(effects.keys() - attempts)),
        recovered=len((effects.keys() & attempts) - acked),
        unknown=len(attempts - acked - effects.keys()),
    )


_ACKS = """
SELECT acks.message_id, acks.at FROM acks
JOIN attempts ON attempts.message_id = acks.message_id WHERE attempts.topic = ?
"""
_LATENCIES = """
SELECT acks.at, acks.at - attempts.at FROM acks
JOIN attempts ON attempts.message_id = acks.message_id WHERE attempts.topic = ? ORDER BY acks.at
"""
_ANSWERS = """
SELECT responses.at, responses.at - attempts.at FROM responses
JOIN attempts ON attempts.message_id = responses.request_id ORDER BY responses.at
"""


def _responses(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return request and response ids; a service that records no responses has no such table."""
    known = "SELECT 1 FROM sqlite_master WHERE name = 'responses'"
    if db.execute(known).fetchone() is None:
        return []
    return db.execute("SELECT request_id, message_id FROM responses").fetchall()


def key_points(path: Path, start: float, end: float) -> list[KeyUse]:
    """Return the keys that received messages were sealed and signed with, in order of time.

    Args:
        path: Ledger of a service that keeps ``received_keys``.
        start: First instant, in seconds since 1970.
        end: Last instant, not included.
    """
    query = "SELECT at, key_epoch, key_id FROM received_keys WHERE ? <= at AND at < ? ORDER BY at"
    with _reading(path) as db:
        return [KeyUse(*row) for row in db.execute(query, (start, end))]


def attempt_instants(path: Path, topic: str) -> list[float]:
    """Return when each message of a topic was first tried, in order of time."""
    with _reading(path) as db:
        rows = db.execute("SELECT at FROM attempts WHERE topic = ? ORDER BY at", (topic,))
        return [row[0] for row in rows]


def publish_points(path: Path, topic: str) -> list[Point]:
    """Return when receipts came and how long each took, in order of time."""
    with _reading(path) as db:
        return list(db.execute(_LATENCIES, (topic,)).fetchall())


def answer_points(path: Path) -> list[Point]:
    """Return when responses came and how long each took since its request was tried."""
    with _reading(path) as db:
        return list(db.execute(_ANSWERS).fetchall())


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie (nearest rank).

    Raises:
        ValueError: There is no value.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = max(0, math.ceil(share * len(ordered)) - 1)
    return ordered[min(rank, len(ordered) - 1)]


def _placed(lost: set[str], acks: dict[str, float], effects: dict[str, float]) -> Losses:
    done = [acks[name] for name in effects if name in acks]
    if not done:
        return Losses(middle=tuple(sorted(lost)))
    first, last = min(done), max(done)
    ordered = sorted(lost, key=lambda name: acks[name])
    return Losses(
        prefix=tuple(name for name in ordered if acks[name] < first),
        middle=tuple(name for name in ordered if first <= acks[name] <= last),
        postfix=tuple(name for name in ordered if acks[name] > last),
    )


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a ledger opened for reading only; it may be in use."""
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    try:
        yield db
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    finally:
        db.close()


def _unreadable(path: Path, error: sqlite3.Error) -> SecureTransportError:
    return SecureTransportError("cannot read the ledger", path=str(path), reason=str(error))


def _column(db: sqlite3.Connection, query: str, value: str) -> set[str]:
    return {row[0] for row in db.execute(query, (value,))}

"""The rotation log: every step, hash-chained in a stream, continued by whoever acts.

Rules:

1. An entry names the SHA-256 of the entry before it. Which one that is, is read from the stream
   before the first entry of a process is linked, so the chain goes on after a restart and after
   another instance took over.
2. An entry is stored only directly behind the entry it names (the stream is told which sequence
   must be its last), so two instances cannot make two chains.
3. An entry whose receipt was lost is repeated with the same bytes; when the stream moved on, its
   newest entry says whether the lost one is stored.
4. While the bus is away, steps wait in memory; when they are too many, the oldest go, and an entry
   says how many.

Steps that wait in memory die with the process: what happened is in the record then, not in the log.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.errors import RejectedMessageError
from securetransport.core.ports.bus import Connection
from securetransport.runtime.logs import get_logger

MOST_STEPS: Final = 10_000
_MOST_DETAILS: Final = 50
_EXPECTED_LAST: Final = "Nats-Expected-Last-Subject-Sequence"


@dataclass(frozen=True, slots=True)
class _Step:
    at: datetime
    step: str
    epoch: int | None
    detail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    """The newest stored entry: hash of its bytes (empty before the first) and sequence."""

    digest: str
    sequence: int


class RotationLog:
    """Collects steps and appends them to the stream.

    Args:
        most_steps: How many may wait in memory (rule 4).
    """

    def __init__(self, most_steps: int = MOST_STEPS) -> None:
        self._most_steps = most_steps
        self._steps: deque[_Step] = deque()
        self._dropped = 0
        self._head: _Head | None = None
        self._linked: bytes | None = None
        self._log = get_logger(kind="rotation_log")

    def note(self, step: str, epoch: int | None, detail: tuple[str, ...], at: datetime) -> None:
        """Remember one step until it is stored (rule 4).

        Args:
            step: What was done.
            epoch: The epoch concerned, if it is about one.
            detail: Names and reasons; the first fifty are kept, and how many there were.
            at: The authority's clock.
        """
        if len(self._steps) >= self._most_steps:
            self._drop_oldest()
        if len(detail) > _MOST_DETAILS:
            detail = (*detail[:_MOST_DETAILS], f"and {len(detail) - _MOST_DETAILS} more")
        self._steps.append(_Step(at, step, epoch, detail))

    async def publish(self, connection: Connection) -> None:
        """Store what waits, in order.

        Raises:
            BusUnavailableError: The stream did not answer; what waits goes on waiting.
        """
        while self._steps or self._dropped:
            head = self._head or await self._read_head(connection)
            if not self._steps and not self._dropped:
                return  # the one whose receipt was lost is stored
            entry = self._linked or self._link(head)
            try:
                ack = await connection.publish_acked(
                    names.SUBJECT_ROTATION_LOG,
                    entry,
                    message_id=_digest(entry),
                    headers={_EXPECTED_LAST: str(head.sequence)},
                )
            except RejectedMessageError as error:
                self._log.info("entry_not_appended", reason=str(error))
                self._head = None
                if (await self._read_head(connection)) == head:
                    raise  # nobody wrote in between: the stream refuses this entry for what it is
                continue
            self._stored(_Head(_digest(entry), ack.sequence))

    async def _read_head(self, connection: Connection) -> _Head:
        newest = await connection.last_message(
            names.STREAM_ROTATION_LOG, names.SUBJECT_ROTATION_LOG
        )
        head = _Head(_digest(newest.data), newest.sequence) if newest else _Head("", 0)
        if newest is not None and newest.data == self._linked:
            self._stored(head)
        else:
            self._head, self._linked = head, None
        return head

    def _link(self, head: _Head) -> bytes:
        self._linked = _encoded(self._next(), head.digest)
        return self._linked

    def _next(self) -> _Step:
        if self._dropped:
            at = self._steps[0].at
            return _Step(at, "steps_not_logged", None, (str(self._dropped),))
        return self._steps[0]

    def _stored(self, head: _Head) -> None:
        self._head, self._linked = head, None
        if self._dropped:
            self._dropped = 0
        else:
            self._steps.popleft()

    def _drop_oldest(self) -> None:
        self._steps.popleft()
        self._dropped += 1
        self._linked = None


def _encoded(step: _Step, previous: str) -> bytes:
    entry = {
        "at": step.at.isoformat(),
        "step": step.step,
        "epoch": step.epoch,
        "detail": list(step.detail),
        "previous": previous,
    }
    return json.dumps(entry, separators=(",", ":")).encode()


def _digest(entry: bytes) -> str:
    return hashlib.sha256(entry).hexdigest()

"""One in-memory stream: limits, duplicates, retention, and reading without a consumer.

Rules, as nats-server 2.15 keeps them:

1. A message is refused for what it is (size), as a duplicate (same id within the window), or, with
   ``discard: new``, when the stream is full; with ``discard: old`` the oldest make room.
2. More than ``max_msgs_per_subject`` messages of one subject: the oldest of them goes, also with
   ``discard: new``.
3. ``max_age`` and the duplicate window are counted by the monotonic clock of the bus.
4. With retention ``workqueue`` an acknowledged message is gone; with ``interest`` it is stored only
   for the durables that want it, and gone when each has acknowledged it.
5. A message that says after which sequence of its subject it belongs is refused elsewhere, also
   when it is a copy.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from securetransport.core.acl.subjects import contains
from securetransport.core.ports.bus import HEADER_MESSAGE_ID
from securetransport.core.ports.clock import Clock
from securetransport.testing.bus.durables import Durable
from securetransport.testing.bus.frames import Frame
from securetransport.testing.bus.records import ApiError, Receipt, Stored

_NANOSECONDS: Final = 1_000_000_000
_EXPECTED_LAST: Final = "Nats-Expected-Last-Subject-Sequence"
_DEFAULTS: Final[Mapping[str, Any]] = {
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "num_replicas": 1,
    "max_age": 0,
    "max_bytes": -1,
    "max_msg_size": -1,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "max_consumers": -1,
    "duplicate_window": 120 * _NANOSECONDS,
    "deny_delete": False,
    "deny_purge": False,
    "allow_direct": False,
    "discard_new_per_subject": False,
}


class Stream:
    """One stream.

    Args:
        config: In the words of JetStream's API; what is left out is as there.
        clock: For its timestamps and the age of messages.

    Attributes:
        durables: Its consumers by name.
        failures: Errors to answer to the next publishes, one each, instead of storing.
        events: What its durables gave up: (durable, sequence, why).
        size_bytes: Of what it holds.
    """

    def __init__(self, config: dict[str, Any], clock: Clock) -> None:
        self.config = {**_DEFAULTS, **config}
        self.clock = clock
        self.durables: dict[str, Durable] = {}
        self.failures: list[ApiError] = []
        self.events: deque[tuple[str, int, str]] = deque(maxlen=1000)
        self.size_bytes = 0
        self._last_sequence = 0
        self._messages: OrderedDict[int, Stored] = OrderedDict()
        self._by_subject: dict[str, OrderedDict[int, None]] = {}
        self._ids: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.config["name"])

    @property
    def last_sequence(self) -> int:
        """Number of the newest message; stays when that is gone."""
        return self._last_sequence

    @property
    def subjects(self) -> list[str]:
        """What it stores; without subjects, what is named like it."""
        return list(self.config.get("subjects") or [self.name])

    def __len__(self) -> int:
        """Return how many messages it holds."""
        self._expire()
        return len(self._messages)

    def messages(self) -> list[Stored]:
        """Return what it holds, oldest first; for assertions."""
        self._expire()
        return list(self._messages.values())

    # --- writing -----------------------------------------------------------------------------

    def store(self, frame: Frame) -> Receipt:
        """Take a message.

        Raises:
            ApiError: It is refused (rule 1).
        """
        self._expire()
        if self.failures:
            raise self.failures.pop(0)
        limit = self.config["max_msg_size"]
        if 0 <= limit < len(frame.data) + frame.headers_bytes:
            raise ApiError(400, 10054, "message size exceeds maximum allowed")
        self._check_expected(frame)
        message_id = frame.headers.get(HEADER_MESSAGE_ID)
        if message_id is not None and message_id in self._ids:
            return Receipt(self._ids[message_id][0], is_duplicate=True)
        self._make_room(frame)
        self._last_sequence += 1
        now = self.clock.monotonic()
        if message_id is not None:
            self._ids[message_id] = (self.last_sequence, now)
        receipt = Receipt(self.last_sequence)
        if self.config["retention"] != "interest" or self._wanted_by(frame.subject):
            self._append(Stored(self.last_sequence, frame, self.clock.now(), now))
        return receipt

    def _check_expected(self, frame: Frame) -> None:
        """Apply rule 5."""
        expected = frame.headers.get(_EXPECTED_LAST)
        same = self._by_subject.get(frame.subject)
        last = next(reversed(same)) if same else 0
        if expected is not None and expected != str(last):
            raise ApiError(400, 10071, f"wrong last sequence: {last}")

    def _append(self, stored: Stored) -> None:
        self._messages[stored.sequence] = stored
        same = self._by_subject.setdefault(stored.frame.subject, OrderedDict())
        same[stored.sequence] = None
        self.size_bytes += stored.frame.size_bytes
        for durable in tuple(self.durables.values()):
            durable.added(stored)

    def _make_room(self, frame: Frame) -> None:
        """Drop what must go, or refuse (rules 1 and 2)."""
        config = self.config
        same = self._by_subject.get(frame.subject) or OrderedDict[int, None]()
        per_subject = config["max_msgs_per_subject"]
        replaced: list[int] = []
        if 0 < per_subject <= len(same):
            if config["discard_new_per_subject"]:
                raise ApiError(503, 10077, "maximum messages per subject exceeded")
            replaced = list(same)[: len(same) - per_subject + 1]
        freed = sum(self._messages[sequence].frame.size_bytes for sequence in replaced)
        if config["discard"] == "new":
            if 0 < config["max_msgs"] <= len(self._messages) - len(replaced):
                raise ApiError(503, 10077, "maximum messages exceeded")
            if 0 < config["max_bytes"] < self.size_bytes - freed + frame.size_bytes:
                raise ApiError(503, 10077, "maximum bytes exceeded")
        for sequence in replaced:
            self.delete(sequence)
        while self._messages and (
            0 < config["max_msgs"] <= len(self._messages)
            or 0 < config["max_bytes"] < self.size_bytes + frame.size_bytes
        ):
            self.delete(next(iter(self._messages)))

    def delete(self, sequence: int) -> bool:
        """Drop a message; tells whether it was there."""
        stored = self._messages.pop(sequence, None)
        if stored is None:
            return False
        self.size_bytes -= stored.frame.size_bytes
        same = self._by_subject[stored.frame.subject]
        del same[sequence]
        if not same:
            del self._by_subject[stored.frame.subject]
        return True

    def purge(self) -> int:
        """Drop everything; returns how much it was."""
        count = len(self._messages)
        for sequence in list(self._messages):
            self.delete(sequence)
        return count

    def settled(self, sequence: int) -> None:
        """Drop a message that a durable is done with, if the retention says so (rule 4)."""
        retention = self.config["retention"]
        if retention == "workqueue":
            self.delete(sequence)
        elif retention == "interest" and sequence in self._messages:
            subject = self._messages[sequence].frame.subject
            if all(durable.is_done_with(sequence) for durable in self._wanted_by(subject)):
                self.delete(sequence)

    def note(self, durable: str, sequence: int, why: str) -> None:
        """Remember that a durable gave a message up."""
        self.events.append((durable, sequence, why))

    def _wanted_by(self, subject: str) -> list[Durable]:
        return [durable for durable in self.durables.values() if durable.wants(subject)]

    def _expire(self) -> None:
        now, age = self.clock.monotonic(), self.config["max_age"] / _NANOSECONDS
        while age and self._messages:
            oldest = next(iter(self._messages.values()))
            if now - oldest.monotonic < age:
                break
            self.delete(oldest.sequence)
        window = self.config["duplicate_window"] / _NANOSECONDS
        while self._ids:
            _, at = next(iter(self._ids.values()))
            if now - at < window:
                break
            self._ids.popitem(last=False)

    # --- reading -----------------------------------------------------------------------------

    def get(self, sequence: int) -> Stored | None:
        """Return one message, ``None`` when it is gone."""
        self._expire()
        return self._messages.get(sequence)

    def after(self, sequence: int) -> Iterator[Stored]:
        """Yield the messages from ``sequence`` on."""
        self._expire()
        for number in range(max(sequence, self.first_sequence), self.last_sequence + 1):
            stored = self._messages.get(number)
            if stored is not None:
                yield stored

    def last_on(self, pattern: str) -> list[Stored]:
        """Return the newest message of every subject that matches, in stream order."""
        self._expire()
        newest = [
            next(reversed(sequences))
            for subject, sequences in self._by_subject.items()
            if contains(pattern, subject)
        ]
        return [self._messages[sequence] for sequence in sorted(newest)]

    @property
    def first_sequence(self) -> int:
        """Number of the oldest message; the next one's when there is none."""
        return next(iter(self._messages), self.last_sequence + 1)

    def info(self) -> dict[str, Any]:
        """Return its configuration and state, as the API does."""
        self._expire()
        return {
            "config": self.config,
            "state": {
                "messages": len(self._messages),
                "bytes": self.size_bytes,
                "first_seq": self.first_sequence if self._messages else 0,
                "last_seq": self.last_sequence,
                "consumer_count": len(self.durables),
                "num_subjects": len(self._by_subject),
            },
        }

"""A message on its way through the in-memory servers, and the ways in which it can be hurt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from securetransport.core.acl.subjects import contains

Deliver = Callable[["Frame"], None]


class Leg(StrEnum):
    """Which part of its way a message is on; faults are set for one of them."""

    PUBLISH = "publish"
    """From a client to its server: requests, answers, stream publishes."""
    RECEIPT = "receipt"
    """From a stream to the publisher."""
    DELIVERY = "delivery"
    """From a durable to whoever pulls."""
    ACK = "ack"
    """From a consumer back to the durable: ack, nak, term, in progress."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What travels.

    Attributes:
        subject: Where it goes.
        data: Its body.
        reply: Where an answer goes; empty when nobody waits.
        headers: Its headers.
        inbox: The subscription that it goes to, where that is not its subject: a delivery from a
            stream keeps the subject that it was published on.
    """

    subject: str
    data: bytes = b""
    reply: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    inbox: str = ""

    @property
    def target(self) -> str:
        """What subscriptions are compared with."""
        return self.inbox or self.subject

    @property
    def size_bytes(self) -> int:
        """What a stream counts for it, as nats-server's file store does."""
        return self.headers_bytes + len(self.subject) + len(self.data) + _RECORD_BYTES

    @property
    def headers_bytes(self) -> int:
        """Bytes of its headers on the wire."""
        if not self.headers:
            return 0
        lines = sum(len(f"{name}: {value}\r\n".encode()) for name, value in self.headers.items())
        return lines + _HEADER_FRAME_BYTES


_RECORD_BYTES: Final = 30
_HEADER_FRAME_BYTES: Final = len("NATS/1.0\r\n\r\n") + 4


@dataclass(slots=True)
class _Rule:
    leg: Leg
    subject: str
    copies: int
    delay_seconds: float
    remaining: int | None

    def takes(self, leg: Leg, subject: str) -> bool:
        """Tell whether this message is hurt, and count it."""
        if self.leg is not leg or self.remaining == 0 or not contains(self.subject, subject):
            return False
        if self.remaining is not None:
            self.remaining -= 1
        return True


class Faults:
    """What happens to messages on their way; nothing by default.

    A fault is set for one leg and, where that is useful, a subject pattern; ``count`` is how many
    messages it takes, ``None`` all of them. The first fault set that fits is the one that acts.
    Receipts and deliveries are matched by the subject of the message in the stream,
    acknowledgements by theirs (``$JS.ACK.<stream>.<durable>.>``).
    """

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def lose(self, leg: Leg, subject: str = ">", *, count: int | None = 1) -> None:
        """Let messages vanish."""
        self._rules.append(_Rule(leg, subject, 0, 0.0, count))

    def delay(self, leg: Leg, seconds: float, subject: str = ">", *, count: int | None = 1) -> None:
        """Let messages arrive later; those behind them overtake."""
        self._rules.append(_Rule(leg, subject, 1, seconds, count))

    def duplicate(self, leg: Leg, subject: str = ">", *, count: int | None = 1) -> None:
        """Let messages arrive twice."""
        self._rules.append(_Rule(leg, subject, 2, 0.0, count))

    def clear(self) -> None:
        """Be healthy again."""
        self._rules.clear()

    def carry(self, leg: Leg, subject: str, frame: Frame, deliver: Deliver) -> None:
        """Deliver ``frame``: once, never, later or twice."""
        rule = next((rule for rule in self._rules if rule.takes(leg, subject)), None)
        if rule is None:
            deliver(frame)
            return
        self._rules = [known for known in self._rules if known.remaining != 0]
        for _ in range(rule.copies):
            if rule.delay_seconds:
                asyncio.get_running_loop().call_later(rule.delay_seconds, deliver, frame)
            else:
                deliver(frame)

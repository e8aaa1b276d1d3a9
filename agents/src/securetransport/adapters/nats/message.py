"""What a message says of itself on the wire, and how an acknowledgement goes back over NATS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from securetransport.adapters.nats.numbers import unsigned
from securetransport.core.base.errors import MalformedMessageError, RejectedMessageError
from securetransport.core.ports.bus import DeliveryFacts, Message

Publish = Callable[[str, bytes], Awaitable[None]]
"""Publishes a body on a subject of the connection that a message came on."""

_UNIX_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ACK_PREFIX: Final = "$JS.ACK."
# The short form; the one with domain and account hash; the same with a random token behind.
_TOKENS: Final = frozenset({9, 11, 12})
_HEADER_START: Final = len(b"NATS/1.0\r\n\r\n")
_HEADER_LINE: Final = len(b": \r\n")


def check_size(subject: str, data: bytes, headers: Mapping[str, str] | None, limit: int) -> None:
    """Return when a message fits; headers count as the server counts them.

    A server closes the connection on a message that is too large, with everything else on it.

    Args:
        subject: For the error.
        data: The body.
        headers: Its headers.
        limit: What the server accepts, in bytes.

    Raises:
        RejectedMessageError: It is larger.
    """
    size = len(data)
    if headers:
        lines = (len(f"{name}{value}".encode()) + _HEADER_LINE for name, value in headers.items())
        size += _HEADER_START + sum(lines)
    if size > limit:
        raise RejectedMessageError(
            "message is larger than the server accepts",
            subject=subject,
            size_bytes=size,
            limit_bytes=limit,
        )


def parse_ack_subject(reply: str) -> DeliveryFacts:
    """Read the facts from ``$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<seq>.<ns>.<pending>``.

    The longer form with domain and account hash in front is read too.

    Raises:
        MalformedMessageError: Not an acknowledgement subject.
    """
    tokens = reply.split(".")
    if not reply.startswith(_ACK_PREFIX) or len(tokens) not in _TOKENS:
        raise MalformedMessageError("message did not come from a stream", reply=reply)
    if len(tokens) > 9:
        tokens = tokens[:2] + tokens[4:]
    try:
        nanoseconds = unsigned(tokens[7])
        return DeliveryFacts(
            stream=tokens[2],
            consumer=tokens[3],
            deliveries=unsigned(tokens[4]),
            stream_sequence=unsigned(tokens[5]),
            stored_at=_UNIX_START + timedelta(microseconds=nanoseconds // 1000),
            pending=unsigned(tokens[8]),
        )
    except (ValueError, OverflowError) as error:
        raise MalformedMessageError("unreadable acknowledgement subject", reply=reply) from error


def delivery_of(reply: str) -> DeliveryFacts | None:
    """Return the facts of a delivery; ``None`` when the message did not come from a stream."""
    try:
        return parse_ack_subject(reply)
    except MalformedMessageError:
        return None


class NatsAnswers:
    """Answers and acknowledgements of one message, published to its reply subject."""

    __slots__ = ("_publish", "_reply")

    def __init__(self, publish: Publish, reply: str) -> None:
        self._publish = publish
        self._reply = reply

    async def respond(self, data: bytes) -> None:
        """Publish to the reply subject."""
        await self._publish(self._reply, data)

    async def ack(self) -> None:
        """State that the effect happened."""
        await self._publish(self._reply, b"+ACK")

    async def nak(self, delay: timedelta | None) -> None:
        """Ask for another delivery, not before ``delay`` has passed."""
        if delay is None:
            await self._publish(self._reply, b"-NAK")
            return
        nanoseconds = int(delay.total_seconds() * 1_000_000_000)
        await self._publish(self._reply, b'-NAK {"delay": %d}' % nanoseconds)

    async def term(self, reason: str) -> None:
        """State that this will never be accepted; ``reason`` goes to the server's advisory."""
        await self._publish(self._reply, b"+TERM " + reason.encode())

    async def in_progress(self) -> None:
        """Ask for another acknowledgement deadline."""
        await self._publish(self._reply, b"+WPI")


def received(
    publish: Publish, subject: str, data: bytes, reply: str, headers: Mapping[str, str]
) -> Message:
    """Return a message as the port shows it; answers go back by ``publish``."""
    answers = NatsAnswers(publish, reply)
    return Message(subject, data, reply, headers, answers, delivery_of(reply))

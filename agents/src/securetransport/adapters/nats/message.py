"""A received message, its JetStream facts, and how it is acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from securetransport.core.base.errors import MalformedMessageError

if TYPE_CHECKING:
    from securetransport.adapters.nats.connection import Connection

HEADER_MESSAGE_ID: Final = "Nats-Msg-Id"
_UNIX_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ACK_PREFIX: Final = "$JS.ACK."


@dataclass(frozen=True, slots=True)
class JetStreamFacts:
    """What the server states about a delivered message.

    Attributes:
        stream: Where it is stored.
        consumer: The durable that delivered it.
        deliveries: How often it was delivered, this time included.
        stream_sequence: Its number in the stream; the same on every delivery.
        stored_at: The broker's timestamp, by which receivers judge.
        pending: Messages still waiting for this consumer.
    """

    stream: str
    consumer: str
    deliveries: int
    stream_sequence: int
    stored_at: datetime
    pending: int


def parse_ack_subject(reply: str) -> JetStreamFacts:
    """Read the facts from ``$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<seq>.<ns>.<pending>``.

    The longer form with domain and account hash in front is read too.

    Raises:
        MalformedMessageError: Not an acknowledgement subject.
    """
    tokens = reply.split(".")
    if not reply.startswith(_ACK_PREFIX) or len(tokens) < 9:
        raise MalformedMessageError("message did not come from a stream", reply=reply)
    if len(tokens) > 9:
        tokens = tokens[:2] + tokens[4:]
    try:
        nanoseconds = int(tokens[7])
        return JetStreamFacts(
            stream=tokens[2],
            consumer=tokens[3],
            deliveries=int(tokens[4]),
            stream_sequence=int(tokens[5]),
            stored_at=_UNIX_START + timedelta(microseconds=nanoseconds // 1000),
            pending=int(tokens[8]),
        )
    except ValueError as error:
        raise MalformedMessageError("unreadable acknowledgement subject", reply=reply) from error


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message read from a stream without a consumer.

    Attributes:
        subject: Where it was published.
        data: Its body.
        sequence: Its number in the stream.
        stored_at: The broker's timestamp.
        headers: Its own headers.
    """

    subject: str
    data: bytes
    sequence: int
    stored_at: datetime
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was received on one connection.

    Attributes:
        subject: Where it was published.
        data: Its body.
        reply: Where an answer or an acknowledgement goes; empty when nobody waits.
        headers: Its headers.
        connection: The connection it came on; acknowledgements go back there.
    """

    subject: str
    data: bytes
    reply: str
    headers: Mapping[str, str]
    connection: Connection

    @property
    def message_id(self) -> str | None:
        """The id that the broker deduplicated by, if the sender gave one."""
        return self.headers.get(HEADER_MESSAGE_ID)

    @property
    def facts(self) -> JetStreamFacts:
        """The JetStream facts of this delivery.

        Raises:
            MalformedMessageError: It did not come from a stream.
        """
        return parse_ack_subject(self.reply)

    async def respond(self, data: bytes) -> None:
        """Answer a request; a message without reply subject is left alone."""
        if self.reply:
            await self.connection.publish(self.reply, data)

    async def ack(self) -> None:
        """State that the effect happened; the server will not deliver it again."""
        await self.connection.publish(self.reply, b"+ACK")

    async def nak(self, delay: timedelta | None = None) -> None:
        """Ask for another delivery, not before ``delay`` has passed."""
        if delay is None:
            await self.connection.publish(self.reply, b"-NAK")
            return
        nanoseconds = int(delay.total_seconds() * 1_000_000_000)
        await self.connection.publish(self.reply, b'-NAK {"delay": %d}' % nanoseconds)

    async def term(self, reason: str) -> None:
        """State that this will never be accepted; ``reason`` goes to the server's advisory."""
        await self.connection.publish(self.reply, b"+TERM " + reason.encode())

    async def in_progress(self) -> None:
        """Ask the server for another acknowledgement deadline."""
        await self.connection.publish(self.reply, b"+WPI")

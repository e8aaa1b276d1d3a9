"""The bus: connections, messages, streams and durables, as the members of the platform use them.

What a bus promises, and every implementation shows in one contract suite:

1. A connection is up when :meth:`Bus.connect` returns it, and reconnects by itself until it is
   closed; :attr:`Connection.is_closed` means for good.
2. A request and a stream publish are never buffered while the connection is down, and those under
   way when it is lost fail with ``BusUnavailableError``: whoever repeats one uses the same id.
3. A stream drops a message whose id it stored within its duplicate window, and says so.
4. A durable delivers a message again when it was neither acknowledged nor refused in time; its
   stream sequence stays the same.
5. What the user of a connection may not do raises ``PermissionDeniedError`` where it was called.
6. A close ends within seconds, whatever the servers do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, Self

from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.ports.leaf_certificates import TlsIdentity

HEADER_MESSAGE_ID: Final = "Nats-Msg-Id"
"""The header by which a stream deduplicates; a message has exactly one."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection is made with.

    Attributes:
        anchors: DER of each trusted intermediate; nothing else is trusted.
        identity: The leaf certificate to present, with its key.
    """

    anchors: tuple[bytes, ...]
    identity: TlsIdentity | None


@dataclass(frozen=True, slots=True)
class BusTimeouts:
    """How long things may take, in seconds.

    Attributes:
        connect: The first connection, all servers tried.
        server: One server's TCP or TLS step, before the next server is tried.
        request: Default of requests and stream publishes.
        ping: Interval of keep-alives; a server silent for two of them is left. A paused server
            keeps its sockets open, so nothing else finds out.
        reconnect_wait: Pause between attempts on the same server.
    """

    connect: float = 5.0
    server: float = 2.0
    request: float = 2.0
    ping: float = 2.0
    reconnect_wait: float = 0.05


class BusEventKind(StrEnum):
    """Kinds of events; used as a metric label.

    ``CLOSED`` comes only when the connection ended for good without its owner's ``close``: its
    owner must connect anew. A connection whose user was removed goes on trying, slowly, and says
    ``PERMISSION_DENIED``: the user may come back.
    """

    DISCONNECTED = "disconnected"
    RECONNECTED = "reconnected"
    LAME_DUCK = "lame_duck"
    PERMISSION_DENIED = "permission_denied"
    ERROR = "error"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class BusEvent:
    """What a connection tells its owner between calls.

    Attributes:
        kind: What happened.
        detail: The client's or the server's words; for logs.
    """

    kind: BusEventKind
    detail: str = ""


EventHandler = Callable[[BusEvent], None]
"""Called in the event loop; must not block."""


@dataclass(frozen=True, slots=True)
class PublishAck:
    """The stream's receipt.

    Attributes:
        stream: Where the message is stored.
        sequence: Its number there.
        is_duplicate: The message id was stored before; this copy was dropped.
    """

    stream: str
    sequence: int
    is_duplicate: bool


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
class DeliveryFacts:
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


class Answers(Protocol):
    """The way back to where a message came from; each raises ``BusUnavailableError``."""

    async def respond(self, data: bytes) -> None:
        """Publish to the message's reply subject."""
        ...

    async def ack(self) -> None:
        """State that the effect happened."""
        ...

    async def nak(self, delay: timedelta | None) -> None:
        """Ask for another delivery; see :meth:`Message.nak`."""
        ...

    async def term(self, reason: str) -> None:
        """State that this will never be accepted."""
        ...

    async def in_progress(self) -> None:
        """Ask for another acknowledgement deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was received.

    Attributes:
        subject: Where it was published.
        data: Its body.
        reply: Where an answer or an acknowledgement goes; empty when nobody waits.
        headers: Its headers.
        answers: The way back; acknowledgements go to the connection it came on.
        delivery: The facts of a delivery from a stream; ``None`` for any other message.
    """

    subject: str
    data: bytes
    reply: str
    headers: Mapping[str, str]
    answers: Answers = field(repr=False, compare=False)
    delivery: DeliveryFacts | None = None

    @property
    def message_id(self) -> str | None:
        """The id that the broker deduplicated by, if the sender gave one."""
        return self.headers.get(HEADER_MESSAGE_ID)

    @property
    def facts(self) -> DeliveryFacts:
        """The facts of this delivery.

        Raises:
            MalformedMessageError: It did not come from a stream.
        """
        if self.delivery is None:
            raise MalformedMessageError("message did not come from a stream", subject=self.subject)
        return self.delivery

    async def respond(self, data: bytes) -> None:
        """Answer a request; a message without reply subject is left alone."""
        if self.reply:
            await self.answers.respond(data)

    async def ack(self) -> None:
        """State that the effect happened; the server will not deliver it again."""
        await self.answers.ack()

    async def nak(self, delay: timedelta | None = None) -> None:
        """Ask for another delivery, not before ``delay`` has passed.

        Without a delay it comes at once. A durable with a backoff list adds a delay to it: the
        message comes after ``delay + backoff[delivery] - backoff[0]`` (measured).
        """
        await self.answers.nak(delay)

    async def term(self, reason: str) -> None:
        """State that this will never be accepted; ``reason`` goes to the server's advisory."""
        await self.answers.term(reason)

    async def in_progress(self) -> None:
        """Ask the server for another acknowledgement deadline."""
        await self.answers.in_progress()


MessageHandler = Callable[[Message], Awaitable[None]]


class Subscription(Protocol):
    """Interest in a subject; survives reconnects."""

    async def unsubscribe(self) -> None:
        """End the interest; messages not handled yet are dropped."""
        ...


class PullSubscription(Protocol):
    """Messages of one durable over one connection; iterate it, or call :meth:`next`."""

    def __aiter__(self) -> Self:
        """Iterate until the pull is stopped."""
        ...

    async def __anext__(self) -> Message:
        """Return the next message."""
        ...

    async def next(self) -> Message | None:
        """Return the next message, or ``None`` when the pull has ended.

        Raises:
            PermissionDeniedError: This user may not pull from this durable.
        """
        ...

    @property
    def problem(self) -> str | None:
        """Why nothing can come at present, ``None`` while the durable answers."""
        ...

    def stop(self) -> None:
        """Ask for nothing new; :meth:`next` returns ``None`` after the last message."""
        ...


class Connection(Protocol):
    """One connection; every method raises ``BusUnavailableError`` when it is down for too long.

    ``timeout`` arguments are seconds for everything, waiting for the connection included.
    """

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted this connection and it is up now."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        ...

    @property
    def server(self) -> str:
        """Host and port it is connected to; empty when it is not."""
        ...

    @property
    def max_payload_bytes(self) -> int:
        """Most bytes of body and headers that the server accepts in one message.

        A larger one is refused by ``RejectedMessageError`` with both numbers, wherever it is
        published; a server would close the connection, with everything else on it.
        """
        ...

    def use_credentials(self, credentials: Credentials) -> None:
        """Use these for every later reconnect; the live connection is not touched."""
        ...

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Hand a message over; at most once, a violation comes as an event only."""
        ...

    async def subscribe(
        self, subject: str, handler: MessageHandler, *, queue: str = ""
    ) -> Subscription:
        """Call ``handler`` for each message, one after the other.

        Raises:
            PermissionDeniedError: The server refused the subscription.
        """
        ...

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # part of every bus's signature
        headers: Mapping[str, str] | None = None,
    ) -> Message:
        """Send a request to the instance's own inbox and return the answer.

        Raises:
            PermissionDeniedError: This user may not publish there.
            BusUnavailableError: Nobody listens, no answer in time, or the connection was lost.
        """
        ...

    async def flush(self, timeout_seconds: float | None = None) -> None:
        """Return when the server has processed everything sent before."""
        ...

    async def publish_acked(
        self,
        subject: str,
        data: bytes,
        *,
        message_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
        headers: Mapping[str, str] | None = None,
    ) -> PublishAck:
        """Publish into a stream and return its receipt.

        The message may be stored although this raises ``BusUnavailableError``; repeat it with the
        same ``message_id`` and the stream drops the copy.

        Raises:
            BusUnavailableError: Not stored as far as is known: no answer, full stream, no leader.
            PermissionDeniedError: This user may not publish there.
            RejectedMessageError: The stream refuses this message for what it is.
        """
        ...

    async def pull(
        self, stream: str, durable: str, *, batch: int = 128, expires_seconds: float = 2.0
    ) -> PullSubscription:
        """Start pulling from a durable that exists already; never creates or looks one up.

        Raises:
            PermissionDeniedError: The inbox may not be subscribed to.
        """
        ...

    async def last_message(
        self,
        stream: str,
        subject: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
    ) -> StoredMessage | None:
        """Return the newest message on ``subject``, ``None`` when there is none.

        Raises:
            PermissionDeniedError: This user may not read there.
        """
        ...

    async def list_last(
        self,
        stream: str,
        subject_filter: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
    ) -> list[StoredMessage]:
        """Return the newest message of every subject that matches ``subject_filter``.

        Raises:
            PermissionDeniedError: This user may not read there.
        """
        ...

    async def drain(self, timeout_seconds: float = 5.0) -> None:
        """Wait until no answer is pending, flush what was sent, then close."""
        ...

    async def close(self) -> None:
        """End the connection; what waits for an answer fails with ``BusUnavailableError``."""
        ...


class Bus(Protocol):
    """Makes connections."""

    async def connect(  # noqa: PLR0913  # all but two are by name
        self,
        servers: Sequence[str],
        credentials: Credentials,
        *,
        name: str,
        inbox_prefix: str,
        timeouts: BusTimeouts | None = None,
        on_event: EventHandler | None = None,
    ) -> Connection:
        """Return a connection that is up.

        The servers map the certificate to a user; there is no password.

        Args:
            servers: ``tls://host:port`` of every server.
            credentials: Anchors and identity.
            name: What the servers list; nothing is authorised by it.
            inbox_prefix: The only inbox this user may subscribe to, without the trailing dot.
            timeouts: See :class:`BusTimeouts`.
            on_event: Told about losses, reconnects, lame-duck servers and refusals.

        Raises:
            BusUnavailableError: No server accepted the connection in time.
            PermissionDeniedError: A server knows no user for this certificate.
        """
        ...

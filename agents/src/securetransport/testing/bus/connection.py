"""One connection to the in-memory servers: reconnects by itself, as the port promises.

Pulls, pending answers, receipts and direct reads are those of the real adapter, over this wire; so
what is tried here is what runs against real servers. What is simulated is the servers and the
client's link to them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from securetransport.adapters.nats.answers import PendingAnswers
from securetransport.adapters.nats.calls import Calls
from securetransport.adapters.nats.message import check_size, received
from securetransport.adapters.nats.pull import NatsPull
from securetransport.core.base.errors import (
    BusUnavailableError,
    PermissionDeniedError,
    SecureTransportError,
)
from securetransport.core.formats.broker_policy import UserPermissions
from securetransport.core.ports.bus import (
    BusEvent,
    BusEventKind,
    BusTimeouts,
    Credentials,
    EventHandler,
    Message,
    MessageHandler,
    PublishAck,
    StoredMessage,
)
from securetransport.testing.bus.frames import Frame
from securetransport.testing.bus.servers import MAX_PAYLOAD_BYTES, BusServer, Session
from securetransport.testing.bus.subscriptions import FakeSubscription
from securetransport.testing.bus.users import check_usable

_SLOW_WAIT_SECONDS: Final = 1.0
_FAST_ATTEMPTS: Final = 60
_MAX_UNSENT_BYTES: Final = 8 << 20


class FakeConnection:
    """One connection; made by ``FakeBus``.

    Attributes:
        name: What the servers list.
        session: The live session at a server, ``None`` while it is down.
    """

    def __init__(  # noqa: PLR0913  # made by FakeBus only
        self,
        servers: Sequence[BusServer],
        credentials: Credentials | UserPermissions,
        *,
        name: str,
        inbox_prefix: str,
        timeouts: BusTimeouts,
        on_event: EventHandler | None,
    ) -> None:
        self.name = name
        self.session: Session | None = None
        self._servers = deque(servers)
        self._credentials = credentials
        self._timeouts = timeouts
        self._on_event = on_event
        self._answers = PendingAnswers(inbox_prefix)
        self._calls = Calls(self, self._answers, timeouts.request)
        self._subscriptions: list[FakeSubscription] = []
        self._pulls: set[NatsPull] = set()
        self._up = asyncio.Event()
        self._is_closed = False
        self._refused: set[str] = set()
        self._unsent: deque[Frame] = deque()
        self._unsent_bytes = 0
        self._last_error = ""
        self._reconnecting: asyncio.Task[None] | None = None

    # --- state -------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted this connection and it is up now."""
        return self.session is not None and not self._is_closed

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        return self._is_closed

    @property
    def pending(self) -> int:
        """Requests and stream publishes whose answer has not come."""
        return len(self._answers)

    @property
    def server(self) -> str:
        """Host and port it is connected to; empty when it is not."""
        return self.session.server.url.split("://", 1)[-1] if self.session is not None else ""

    @property
    def max_payload_bytes(self) -> int:
        """Most bytes of body and headers that the server accepts in one message."""
        return MAX_PAYLOAD_BYTES

    @property
    def silence_seconds(self) -> float:
        """How long a server may be silent before it is left."""
        return 2 * self._timeouts.ping

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until the connection is up.

        Raises:
            BusUnavailableError: It did not come up in time, or is closed.
        """
        if not self.is_connected and not self._is_closed:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._up.wait()
            except TimeoutError as error:
                text = "connection is down"
                raise BusUnavailableError(text, reason=self._last_error) from error
        if self._is_closed:
            raise BusUnavailableError("connection is closed", reason=self._last_error)

    def use_credentials(self, credentials: Credentials) -> None:
        """Use these for every later reconnect; the live connection is not touched.

        Raises:
            SecureTransportError: They cannot be used.
        """
        check_usable(credentials)
        self._credentials = credentials

    # --- core --------------------------------------------------------------------------------

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Hand a message over; at most once, a violation comes as an event only.

        Raises:
            RejectedMessageError: It is larger than the server accepts.
            BusUnavailableError: The connection is closed, or its buffer is full.
        """
        check_size(subject, data, headers, self.max_payload_bytes)
        if self._is_closed:
            raise BusUnavailableError("connection is closed", subject=subject)
        frame = Frame(subject, data, reply, dict(headers or {}))
        if self.session is not None:
            self.session.publish(frame)
            return
        if self._unsent_bytes + len(data) > _MAX_UNSENT_BYTES:
            raise BusUnavailableError("buffer is full", subject=subject)
        self._unsent.append(frame)
        self._unsent_bytes += len(data)

    async def subscribe(
        self, subject: str, handler: MessageHandler, *, queue: str = ""
    ) -> FakeSubscription:
        """Call ``handler`` for each message, one after the other.

        Raises:
            PermissionDeniedError: The server refused the subscription.
            BusUnavailableError: The connection is down or closed.
        """
        await self.wait_connected(self._timeouts.request)
        made = FakeSubscription(
            subject,
            queue,
            handler,
            read=self._message,
            failed=self._handler_failed,
            end=self._unsubscribed,
        )
        self._enter(made)
        try:
            await self.flush()
        except BusUnavailableError:
            await made.unsubscribe()
            raise
        if made.interest is None and self.session is not None:
            await made.unsubscribe()
            text = f"subscription {subject} is not permitted"
            raise PermissionDeniedError(text, subject=subject)
        self._subscriptions.append(made)
        return made

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # part of the agreed signature
        headers: Mapping[str, str] | None = None,
    ) -> Message:
        """Send a request and return the answer; raises as the port says."""
        return await self._calls.request(subject, data, timeout, headers)

    async def flush(self, timeout_seconds: float | None = None) -> None:
        """Return when the server has processed everything sent before; raises as the port says."""
        limit = timeout_seconds or self._timeouts.request
        await asyncio.sleep(0)
        session = self.session
        try:
            async with asyncio.timeout(limit):
                if session is not None:
                    await session.server.wait_running()
        except TimeoutError as error:
            raise BusUnavailableError("flush: bus not available", reason="no answer") from error
        if session is None or self.session is not session:
            raise BusUnavailableError("flush: bus not available", reason=self._last_error)

    # --- streams -----------------------------------------------------------------------------

    async def publish_acked(
        self,
        subject: str,
        data: bytes,
        *,
        message_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
        headers: Mapping[str, str] | None = None,
    ) -> PublishAck:
        """Publish into a stream and return its receipt; raises as the port says."""
        return await self._calls.store(subject, data, message_id, timeout, headers)

    async def pull(
        self, stream: str, durable: str, *, batch: int = 128, expires_seconds: float = 2.0
    ) -> NatsPull:
        """Start pulling from a durable that exists already; raises as the port says."""
        pull = NatsPull(
            self, self._answers, stream, durable, batch=batch, expires_seconds=expires_seconds
        )
        await pull.start()
        self._pulls = {known for known in self._pulls if not known.is_over} | {pull}
        return pull

    async def last_message(
        self,
        stream: str,
        subject: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
    ) -> StoredMessage | None:
        """Return the newest message on ``subject``; raises as the port says."""
        return await self._calls.last_message(stream, subject, timeout)

    async def list_last(
        self,
        stream: str,
        subject_filter: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
    ) -> list[StoredMessage]:
        """Return the newest message of every subject that matches; raises as the port says."""
        return await self._calls.list_last(stream, subject_filter, timeout)

    # --- end ---------------------------------------------------------------------------------

    async def drain(self, timeout_seconds: float = 5.0) -> None:
        """Wait until no answer is pending, flush what was sent, then close."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._answers.wait_idle()
                if self.is_connected:
                    await self.flush(timeout_seconds)
        except (TimeoutError, BusUnavailableError):
            pass  # given up after the deadline; unacknowledged messages are delivered again
        await self.close()

    async def close(self) -> None:
        """End the connection; what waits for an answer fails with ``BusUnavailableError``."""
        self._end()
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait({self._reconnecting})

    def _end(self) -> None:
        self._is_closed = True
        self._up.set()
        session, self.session = self.session, None
        if session is not None:
            session.close()
        for subscription in tuple(self._subscriptions):
            subscription.stop()
        self._subscriptions.clear()
        self._unsent.clear()
        self._lost("connection closed", is_final=True)

    # --- called by servers -------------------------------------------------------------------

    def connection_lost(self, why: str, *, is_final: bool) -> None:
        """Reconnect, or be closed for good."""
        self.session = None
        self._last_error = why
        if is_final:
            self._end()
            self._emit(BusEventKind.CLOSED, why)
            return
        self._up.clear()
        self._lost("connection lost", is_final=False)
        self._emit(BusEventKind.DISCONNECTED, why)
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    def refused(self, verb: str, subject: str) -> None:
        """Take a permission violation."""
        text = f"{verb} {subject} is not permitted"
        if verb == "publish":
            self._answers.refuse(subject, text)
        self._emit(BusEventKind.PERMISSION_DENIED, text)

    def lame_duck(self) -> None:
        """Tell the owner that its server asks it to leave."""
        self._emit(BusEventKind.LAME_DUCK, self.server)

    # --- connecting --------------------------------------------------------------------------

    async def connect_once(self) -> None:
        """Try the next server.

        Raises:
            SecureTransportError: It does not let this connection in.
        """
        server = self._servers[0]
        self._servers.rotate(-1)
        self.session = await server.accept(self, self._credentials, self._timeouts.server)
        for subscription in self._subscriptions:
            self._enter(subscription)
        while self._unsent and self.session is not None:
            self.session.publish(self._unsent.popleft())
        self._unsent_bytes = 0

    async def start(self) -> None:
        """Subscribe the inbox of answers; called once after the first connect."""
        self._up.set()
        await self.subscribe(self._answers.subject, self._answers.settle)

    async def _reconnect(self) -> None:
        attempts = 0
        while self.session is None and not self._is_closed:
            attempts += 1
            is_fast = attempts <= _FAST_ATTEMPTS
            await asyncio.sleep(self._timeouts.reconnect_wait if is_fast else _SLOW_WAIT_SECONDS)
            try:
                await self.connect_once()
            except SecureTransportError as error:
                self._not_accepted(error)
        if self._is_closed:
            return
        self._up.set()
        self._answers.forget_refusals()
        for pull in self._pulls:
            pull.connection_restored()
        self._emit(BusEventKind.RECONNECTED, self.server)

    def _not_accepted(self, error: SecureTransportError) -> None:
        text = str(error)
        if text == self._last_error:
            return
        self._last_error = text
        is_refused = isinstance(error, PermissionDeniedError)
        self._emit(BusEventKind.PERMISSION_DENIED if is_refused else BusEventKind.ERROR, text)

    # --- inside ------------------------------------------------------------------------------

    def _enter(self, subscription: FakeSubscription) -> None:
        if self.session is not None:
            subscription.interest = self.session.subscribe(
                subscription.subject, subscription.queue, subscription.put
            )

    def _unsubscribed(self, subscription: FakeSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        if self.session is not None and subscription.interest is not None:
            self.session.unsubscribe(subscription.interest)

    def _lost(self, why: str, *, is_final: bool) -> None:
        self._answers.fail(why)
        for pull in self._pulls:
            pull.connection_lost(is_final=is_final)

    def _message(self, frame: Frame) -> Message:
        return received(self.publish, frame.subject, frame.data, frame.reply, frame.headers)

    def _handler_failed(self, error: Exception) -> None:
        self._emit(BusEventKind.ERROR, str(error) or type(error).__name__)

    def _emit(self, kind: BusEventKind, detail: str = "") -> None:
        if self._on_event is not None:
            self._on_event(BusEvent(kind, detail))

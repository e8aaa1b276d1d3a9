"""One connection to the bus: publish, subscribe, request, pull, read; nats-py's errors translated.

Three things differ from nats-py's own request and publish:

1. A request whose connection is lost fails at once instead of waiting for its deadline, so the
   caller retries on the next server within milliseconds (with the same message id, so the server
   drops the copy if the first one was stored).
2. A permission violation, which the server reports apart from the request it refused, fails the
   request or subscription it belongs to with ``PermissionDeniedError``.
3. Nothing is sent while the connection is down: a buffered publish would be stored after its sender
   gave it up.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import nats.aio.client
import nats.errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from securetransport.adapters.nats import direct
from securetransport.adapters.nats.errors import (
    is_authorization_refusal,
    is_closing_noise,
    permission_violation,
    translate,
    translate_api,
)
from securetransport.adapters.nats.events import BusEvent, BusEventKind, EventHandler
from securetransport.adapters.nats.message import HEADER_MESSAGE_ID, Message, StoredMessage
from securetransport.adapters.nats.pull import PullSubscription
from securetransport.core.errors import BusUnavailableError, PermissionDeniedError

MessageHandler = Callable[[Message], Awaitable[None]]
_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"
_FAST_WAIT_SECONDS: Final = 0.05
_SLOW_WAIT_SECONDS: Final = 1.0
_FAST_ATTEMPTS: Final = 60
_MAX_DENIED: Final = 64
_NATS_ERRORS: Final = (nats_errors.Error, OSError, asyncio.TimeoutError)


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


class Subscription:
    """Interest in a subject, until :meth:`unsubscribe`; survives reconnects."""

    def __init__(self, inner: NatsSubscription) -> None:
        self._inner = inner

    async def unsubscribe(self) -> None:
        """End the interest; messages not handled yet are dropped."""
        try:
            await self._inner.unsubscribe()
        except nats_errors.Error:
            return  # closed connection or unsubscribed before: nothing is left to end


class Connection:
    """A live connection; made by :class:`~securetransport.adapters.nats.bus.Bus`, not directly.

    Attributes:
        name: The client name the servers list; nothing is authorised by it.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox_prefix: str,
        request_seconds: float,
        on_event: EventHandler | None,
    ) -> None:
        self.name = name
        self._client = nats.aio.client.Client()
        self._on_event = on_event
        self._request_seconds = request_seconds
        self._inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
        self._waiting: dict[str, tuple[asyncio.Future[Msg], str]] = {}
        self._subscribing: dict[str, PermissionDeniedError | None] = {}
        self._denied: dict[str, str] = {}
        self._pulls: set[PullSubscription] = set()
        self._counter = 0
        self._up = asyncio.Event()
        self._is_closing = False
        self._failures = 0
        self._last_error = ""

    # --- state -------------------------------------------------------------------------------

    @property
    def client(self) -> nats.aio.client.Client:
        """nats-py's client; for this package only."""
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted this connection and it is up now."""
        return self._up.is_set() and not self._client.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        return bool(self._client.is_closed)

    @property
    def pending(self) -> int:
        """Requests and stream publishes whose answer has not come."""
        return len(self._waiting)

    @property
    def server(self) -> str:
        """Host and port it is connected to; empty when it is not."""
        url = self._client.connected_url
        return str(url.netloc) if url is not None else ""

    @property
    def last_error(self) -> str:
        """The newest error, in the server's or nats-py's words."""
        return self._last_error

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until the connection is up.

        Raises:
            BusUnavailableError: It did not come up in time, or is closed.
        """
        if self.is_connected:
            return
        if self._client.is_closed:
            raise BusUnavailableError("connection is closed", reason=self._last_error)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._up.wait()
        except TimeoutError as error:
            raise BusUnavailableError("connection is down", reason=self._last_error) from error

    def replace_context(self, context: ssl.SSLContext) -> None:
        """Use ``context`` for every later reconnect; the live connection is not touched."""
        self._client.options["tls"] = context

    # --- core --------------------------------------------------------------------------------

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Hand a message to the client; at most once, a violation comes as an event only.

        Raises:
            BusUnavailableError: The connection is closed, or its buffer is full.
        """
        try:
            await self._client.publish(
                subject, data, reply=reply, headers=dict(headers) if headers else None
            )
        except _NATS_ERRORS as error:
            raise translate(error, f"publish {subject}") from error

    async def subscribe(
        self, subject: str, handler: MessageHandler, *, queue: str = ""
    ) -> Subscription:
        """Call ``handler`` for each message, one after the other.

        Raises:
            PermissionDeniedError: The server refused the subscription.
            BusUnavailableError: The server did not answer.
        """

        async def receive(raw: Msg) -> None:
            await handler(self._message(raw))

        return await self._subscribe_raw(subject, receive, queue)

    async def _subscribe_raw(
        self, subject: str, receive: Callable[[Msg], Awaitable[None]], queue: str = ""
    ) -> Subscription:
        await self.wait_connected(self._request_seconds)
        self._subscribing[subject.lower()] = None
        try:
            inner = await self._client.subscribe(subject, queue=queue, cb=receive)
            # The server answers a refused subscription before the PONG of this flush.
            await self.flush()
            denied = self._subscribing[subject.lower()]
        except _NATS_ERRORS as error:
            raise translate(error, f"subscribe {subject}") from error
        finally:
            self._subscribing.pop(subject.lower(), None)
        subscription = Subscription(inner)
        if denied is not None:
            await subscription.unsubscribe()
            raise denied
        return subscription

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # part of the agreed signature
        headers: Mapping[str, str] | None = None,
    ) -> Message:
        """Send a request to the instance's own inbox and return the answer.

        Args:
            subject: Whom to ask.
            data: The request.
            timeout: Seconds for everything, waiting for the connection included.
            headers: Headers of the request.

        Raises:
            PermissionDeniedError: This user may not publish there.
            BusUnavailableError: Nobody listens, no answer in time, or the connection was lost.
        """
        return self._message(await self._exchange(subject, data, timeout, headers))

    async def flush(self, timeout_seconds: float | None = None) -> None:
        """Return when the server has processed everything sent before.

        Raises:
            BusUnavailableError: No answer in time.
        """
        limit = timeout_seconds or self._request_seconds
        try:
            await asyncio.wait_for(self._client.flush(), limit)
        except (*_NATS_ERRORS, AttributeError, AssertionError) as error:
            raise translate(error, "flush") from error

    # --- streams -----------------------------------------------------------------------------

    async def publish_js(
        self,
        subject: str,
        data: bytes,
        message_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # part of the agreed signature
    ) -> int:
        """Publish into a stream and return the sequence number; see :meth:`publish_acked`."""
        ack = await self.publish_acked(subject, data, message_id=message_id, timeout=timeout)
        return ack.sequence

    async def publish_acked(
        self,
        subject: str,
        data: bytes,
        *,
        message_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # as publish_js
    ) -> PublishAck:
        """Publish into a stream and return its receipt.

        The message may be stored although this raises ``BusUnavailableError``; repeat it with the
        same ``message_id`` and the stream drops the copy.

        Raises:
            BusUnavailableError: Not stored as far as is known: no answer, full stream, no leader.
            PermissionDeniedError: This user may not publish there.
            RejectedMessageError: The stream refuses this message for what it is.
        """
        headers = {HEADER_MESSAGE_ID: message_id} if message_id else None
        raw = await self._exchange(subject, data, timeout, headers)
        try:
            body: dict[str, Any] = json.loads(raw.data)
        except ValueError as error:
            raise BusUnavailableError("publish: unreadable receipt", subject=subject) from error
        if "error" in body:
            raise translate_api(body["error"], f"publish {subject}")
        return PublishAck(body["stream"], int(body["seq"]), bool(body.get("duplicate", False)))

    async def pull(
        self, stream: str, durable: str, *, batch: int = 128, expires_seconds: float = 2.0
    ) -> PullSubscription:
        """Start pulling from a durable that exists already; never creates or looks one up.

        Raises:
            PermissionDeniedError: The inbox may not be subscribed to.
            BusUnavailableError: The server did not answer.
        """
        self._counter += 1
        inbox = f"{self._inbox}.p{self._counter}"
        pull = PullSubscription(
            self, stream, durable, inbox, batch=batch, expires_seconds=expires_seconds
        )
        await pull.start()
        self._pulls.add(pull)
        return pull

    def forget_pull(self, pull: PullSubscription) -> None:
        """Drop a pull that has ended; called by the pull itself."""
        self._pulls.discard(pull)

    async def last_message(
        self,
        stream: str,
        subject: str,
        timeout: float | None = None,  # noqa: ASYNC109  # part of the agreed signature
    ) -> StoredMessage | None:
        """Return the newest message on ``subject``, ``None`` when there is none.

        Raises:
            PermissionDeniedError: This user may not read there.
            BusUnavailableError: No answer in time.
        """
        raw = await self._exchange(direct.subject_of(stream, subject), b"", timeout, None)
        return direct.parse(raw.data, raw.headers or {}, stream)

    async def list_last(
        self,
        stream: str,
        subject_filter: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as last_message
    ) -> list[StoredMessage]:
        """Return the newest message of every subject that matches ``subject_filter``.

        Raises:
            PermissionDeniedError: This user may not read there.
            BusUnavailableError: No complete answer in time.
        """
        return await direct.list_last(
            self, stream, subject_filter, timeout or self._request_seconds
        )

    # --- end ---------------------------------------------------------------------------------

    async def drain(self, timeout_seconds: float = 5.0) -> None:
        """Wait until no answer is pending, flush what was sent (acknowledgements), then close."""
        try:
            async with asyncio.timeout(timeout_seconds):
                answers = [future for future, _ in self._waiting.values()]
                if answers:
                    await asyncio.wait(answers)
                if self.is_connected:
                    await self.flush(timeout_seconds)
        except (TimeoutError, BusUnavailableError):
            pass  # given up after the deadline; unacknowledged messages are delivered again
        await self.close()

    async def close(self) -> None:
        """End the connection; what waits for an answer fails with ``BusUnavailableError``."""
        self._is_closing = True
        self._up.clear()
        for pull in tuple(self._pulls):
            pull.connection_lost(is_final=True)
        try:
            await asyncio.wait_for(self._client.close(), 3.0)
        except (*_NATS_ERRORS, AttributeError):
            pass  # the socket is gone already
        finally:
            self._fail_waiting("connection closed")
            self.abandon_transport()

    def abandon_transport(self) -> None:
        """Close the socket whatever nats-py believes its state is."""
        transport = self._client._transport  # noqa: SLF001  # close() skips it after a failed connect
        if transport is not None:
            transport.close()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped

    # --- for this package --------------------------------------------------------------------

    @property
    def inbox(self) -> str:
        """Root of this connection's own inboxes."""
        return self._inbox

    @asynccontextmanager
    async def expect(self, subject: str) -> AsyncIterator[tuple[str, asyncio.Future[Msg]]]:
        """Give a reply subject and the future of its first answer, forgotten on exit."""
        self._counter += 1
        token = str(self._counter)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = (future, subject.lower())
        try:
            yield f"{self._inbox}.r.{token}", future
        finally:
            self._waiting.pop(token, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen; it was raised where it was awaited, or nobody waits

    async def start(self) -> None:
        """Subscribe the request inbox; called once after the first connect."""
        self._up.set()
        await self._subscribe_raw(f"{self._inbox}.r.*", self._answer)

    def denied(self, subject: str) -> str | None:
        """Return, once, that the server refused a publish to ``subject`` nobody waits for."""
        return self._denied.pop(subject.lower(), None)

    async def _answer(self, raw: Msg) -> None:
        entry = self._waiting.get(raw.subject.rsplit(".", 1)[1])
        if entry is not None and not entry[0].done():
            entry[0].set_result(raw)

    async def _exchange(
        self,
        subject: str,
        data: bytes,
        timeout_seconds: float | None,
        headers: Mapping[str, str] | None,
    ) -> Msg:
        limit = timeout_seconds or self._request_seconds
        try:
            async with asyncio.timeout(limit), self.expect(subject) as (reply, future):
                await self.wait_connected(limit)
                await self.publish(subject, data, reply=reply, headers=headers)
                raw = await future
        except TimeoutError as error:
            raise BusUnavailableError("no answer in time", subject=subject) from error
        if (raw.headers or {}).get(_STATUS) == _NO_RESPONDERS:
            raise BusUnavailableError("nobody listens", subject=subject)
        return raw

    def _message(self, raw: Msg) -> Message:
        return Message(raw.subject, raw.data, raw.reply, raw.headers or {}, self)

    def _emit(self, kind: BusEventKind, detail: str = "") -> None:
        if self._on_event is not None:
            self._on_event(BusEvent(kind, detail))

    def _fail_waiting(self, why: str, subject: str | None = None) -> None:
        for future, asked in tuple(self._waiting.values()):
            if future.done() or (subject is not None and asked != subject):
                continue
            if subject is None:
                future.set_exception(BusUnavailableError(why, subject=asked))
            else:
                future.set_exception(PermissionDeniedError(why, subject=asked))

    # --- nats-py's callbacks -----------------------------------------------------------------

    async def on_disconnected(self) -> None:
        """React to a lost connection."""
        was_up = self._up.is_set()
        self._up.clear()
        self._fail_waiting("connection lost")
        for pull in tuple(self._pulls):
            pull.connection_lost(is_final=False)
        if was_up and not self._is_closing:
            self._emit(BusEventKind.DISCONNECTED, self._last_error)

    async def on_reconnected(self) -> None:
        """React to a connection that is up again."""
        self._failures = 0
        self._denied.clear()
        self._client.options["reconnect_time_wait"] = _FAST_WAIT_SECONDS
        self._up.set()
        for pull in tuple(self._pulls):
            pull.connection_restored()
        self._emit(BusEventKind.RECONNECTED, self.server)

    async def on_closed(self) -> None:
        """React to the end of the connection."""
        self._up.clear()
        self._fail_waiting("connection closed")
        for pull in tuple(self._pulls):
            pull.connection_lost(is_final=True)
        if not self._is_closing:
            self._emit(BusEventKind.CLOSED, self._last_error)

    async def on_lame_duck(self) -> None:
        """React to a server that asks its clients to leave."""
        self._emit(BusEventKind.LAME_DUCK, self.server)

    async def on_error(self, error: Exception) -> None:
        """Sort nats-py's asynchronous errors: violations, noise, and the rest."""
        violation = permission_violation(error)
        if violation is not None:
            verb, subject = violation
            text = f"{verb} {subject} is not permitted"
            if verb == "publish":
                self._fail_waiting(text, subject)
                if len(self._denied) < _MAX_DENIED:
                    self._denied[subject] = text
            elif subject in self._subscribing:
                self._subscribing[subject] = PermissionDeniedError(text, subject=subject)
            self._emit(BusEventKind.PERMISSION_DENIED, text)
            return
        repeated = str(error) == self._last_error and not self._up.is_set()
        self._last_error = str(error) or type(error).__name__
        if not self._up.is_set():
            self._slow_down()
        if self._is_closing or repeated or (self._up.is_set() and is_closing_noise(error)):
            return
        refused = is_authorization_refusal(self._last_error)
        self._emit(
            BusEventKind.PERMISSION_DENIED if refused else BusEventKind.ERROR, self._last_error
        )

    def _slow_down(self) -> None:
        """Reconnect fast at first, then once a second: a refused client must not hammer servers."""
        self._failures += 1
        if self._failures > _FAST_ATTEMPTS:
            self._client.options["reconnect_time_wait"] = _SLOW_WAIT_SECONDS

"""One connection to the bus: publish, subscribe, request, pull, read; nats-py's errors translated.

Requests and stream publishes are never buffered while the connection is down: a buffered publish
would be stored after its sender gave it up. What happens to those under way when it is lost stands
in ``state.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import nats.errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from securetransport.adapters.nats import direct
from securetransport.adapters.nats.errors import translate, translate_api
from securetransport.adapters.nats.message import NatsAnswers, delivery_of
from securetransport.adapters.nats.pull import PullSubscription
from securetransport.adapters.nats.state import ConnectionState
from securetransport.adapters.nats.transport import QuickTransport
from securetransport.adapters.tls import client_context
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import (
    HEADER_MESSAGE_ID,
    Credentials,
    Message,
    MessageHandler,
    PublishAck,
    StoredMessage,
)

_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"
_NATS_ERRORS: Final = (nats_errors.Error, OSError, asyncio.TimeoutError)


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


class Connection(ConnectionState):
    """A live connection; made by :class:`~securetransport.adapters.nats.bus.Bus`, not directly.

    Attributes:
        name: The client name the servers list; nothing is authorised by it.
    """

    def use_credentials(self, credentials: Credentials) -> None:
        """Use these for every later reconnect; the live connection is not touched."""
        self._client.options["tls"] = client_context(credentials.anchors, credentials.identity)

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

        nats-py writes the PING of its flush past commands that wait for its own flusher. When the
        first PONG is here, those were written; so the second PING is behind them.

        Raises:
            BusUnavailableError: No answer in time.
        """
        limit = timeout_seconds or self._request_seconds
        try:
            async with asyncio.timeout(limit):
                await self._client.flush()
                await self._client.flush()
        except (*_NATS_ERRORS, AttributeError, AssertionError) as error:
            raise translate(error, "flush") from error

    # --- streams -----------------------------------------------------------------------------

    async def publish_acked(
        self,
        subject: str,
        data: bytes,
        *,
        message_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # as publish_js
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
        every = dict(headers or {})
        if message_id:
            every[HEADER_MESSAGE_ID] = message_id
        raw = await self._exchange(subject, data, timeout, every)
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
        """Give the socket back whatever nats-py believes its state is."""
        transport = self._client._transport  # noqa: SLF001  # close() skips it after a failed connect
        if isinstance(transport, QuickTransport):
            transport.abort()

    # --- for this package --------------------------------------------------------------------

    async def start(self) -> None:
        """Subscribe the request inbox; called once after the first connect."""
        self._up.set()
        await self._subscribe_raw(f"{self._inbox}.r.*", self._answer)

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
        answers = NatsAnswers(self.publish, raw.reply)
        headers = raw.headers or {}
        return Message(raw.subject, raw.data, raw.reply, headers, answers, delivery_of(raw.reply))

"""One connection to the bus over nats-py: what the port promises, its errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import nats.aio.client
import nats.errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as ClientSubscription

from securetransport.adapters.nats.answers import PendingAnswers
from securetransport.adapters.nats.calls import Calls
from securetransport.adapters.nats.errors import translate
from securetransport.adapters.nats.link import NatsLink
from securetransport.adapters.nats.message import check_size, received
from securetransport.adapters.nats.pull import NatsPull
from securetransport.adapters.tls import client_context
from securetransport.core.base.errors import BusUnavailableError, PermissionDeniedError
from securetransport.core.ports.bus import (
    Credentials,
    EventHandler,
    Message,
    MessageHandler,
    PublishAck,
    StoredMessage,
)

_NATS_ERRORS: Final = (nats_errors.Error, OSError, asyncio.TimeoutError)


class NatsSubscription:
    """Interest in a subject, until :meth:`unsubscribe`; survives reconnects."""

    def __init__(self, inner: ClientSubscription) -> None:
        self._inner = inner

    async def unsubscribe(self) -> None:
        """End the interest; messages not handled yet are dropped."""
        try:
            await self._inner.unsubscribe()
        except nats_errors.Error:
            return  # closed connection or unsubscribed before: nothing is left to end


class NatsConnection:
    """A live connection; made by :class:`~securetransport.adapters.nats.bus.NatsBus`, not directly.

    Attributes:
        name: The client name the servers list; nothing is authorised by it.
        link: nats-py's client; for this package and for tests.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox_prefix: str,
        request_seconds: float,
        on_event: EventHandler | None,
        client: nats.aio.client.Client | None = None,
    ) -> None:
        self.name = name
        self.link = NatsLink(self, on_event, client)
        self._client = self.link.client
        self._request_seconds = request_seconds
        self._answers = PendingAnswers(inbox_prefix)
        self._calls = Calls(self, self._answers, request_seconds)
        self._subscribing: dict[str, PermissionDeniedError | None] = {}
        self._pulls: set[NatsPull] = set()

    # --- state -------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted this connection and it is up now."""
        return self.link.is_connected

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        return self.link.is_closed

    @property
    def pending(self) -> int:
        """Requests and stream publishes whose answer has not come."""
        return len(self._answers)

    @property
    def server(self) -> str:
        """Host and port it is connected to; empty when it is not."""
        return self.link.server

    @property
    def max_payload_bytes(self) -> int:
        """Most bytes of body and headers that the server accepts in one message."""
        return int(self._client.max_payload)

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until the connection is up.

        Raises:
            BusUnavailableError: It did not come up in time, or is closed.
        """
        await self.link.wait_connected(timeout_seconds)

    def use_credentials(self, credentials: Credentials) -> None:
        """Use these for every later reconnect; the live connection is not touched."""
        self._client.options["tls"] = client_context(credentials.anchors, credentials.identity)

    async def start(self) -> None:
        """Subscribe the inbox of answers; called once after the first connect."""
        self.link.begin()
        await self.subscribe(self._answers.subject, self._answers.settle)

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
            RejectedMessageError: It is larger than the server accepts.
            BusUnavailableError: The connection is closed, or its buffer is full.
        """
        check_size(subject, data, headers, self.max_payload_bytes)
        try:
            await self._client.publish(
                subject, data, reply=reply, headers=dict(headers) if headers else None
            )
        except _NATS_ERRORS as error:
            raise translate(error, f"publish {subject}") from error

    async def subscribe(
        self, subject: str, handler: MessageHandler, *, queue: str = ""
    ) -> NatsSubscription:
        """Call ``handler`` for each message, one after the other.

        Raises:
            PermissionDeniedError: The server refused the subscription.
            BusUnavailableError: The server did not answer.
        """
        await self.wait_connected(self._request_seconds)
        self._subscribing[subject.lower()] = None
        try:
            inner = await self._client.subscribe(subject, queue=queue, cb=self._receiver(handler))
            # The server answers a refused subscription before the PONG of this flush.
            await self.flush()
            denied = self._subscribing[subject.lower()]
        except _NATS_ERRORS as error:
            raise translate(error, f"subscribe {subject}") from error
        finally:
            self._subscribing.pop(subject.lower(), None)
        subscription = NatsSubscription(inner)
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
            RejectedMessageError: It is larger than the server accepts.
            BusUnavailableError: Nobody listens, no answer in time, or the connection was lost.
        """
        return await self._calls.request(subject, data, timeout, headers)

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
        timeout: float | None = None,  # noqa: ASYNC109  # as request
        headers: Mapping[str, str] | None = None,
    ) -> PublishAck:
        """Publish into a stream and return its receipt.

        The message may be stored although this raises ``BusUnavailableError``; repeat it with the
        same ``message_id`` and the stream drops the copy.

        Raises:
            BusUnavailableError: Not stored as far as is known: no answer, full stream, no leader.
            PermissionDeniedError: This user may not publish there.
            RejectedMessageError: The stream or the server refuses this message for what it is.
        """
        return await self._calls.store(subject, data, message_id, timeout, headers)

    async def pull(
        self, stream: str, durable: str, *, batch: int = 128, expires_seconds: float = 2.0
    ) -> NatsPull:
        """Start pulling from a durable that exists already; never creates or looks one up.

        Raises:
            PermissionDeniedError: The inbox may not be subscribed to.
            BusUnavailableError: The server did not answer.
        """
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
        """Return the newest message on ``subject``, ``None`` when there is none.

        Raises:
            PermissionDeniedError: This user may not read there.
            BusUnavailableError: No answer in time, or not one that can be read.
        """
        return await self._calls.last_message(stream, subject, timeout)

    async def list_last(
        self,
        stream: str,
        subject_filter: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as request
    ) -> list[StoredMessage]:
        """Return the newest message of every subject that matches ``subject_filter``.

        Raises:
            PermissionDeniedError: This user may not read there.
            BusUnavailableError: No complete answer in time.
        """
        return await self._calls.list_last(stream, subject_filter, timeout)

    # --- end ---------------------------------------------------------------------------------

    async def drain(self, timeout_seconds: float = 5.0) -> None:
        """Wait until no answer is pending, flush what was sent (acknowledgements), then close."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._answers.wait_idle()
                if self.is_connected:
                    await self.flush(timeout_seconds)
        except (TimeoutError, BusUnavailableError):
            pass  # given up after the deadline; unacknowledged messages are delivered again
        await self.close()

    async def close(self) -> None:
        """End the connection, within a few seconds whatever the servers do."""
        try:
            await self.link.close()
        finally:
            self.link_lost("connection closed", is_final=True)

    # --- called by the link ------------------------------------------------------------------

    def link_lost(self, why: str, *, is_final: bool) -> None:
        """Let fail what waits for an answer; pulls forget what they asked for."""
        self._answers.fail(why)
        for pull in self._pulls:
            pull.connection_lost(is_final=is_final)

    def link_restored(self) -> None:
        """Let pulls ask again at once."""
        self._answers.forget_refusals()
        for pull in self._pulls:
            pull.connection_restored()

    def publish_refused(self, subject: str, why: str) -> None:
        """Let the request fail that this belongs to."""
        self._answers.refuse(subject, why)

    def subscription_refused(self, subject: str, why: str) -> None:
        """Let the subscription fail that this belongs to."""
        if subject in self._subscribing:
            self._subscribing[subject] = PermissionDeniedError(why, subject=subject)

    # --- inside ------------------------------------------------------------------------------

    def _receiver(self, handler: MessageHandler) -> Callable[[Msg], Awaitable[None]]:
        async def receive(raw: Msg) -> None:
            headers = raw.headers or {}
            await handler(received(self.publish, raw.subject, raw.data, raw.reply, headers))

        return receive

"""Pulling from a durable that exists already, with the least rights possible.

Uses one request subject, ``$JS.API.CONSUMER.MSG.NEXT.<stream>.<durable>``, the acknowledgement
subjects, and an inbox of its own. It never creates a consumer and never asks for one, because the
right to create one lets a service push into somebody else's inbox.

Rules:

1. At most ``batch`` messages are asked for or waiting here; a new request goes out when half of
   them were taken.
2. A request that ends early (timeout, leader change, server shutdown) is counted back by what the
   server says is still pending, or wholly when it does not say.
3. Without a message or heartbeat for two heartbeats, the requests are taken as lost.
4. :meth:`PullSubscription.stop` asks for nothing new and ends when what was asked for has come or
   expired, so no message is left delivered but unhandled.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final, Self

from securetransport.adapters.nats.answers import PendingAnswers
from securetransport.adapters.nats.wire import Wire
from securetransport.core.base.errors import BusUnavailableError, PermissionDeniedError
from securetransport.core.ports.bus import Message, Subscription

_HEARTBEAT: Final = "100"
_NO_RESPONDERS: Final = "503"
_CONFLICT: Final = "409"
_NANOSECONDS: Final = 1_000_000_000
_RETRY_SECONDS: Final = 0.1
_MISSING_RETRY_SECONDS: Final = 1.0


class NatsPull:
    """Messages of one durable over one connection; iterate it, or call :meth:`next`.

    Args:
        wire: Where it pulls; acknowledgements go back there.
        answers: Gives it an inbox, and knows when its requests were refused.
        stream: The stream.
        durable: The pre-made durable consumer.
        batch: Most messages asked for or waiting to be taken.
        expires_seconds: Life of one request; also the longest wait of :meth:`stop`.
    """

    def __init__(  # noqa: PLR0913  # made by connections only
        self,
        wire: Wire,
        answers: PendingAnswers,
        stream: str,
        durable: str,
        *,
        batch: int,
        expires_seconds: float,
    ) -> None:
        self.stream = stream
        self.durable = durable
        self._wire = wire
        self._answers = answers
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = answers.new_inbox("p")
        self._batch = batch
        self._expires = expires_seconds
        self._heartbeat = expires_seconds / 4
        self._queue: asyncio.Queue[Message] = asyncio.Queue(maxsize=2 * batch)
        self._outstanding: dict[str, int] = {}
        self._counter = 0
        self._wake = asyncio.Event()
        self._last_sign = 0.0
        self._resume_at = 0.0
        self._is_stopping = False
        self._is_over = False
        self._subscription: Subscription | None = None
        self._problem: str | None = None

    async def start(self) -> None:
        """Subscribe the inbox."""
        self._subscription = await self._wire.subscribe(f"{self._inbox}.*", self._receive)

    @property
    def is_over(self) -> bool:
        """Whether :meth:`next` will return nothing more."""
        return self._is_over

    @property
    def problem(self) -> str | None:
        """Why nothing can come at present, ``None`` while the durable answers."""
        return self._problem

    @property
    def waiting(self) -> int:
        """Messages received and not yet taken by :meth:`next`."""
        return self._queue.qsize()

    def __aiter__(self) -> Self:
        """Iterate until the pull is stopped."""
        return self

    async def __anext__(self) -> Message:
        """Return the next message."""
        message = await self.next()
        if message is None:
            raise StopAsyncIteration
        return message

    async def next(self) -> Message | None:
        """Return the next message, or ``None`` when the pull has ended.

        Raises:
            PermissionDeniedError: This user may not pull from this durable.
        """
        while True:
            if not self._queue.empty():
                return self._queue.get_nowait()
            if self._is_over or (self._is_stopping and not self._outstanding):
                await self._finish()
                return None
            await self._ask()
            self._wake.clear()
            if not self._queue.empty():
                continue
            try:
                async with asyncio.timeout(self._patience()):
                    await self._wake.wait()
            except TimeoutError:
                self._check_silence()

    def stop(self) -> None:
        """Ask for nothing new; :meth:`next` returns ``None`` after the last message."""
        self._is_stopping = True
        self._wake.set()

    # --- called by the connection ------------------------------------------------------------

    def connection_lost(self, *, is_final: bool) -> None:
        """Forget what was asked for: the server forgot it too."""
        self._outstanding.clear()
        self._is_over = self._is_over or is_final
        self._wake.set()

    def connection_restored(self) -> None:
        """Ask again at once."""
        self._resume_at = 0.0
        self._wake.set()

    # --- inside ------------------------------------------------------------------------------

    def _patience(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._resume_at > now:
            return self._resume_at - now
        return 2 * self._heartbeat

    def _check_silence(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._outstanding and now - self._last_sign >= 2 * self._heartbeat:
            self._outstanding.clear()

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        missing = self._batch - sum(self._outstanding.values()) - self._queue.qsize()
        if self._is_stopping or missing * 2 < self._batch or loop.time() < self._resume_at:
            return
        if not self._wire.is_connected:
            self._resume_at = loop.time() + _RETRY_SECONDS
            return
        self._counter += 1
        token = str(self._counter)
        body = {
            "batch": missing,
            "expires": int(self._expires * _NANOSECONDS),
            "idle_heartbeat": int(self._heartbeat * _NANOSECONDS),
        }
        self._outstanding[token] = missing
        self._last_sign = loop.time()
        denied = self._answers.take_refusal(self._subject)
        if denied is not None:
            self._problem = "the server refuses it"
            raise PermissionDeniedError(denied, subject=self._subject)
        try:
            reply = f"{self._inbox}.{token}"
            await self._wire.publish(self._subject, json.dumps(body).encode(), reply=reply)
        except BusUnavailableError:
            self._outstanding.pop(token, None)
            self._resume_at = loop.time() + _RETRY_SECONDS

    async def _receive(self, message: Message) -> None:
        self._last_sign = asyncio.get_running_loop().time()
        status = message.headers.get("Status")
        if status != _NO_RESPONDERS:
            self._problem = None
        if status is None or message.data or message.reply.startswith("$JS.ACK."):
            self._count_delivery()
            await self._queue.put(message)
        elif status != _HEARTBEAT:
            self._request_ended(message, status)
        self._wake.set()

    def _count_delivery(self) -> None:
        """Deliveries answer the oldest request first; they do not name it."""
        for token, count in self._outstanding.items():
            if count > 1:
                self._outstanding[token] = count - 1
            else:
                del self._outstanding[token]
            return

    def _request_ended(self, message: Message, status: str) -> None:
        token = message.subject.rsplit(".", 1)[-1]
        self._outstanding.pop(token, None)
        text = message.headers.get("Description", "").lower()
        now = asyncio.get_running_loop().time()
        if status == _NO_RESPONDERS or "consumer deleted" in text:
            self._problem = "the durable is not there"
            self._resume_at = now + _MISSING_RETRY_SECONDS
        elif status == _CONFLICT:
            self._resume_at = now + _RETRY_SECONDS

    async def _finish(self) -> None:
        self._is_over = True
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._wire.is_closed:
            await subscription.unsubscribe()

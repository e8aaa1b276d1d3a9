"""Requests, stream publishes and reads without a consumer: one question, one or more answers.

Requests and stream publishes are never buffered while the connection is down: a buffered publish
would be stored after its sender gave it up. What happens to those under way when it is lost stands
in ``answers.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from securetransport.adapters.nats import direct
from securetransport.adapters.nats.answers import PendingAnswers
from securetransport.adapters.nats.receipts import parse_receipt
from securetransport.adapters.nats.wire import Wire
from securetransport.core.base.errors import BusUnavailableError, SecureTransportError
from securetransport.core.ports.bus import (
    HEADER_MESSAGE_ID,
    Message,
    PublishAck,
    StoredMessage,
)

_MAX_LISTED: Final = 1000
"""Most messages that one request for a list returns; the server allows 1024."""


class Calls:
    """Everything that waits for an answer on one connection.

    Args:
        wire: The connection.
        answers: Its pending answers; the connection subscribes their inbox.
        request_seconds: Time for one call when the caller names none.
    """

    def __init__(self, wire: Wire, answers: PendingAnswers, request_seconds: float) -> None:
        self._wire = wire
        self._answers = answers
        self._request_seconds = request_seconds

    async def request(
        self,
        subject: str,
        data: bytes,
        timeout_seconds: float | None,
        headers: Mapping[str, str] | None,
    ) -> Message:
        """Send a request and return its answer.

        Raises:
            PermissionDeniedError: This user may not publish there.
            RejectedMessageError: It is larger than the server accepts.
            BusUnavailableError: Nobody listens, no answer in time, or the connection was lost.
        """
        limit = timeout_seconds or self._request_seconds
        try:
            with self._answers.expect(subject) as (reply, future):
                async with asyncio.timeout(limit):
                    await self._wire.wait_connected(limit)
                    await self._wire.publish(subject, data, reply=reply, headers=headers)
                    answer = await future
        except TimeoutError as error:
            raise BusUnavailableError("no answer in time", subject=subject) from error
        if direct.is_nobody(answer.data, answer.headers):
            raise BusUnavailableError("nobody listens", subject=subject)
        return answer

    async def store(
        self,
        subject: str,
        data: bytes,
        message_id: str | None,
        timeout_seconds: float | None,
        headers: Mapping[str, str] | None,
    ) -> PublishAck:
        """Publish into a stream and return its receipt; raises as :meth:`request`."""
        every = dict(headers or {})
        if message_id:
            every[HEADER_MESSAGE_ID] = message_id
        answer = await self.request(subject, data, timeout_seconds, every)
        return parse_receipt(answer.data, subject)

    async def last_message(
        self, stream: str, subject: str, timeout_seconds: float | None
    ) -> StoredMessage | None:
        """Return the newest message on ``subject``; raises as :meth:`request`."""
        answer = await self.request(direct.subject_of(stream, subject), b"", timeout_seconds, None)
        return direct.parse(answer.data, answer.headers, stream)

    async def list_last(
        self, stream: str, subject_filter: str, timeout_seconds: float | None
    ) -> list[StoredMessage]:
        """Return the newest message of every matching subject, in stream order.

        Raises:
            PermissionDeniedError: This user may not read there.
            BusUnavailableError: The answer was not complete in time.
        """
        limit = timeout_seconds or self._request_seconds
        subject = direct.subject_of(stream)
        body = json.dumps({"multi_last": [subject_filter], "batch": _MAX_LISTED}).encode()
        parts = _Parts(stream)
        with self._answers.expect(subject) as (_, refusal):
            inbox = self._answers.new_inbox("l")
            try:
                async with asyncio.timeout(limit):
                    await self._wire.wait_connected(limit)
                    subscription = await self._wire.subscribe(inbox, parts.receive)
                    try:
                        await self._wire.publish(subject, body, reply=inbox)
                        ends: set[asyncio.Future[Any]] = {parts.done, refusal}
                        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        await subscription.unsubscribe()
            except TimeoutError as error:
                raise BusUnavailableError("list was not complete in time", stream=stream) from error
            if refusal.done():
                refusal.result()
            return parts.result()


class _Parts:
    """The answers to one request for a list, until the one that ends it."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._found: list[StoredMessage] = []
        self._error: SecureTransportError | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self, message: Message) -> None:
        """Take one part."""
        if self.done.done():
            return
        try:
            if not direct.is_end(message.headers):
                stored = direct.parse(message.data, message.headers, self._stream)
                if stored is not None:
                    self._found.append(stored)
                return
        except SecureTransportError as error:
            self._error = error
        self.done.set_result(None)

    def result(self) -> list[StoredMessage]:
        """Return what was found, or raise what went wrong."""
        if self._error is not None:
            raise self._error
        return self._found

"""Publishing: signed, encrypted, and repeated with the same bytes until the stream has it.

1. Messages that come while a signature is being made share the next one (batches); under load a
   message waits a few milliseconds for others. A single message is signed alone and at once.
2. Signing runs in a thread when it is slow enough to be felt by the event loop.
3. The attempt is in the ledger before the first publish, the receipt after it.
4. A retry publishes the same bytes under the same id, on whichever connection is current, until
   the stream has them or ``retry_limit`` has passed since they were sealed, by either clock: later,
   receivers would refuse them. That is asked before each attempt. Bytes that were never tried in
   time (the machine slept, the disk was slow) are sealed anew.
5. What cannot be a message is refused where :meth:`Publisher.publish` is called; whatever goes
   wrong with one message is its caller's and ends nothing else.
6. Nothing is published that its receivers must refuse: :class:`SenderKeys` is asked at the call and
   again before each group is signed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base.entropy import Entropy
from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedMessageError,
    SecureTransportError,
    TransientError,
)
from securetransport.core.base.names import Topic
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.formats.envelope import MessageHeader, new_message_id, seal, seal_batch
from securetransport.core.formats.envelope.size import MAX_MESSAGE_BYTES
from securetransport.core.formats.service_bundle import TopicKey
from securetransport.core.ports.bus import Connection, PublishAck
from securetransport.core.ports.clock import Clock
from securetransport.messages.keys import SealingKeys, SenderKeys
from securetransport.messages.ledger import Ledger
from securetransport.messages.outgoing import Outgoing, check_size, problem_of
from securetransport.messages.settings import MessagesSection
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.logs import get_logger

# An executor hop costs more than a quick signature: measured, see docs/sdk.md.
_SLOW_SECONDS: Final = 0.0003
_MAX_GROUP: Final = 64
_SMOOTHING: Final = 0.1
_FIRST_RETRY_SECONDS: Final = 0.02
_LAST_RETRY_SECONDS: Final = 0.5
_SEALINGS: Final = 3
"""How often a message is sealed when each time it is too late to publish it."""

_Content = tuple[bytes, MessageHeader]
Offload = Callable[..., Awaitable[list[bytes]]]
"""Calls a function with arguments, and returns its result; a thread of its own as a rule."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A message as it is published, and until when it may be.

    Attributes:
        data: Its bytes.
        until: By the wall clock.
        until_monotonic: By the monotonic clock; neither may have passed.
    """

    data: bytes
    until: datetime
    until_monotonic: float


@dataclass(slots=True)
class _Waiting:
    message: Outgoing
    future: asyncio.Future[_Sealed]

    def finish(self, sealed: _Sealed) -> None:
        """Hand the bytes over, if the caller still waits."""
        if not self.future.done():
            self.future.set_result(sealed)

    def fail(self, error: Exception) -> None:
        """Hand an error over, if the caller still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Publisher:
    """Sends the messages of one process; :meth:`run` must be supervised.

    Args:
        keys: Answers what to seal with.
        ledger: Records attempts and receipts.
        connection: The connection to use now; raises ``BusUnavailableError`` while there is none.
        clock: Wall time of the messages, monotonic time of the retries.
        entropy: Of ids and salts.
        retry_limit: How late after sealing a message may still be published.
        limits: See the settings.
        telemetry: Counts results.
        offload: Runs a signature beside the event loop.
    """

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in client.py
        self,
        *,
        keys: SenderKeys,
        ledger: Ledger,
        connection: Callable[[], Connection],
        clock: Clock,
        entropy: Entropy,
        retry_limit: timedelta,
        limits: MessagesSection,
        telemetry: MessageTelemetry,
        offload: Offload = asyncio.to_thread,
    ) -> None:
        self._keys = keys
        self._ledger = ledger
        self._connection = connection
        self._clock = clock
        self._retry_limit = retry_limit
        self._limits = limits
        self._offload = offload
        self._telemetry = telemetry
        self._entropy = entropy
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(limits.max_in_flight)
        self._sequence = 0
        self._max_payload_bytes = MAX_MESSAGE_BYTES
        self._seal_seconds = _SLOW_SECONDS
        self._last_group_at = float("-inf")
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = get_logger(kind="publisher")

    def new_message_id(self) -> str:
        """Return a fresh id, for who must know it before the message is sent."""
        return new_message_id(self._clock.now(), self._entropy)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        type: str,  # noqa: A002  # the header's own word
        message_id: str | None = None,
        schema_version: int = 1,
    ) -> PublishAck:
        """Send a message and return the stream's receipt.

        Args:
            topic: A topic this service may produce on.
            payload: What to say.
            type: What it is, for example ``auth.request``.
            message_id: Given for answers, so that a repeated handler sends the same one; fresh
                otherwise.
            schema_version: Version of the payload's schema, from 1 on; a receiver that does not
                know it yet parks the message.

        Raises:
            BusUnavailableError: No receipt within ``retry_limit``; it may be stored or not.
            TransientError: Its receivers would refuse it now; ``code`` says why. Try again later.
            PermissionDeniedError: This service may not produce on the topic, or is denied.
            SecureTransportError: This can be no message, it is too large (with the numbers), or the
                stream refuses it for what it is.
                None of these is a ``RejectedMessageError``: that a handler cannot answer is not its
                sender's fault.
        """
        message = Outgoing(
            Topic(topic), payload, type, message_id or self.new_message_id(), schema_version
        )
        problem = problem_of(message)
        if problem is not None:
            raise SecureTransportError("cannot be a message", topic=str(topic), problem=problem)
        try:
            self._check_size(message)
            self._keys.check(message.topic)
        except SecureTransportError as error:
            self._count_failure(message.topic, error)
            raise
        started = self._clock.monotonic()
        async with self._slots:
            self._in_flight += 1
            self._idle.clear()
            try:
                ack = await self._send(message)
            finally:
                self._in_flight -= 1
                if not self._in_flight:
                    self._idle.set()
        seconds = self._clock.monotonic() - started
        self._telemetry.publish_seconds.labels(topic).observe(seconds)
        return ack

    def _check_size(self, message: Outgoing) -> None:
        """Refuse what a server would answer by closing the connection, or what could not be parked.

        Raises:
            SecureTransportError: It is too large; the fields have the numbers.
        """
        with suppress(BusUnavailableError):
            self._max_payload_bytes = self._connection().max_payload_bytes
        check_size(
            message,
            self._keys.instance,
            max_payload_bytes=self._max_payload_bytes,
            largest_batch=_MAX_GROUP,
        )

    async def drain(self) -> None:
        """Wait until nothing is being sent."""
        await self._idle.wait()

    async def run(self) -> None:
        """Seal what waits, group by group, for ever."""
        while True:
            group = await self._next_group()
            by_topic: dict[Topic, list[_Waiting]] = {}
            for waiting in group:
                by_topic.setdefault(waiting.message.topic, []).append(waiting)
            for topic, members in by_topic.items():
                await self._seal_for(topic, members)

    # --- sealing -----------------------------------------------------------------------------

    async def _next_group(self) -> list[_Waiting]:
        group = [await self._queue.get()]
        now = self._clock.monotonic()
        linger = self._limits.batch_linger_seconds
        # Others are likely to come only when the last group was a moment ago.
        if linger and self._queue.empty() and now - self._last_group_at < 3 * linger:
            await asyncio.sleep(linger)
        while len(group) < _MAX_GROUP and not self._queue.empty():
            group.append(self._queue.get_nowait())
        self._last_group_at = self._clock.monotonic()
        return group

    async def _seal_for(self, topic: Topic, members: Sequence[_Waiting]) -> None:
        """Give each member its bytes or its error (rule 5)."""
        try:
            sealed = await self._seal(topic, [entry.message for entry in members])
        except SecureTransportError as error:
            for waiting in members:
                waiting.fail(error)
        except Exception as error:  # noqa: BLE001  # no message may end the others' loop
            if len(members) > 1:
                for waiting in members:
                    await self._seal_for(topic, [waiting])
                return
            self._log.exception("message_not_sealed", kind=type(error).__name__, error=str(error))
            members[0].fail(SecureTransportError("message was not sealed", problem=str(error)))
        else:
            for waiting, one in zip(members, sealed, strict=True):
                waiting.finish(one)

    async def _seal(self, topic: Topic, messages: Sequence[Outgoing]) -> list[_Sealed]:
        keys = self._keys.for_topic(topic)
        if keys.is_fallback:
            self._telemetry.fallback.labels(topic).inc(len(messages))
        topic_key, signing_key = keys.topic_key, keys.signing_key
        contents = [(message.payload, self._header(message, keys)) for message in messages]
        until_monotonic = self._clock.monotonic() + self._retry_limit.total_seconds()
        self._telemetry.batch_size.observe(len(contents))
        started = time.perf_counter()
        if self._seal_seconds >= _SLOW_SECONDS:
            sealed = await self._offload(_sealed, contents, topic_key, signing_key, self._entropy)
        else:
            sealed = _sealed(contents, topic_key, signing_key, self._entropy)
        spent = time.perf_counter() - started
        self._seal_seconds += _SMOOTHING * (spent - self._seal_seconds)
        return [
            _Sealed(data, header.sent_at + self._retry_limit, until_monotonic)
            for data, (_, header) in zip(sealed, contents, strict=True)
        ]

    def _header(self, message: Outgoing, keys: SealingKeys) -> MessageHeader:
        self._sequence += 1
        return MessageHeader(
            message_id=message.message_id,
            type=message.type,
            schema=message.schema,
            topic=message.topic,
            signer=self._keys.service,
            instance=self._keys.instance,
            key_id=keys.signing_key.key_id,
            boot_id=self._keys.boot_id,
            sequence=self._sequence,
            key_epoch=keys.topic_key.epoch,
            generation=keys.topic_key.generation,
            ca_epoch=keys.ca_epoch,
            policy_digest=keys.rule.digest,
            sent_at=self._clock.now(),
        )

    # --- sending -----------------------------------------------------------------------------

    async def _send(self, message: Outgoing) -> PublishAck:
        try:
            # The attempt's row and the signature are made at the same time.
            _, sealed = await asyncio.gather(
                self._ledger.attempt(message.message_id, message.topic), self._sealed(message)
            )
            ack = await self._repeat(message, await self._in_time(message, sealed))
        except RejectedMessageError as error:
            self._count_failure(message.topic, error)
            sizes = {"payload_bytes": len(message.payload)}
            raise SecureTransportError(error.message, **error.fields, **sizes) from error
        except SecureTransportError as error:
            self._count_failure(message.topic, error)
            raise
        await self._ledger.acked(message.message_id, ack.sequence, is_duplicate=ack.is_duplicate)
        result = "duplicate" if ack.is_duplicate else "acked"
        self._telemetry.published.labels(message.topic, result).inc()
        return ack

    def _count_failure(self, topic: Topic, error: SecureTransportError) -> None:
        match error:
            case BusUnavailableError():
                result = "given_up"
            case TransientError():
                result = "held_back"
            case _:
                result = "refused"
        # Labels are topics of the bundle: a caller may name any number of others.
        label = topic if self._keys.has_topic(topic) else "other"
        self._telemetry.published.labels(label, result).inc()

    async def _in_time(self, message: Outgoing, sealed: _Sealed) -> _Sealed:
        """Return the message sealed so that it may still be published, anew if need be (rule 4).

        Raises:
            TransientError: It was too late each time.
        """
        for _ in range(_SEALINGS - 1):
            if self._seconds_left(sealed) > 0:
                return sealed
            self._log.warning("sealed_anew", topic=message.topic)
            sealed = await self._sealed(message)
        if self._seconds_left(sealed) > 0:
            return sealed
        raise TransientError("not published within the retry limit", topic=message.topic)

    def _seconds_left(self, sealed: _Sealed) -> float:
        by_wall = (sealed.until - self._clock.now()).total_seconds()
        return min(by_wall, sealed.until_monotonic - self._clock.monotonic())

    async def _sealed(self, message: Outgoing) -> _Sealed:
        waiting = _Waiting(message, asyncio.get_running_loop().create_future())
        await self._queue.put(waiting)
        return await waiting.future

    async def _repeat(self, message: Outgoing, sealed: _Sealed) -> PublishAck:
        pause, reason = _FIRST_RETRY_SECONDS, ""
        while (left := self._seconds_left(sealed)) > 0:
            try:
                return await self._connection().publish_acked(
                    message.topic,
                    sealed.data,
                    message_id=message.message_id,
                    timeout=min(self._limits.ack_timeout_seconds, max(left, 0.05)),
                )
            except BusUnavailableError as error:
                reason = str(error)
            if self._seconds_left(sealed) <= pause:
                break
            self._telemetry.retries.labels(message.topic).inc()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_RETRY_SECONDS)
        raise BusUnavailableError(
            "no receipt within the retry limit", topic=message.topic, reason=reason
        )


def _sealed(
    contents: Sequence[_Content], topic_key: TopicKey, signing_key: SigningKey, entropy: Entropy
) -> list[bytes]:
    if len(contents) == 1:
        payload, header = contents[0]
        return [seal(payload, header, topic_key, signing_key, entropy)]
    return seal_batch(contents, topic_key, signing_key, entropy)

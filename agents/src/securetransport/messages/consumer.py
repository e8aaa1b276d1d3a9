"""Consuming: pull, judge, handle, acknowledge; moved between connections without a gap.

What becomes of a message:

============================================ =====================================================
accepted, handler returns                    acknowledged: the effect has happened
accepted, handler raises ``TransientError``  delivered again after a growing pause, parked at last
accepted, handler refuses or fails           refused: terminated; failed: as above, after more time
refused, this process may be behind          keys and rules are read once, then judged again; if
                                             still unknown, delivered again a few times, then parked
refused                                      counted by the check that refused, terminated
handled 16 times, and settled by none        parked before a handler is called again: it may be what
                                             ends the process each time
============================================ =====================================================

To park is to copy the message, as it is, to ``dlq.<stream>.<durable>`` with headers that say why.
A service that reads several topics by one durable gives all their handlers to each consumer.

While a handler runs, the server is told so, or it would deliver the message again after the
durable's ack wait, and the handler would run twice at once. A handler that takes longer than
``messages.handler_seconds`` is stopped and counts as failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from securetransport.core.base.errors import (
    BusUnavailableError,
    NotPermittedError,
    PermissionDeniedError,
    RejectedMessageError,
    SecureTransportError,
    TransientError,
    UnknownKeyError,
)
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.ports.bus import Connection, Message, PullSubscription
from securetransport.core.trust.opening import OpenedMessage, Received, open_message, refusal_code
from securetransport.messages.keys import ReceiverKeys, may_be_stale
from securetransport.messages.settings import MessagesSection
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.logs import get_logger
from securetransport.runtime.supervisor import Wakeup

_PULL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.5
_STALE_DELAY: Final = timedelta(seconds=0.5)
_STALE_DELIVERIES: Final = 6
_FAILED_DELAY: Final = timedelta(seconds=5)
_LAST_DELAY: Final = timedelta(seconds=10)
# The durables of the ACL give up after 20 deliveries; a message must be parked before.
_LAST_DELIVERY: Final = 16
PROGRESS_SECONDS: Final = 2.0
"""Well within the shortest ack wait of a durable (``core.acl.compile.streams.BACKOFF``)."""


class Delivery:
    """One accepted message and how it came.

    Attributes:
        message: Header and payload.
        sequence: Number in the stream; the same on every delivery.
        deliveries: How often it came, this time included.
    """

    __slots__ = ("deliveries", "message", "sequence")

    def __init__(self, message: OpenedMessage, sequence: int, deliveries: int) -> None:
        self.message = message
        self.sequence = sequence
        self.deliveries = deliveries


@dataclass(slots=True, eq=False)
class _Running:
    """A message whose handler runs.

    Attributes:
        message: It.
        reported_at: When the server was last told so, by the loop's clock.
    """

    message: Message
    reported_at: float


Handler = Callable[[Delivery], Awaitable[None]]
"""Carries out the effect of a message; returns when it has happened, durably and once."""


class Consumer:
    """Pulls one topic's durable; :meth:`run` must be supervised.

    Args:
        topic: Whose stream and durable it pulls from.
        service: This service.
        handlers: By topic; shared by the consumers of a process.
        keys: What messages are judged with.
        may_start: Whether handlers could do their work; asked until the first pull has begun.
        limits: Most messages handled at a time, and how long one may take.
        telemetry: Counts what became of them.
    """

    def __init__(  # noqa: PLR0913  # made by ServiceApp.consume only
        self,
        topic: Topic,
        service: ServiceId,
        handlers: Mapping[Topic, Handler],
        *,
        keys: ReceiverKeys,
        may_start: Callable[[], bool],
        limits: MessagesSection,
        telemetry: MessageTelemetry,
    ) -> None:
        self._topic = topic
        self._service = service
        self._handlers = handlers
        self._keys = keys
        self._may_start = may_start
        self._telemetry = telemetry
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._running: set[_Running] = set()
        self._wakeup = Wakeup()
        self._wanted: Connection | None = None
        self._active: PullSubscription | None = None
        self._pulled_from: Connection | None = None
        self._loop: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._is_stopping = False
        self._log = get_logger(topic=topic)

    async def follow(self, connection: Connection) -> None:
        """Pull from ``connection`` from now on; returns when the pull before it has finished."""
        self._wanted = connection
        if self._active is None:
            self._wakeup.wake()
            return
        self._moved.clear()
        self._wakeup.wake()
        await self._moved.wait()

    async def stop(self) -> None:
        """Pull nothing new, and finish what was delivered."""
        self._is_stopping = True
        if self._active is not None:
            self._active.stop()
        if self._loop is not None:
            await asyncio.wait({self._loop})

    async def run(self) -> None:
        """Keep one pull going on the wanted connection, for ever."""
        # Pulls and handlers end within this group, so an error in one is nobody's secret.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report_progress())
            while True:
                await self._wakeup.wait(_RETRY_SECONDS)
                wanted = self._wanted
                if wanted is None or self._is_stopping:
                    continue
                if self._active is None and not self._may_start():
                    continue
                is_running = self._loop is not None and not self._loop.done()
                if not is_running or (self._active is not None and self._pulls_elsewhere(wanted)):
                    await self._move(group, wanted)

    # --- pulling -----------------------------------------------------------------------------

    def _pulls_elsewhere(self, wanted: Connection) -> bool:
        return self._active is not None and self._pulled_from is not wanted

    async def _move(self, group: asyncio.TaskGroup, connection: Connection) -> None:
        old, old_loop = self._active, self._loop
        try:
            source = self._keys.source(self._topic, self._service)
            pull = await connection.pull(
                source.stream,
                source.durable,
                batch=self._limits.max_in_flight // 2 or 1,
                expires_seconds=_PULL_SECONDS,
            )
        except (UnknownKeyError, BusUnavailableError):
            return  # no bundle yet, or the connection just broke: the next round tries again
        except SecureTransportError as error:
            self._log.warning("cannot_consume", kind=type(error).__name__, error=str(error))
            return
        self._active, self._pulled_from = pull, connection
        self._loop = group.create_task(self._consume(group, pull, connection))
        if old is not None and old_loop is not None:
            old.stop()
            await asyncio.wait({old_loop})
        self._moved.set()

    async def _consume(
        self, group: asyncio.TaskGroup, pull: PullSubscription, connection: Connection
    ) -> None:
        handling: set[asyncio.Task[None]] = set()
        while True:
            try:
                message = await pull.next()
            except PermissionDeniedError as error:
                self._log.warning("pull_refused", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if message is None:
                break
            await self._slots.acquire()
            task = group.create_task(self._receive(message, connection))
            handling.add(task)
            task.add_done_callback(handling.discard)
            task.add_done_callback(lambda _: self._slots.release())
        if handling:
            await asyncio.wait(handling)

    # --- one message -------------------------------------------------------------------------

    async def _receive(self, message: Message, connection: Connection) -> None:
        try:
            await self._judge_and_handle(message, connection)
        except BusUnavailableError:
            # The acknowledgement was not sent: it is delivered again, and the effect is not.
            self._telemetry.handled.labels(self._label(message), "ack_lost").inc()

    async def _judge_and_handle(self, message: Message, connection: Connection) -> None:
        topic = self._label(message)
        try:
            delivery = await self._judge(message)
        except RejectedMessageError as error:
            await self._refuse(message, connection, error)
            return
        if delivery.deliveries > _LAST_DELIVERY:
            await self._give_up(message, connection, "deliveries")
            return
        try:
            await self._handle(topic, delivery, message)
        except TransientError as error:
            self._log.info("handled_later", kind=type(error).__name__, error=str(error))
            await self._later(message, connection, delivery.deliveries, timedelta(0), "transient")
        except RejectedMessageError as error:
            await self._refuse(message, connection, error)
        except Exception as error:  # noqa: BLE001  # one message must not end the process or be lost
            self._telemetry.handled.labels(topic, "failed").inc()
            self._log.exception("handler_failed", kind=type(error).__name__, error=str(error))
            await self._later(message, connection, delivery.deliveries, _FAILED_DELAY, "failed")
        else:
            await message.ack()
            self._telemetry.handled.labels(topic, "effected").inc()

    async def _handle(self, topic: Topic, delivery: Delivery, message: Message) -> None:
        """Call the handler, for no longer than it may take.

        Raises:
            SecureTransportError: It took longer and was stopped.
            Exception: Whatever the handler raises.
        """
        running = _Running(message, asyncio.get_running_loop().time())
        self._running.add(running)
        seconds = self._limits.handler_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self._handlers[topic](delivery)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise SecureTransportError("handler took too long", seconds=seconds) from error
        finally:
            self._running.discard(running)

    async def _report_progress(self) -> None:
        """Ask for more time for what is still being handled, for ever."""
        time = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(PROGRESS_SECONDS / 2)
            for running in tuple(self._running):
                if time() - running.reported_at < PROGRESS_SECONDS:
                    continue
                running.reported_at = time()
                try:
                    await running.message.in_progress()
                except BusUnavailableError:
                    continue  # it may be delivered again; its effect happens once

    def _label(self, message: Message) -> Topic:
        """Return the message's topic if it is one of ours, so that labels stay few."""
        return Topic(message.subject) if message.subject in self._handlers else self._topic

    async def _judge(self, message: Message) -> Delivery:
        facts = message.facts
        received = Received(message.subject, message.message_id, facts.stored_at, message.data)
        try:
            opened = open_message(received, self._keys.acceptance)
        except RejectedMessageError as error:
            if not may_be_stale(error):
                raise
            await self._keys.catch_up(error)
            opened = open_message(received, self._keys.acceptance)
        if opened.header.topic not in self._handlers:
            raise NotPermittedError("this service handles no such topic", topic=message.subject)
        return Delivery(opened, facts.stream_sequence, facts.deliveries)

    async def _refuse(
        self, message: Message, connection: Connection, error: RejectedMessageError
    ) -> None:
        code, topic = refusal_code(error), self._label(message)
        if may_be_stale(error):
            deliveries = message.facts.deliveries
            if deliveries < _STALE_DELIVERIES:
                self._telemetry.handled.labels(topic, "later").inc()
                await message.nak(_STALE_DELAY * deliveries)
                return
            await self._park(message, connection, code)
        self._telemetry.refused.labels(topic, code).inc()
        self._log.warning("message_refused", reason=code, error=str(error))
        await message.term(code)

    async def _later(
        self,
        message: Message,
        connection: Connection,
        deliveries: int,
        least: timedelta,
        reason: str,
    ) -> None:
        if deliveries >= _LAST_DELIVERY:
            await self._give_up(message, connection, reason)
            return
        self._telemetry.handled.labels(self._label(message), "later").inc()
        delay = timedelta(seconds=0.5 * 2 ** min(deliveries, 5))
        await message.nak(max(least, min(delay, _LAST_DELAY)))

    async def _give_up(self, message: Message, connection: Connection, reason: str) -> None:
        await self._park(message, connection, reason)
        await message.term(reason)

    async def _park(self, message: Message, connection: Connection, reason: str) -> None:
        """Copy a message to the dead letters; if that fails, it is delivered again.

        Raises:
            BusUnavailableError: The dead letters' stream did not take it.
        """
        facts = message.facts
        headers = {
            "St-Reason": reason,
            "St-Subject": message.subject,
            "St-Message-Id": message.message_id or "",
            "St-Sequence": str(facts.stream_sequence),
            "St-Stored-At": facts.stored_at.isoformat(),
            "St-Deliveries": str(facts.deliveries),
        }
        try:
            await connection.publish_acked(
                f"dlq.{facts.stream}.{facts.consumer}",
                message.data,
                message_id=f"dlq-{facts.stream}-{facts.consumer}-{facts.stream_sequence}",
                headers=headers,
            )
        except (PermissionDeniedError, RejectedMessageError) as error:
            raise BusUnavailableError("dead letter was not taken", reason=str(error)) from error
        self._telemetry.parked.labels(self._label(message), reason).inc()
        self._log.warning("message_parked", reason=reason, stream=facts.stream)

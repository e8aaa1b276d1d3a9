"""Consuming: pull, judge, handle, acknowledge; moved between connections without a gap.

What becomes of a message:

============================================ ====================================================
accepted, handler returns                    acknowledged: the effect has happened
accepted, handler raises ``TransientError``  delivered again after a growing pause, parked at last
accepted, handler fails                      as above, after more time
accepted, handler refuses it                 parked
refused, this process may be behind          keys and rules are read once, then judged again; if
                                             still unknown, delivered a few times more, then parked
refused                                      counted by the check that refused, and parked; a copy
                                             of a message under another subject or id is terminated
delivered 16 times, and settled by none      parked before a handler is called again: it may be
                                             what ends the process each time
parked, but the dead letters refuse it       a few of each account are delivered again much later,
                                             others are dropped and counted
============================================ ====================================================

The rules are those of ``core.decisions.member.settling``. To park is to copy the message, as it is,
to the dead letters: ``messages.parking``. A service that reads several topics by one durable gives
all their handlers to each consumer.

While a handler runs, the server is told so, or it would deliver the message again after the
durable's ack wait, and the handler would run twice at once. A handler that takes longer than
``messages.handler_seconds`` is stopped and counts as failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
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
from securetransport.core.decisions.member import settling
from securetransport.core.decisions.member.settling import Drop, Later, Park, Refused
from securetransport.core.ports.bus import Connection, Message, PullSubscription
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.opening import (
    OpenedMessage,
    Received,
    open_message,
    refusal_code,
    signer_of,
)
from securetransport.messages.keys import ReceiverKeys, Source, may_be_stale
from securetransport.messages.parking import Parking
from securetransport.messages.progress import Progress
from securetransport.messages.replay import received_from
from securetransport.messages.settings import MessagesSection
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.logs import get_logger
from securetransport.runtime.supervisor import Wakeup

_PULL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.5
_NOT_HANDLED: Final = "not_handled"
"""Reason of what no handler settled, beside those of refusals."""
_IS_CURRENT: Final = "is_current"


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


Handler = Callable[[Delivery], Awaitable[None]]
"""Carries out the effect of a message; returns when it has happened, durably and once."""


class Consumer:
    """Pulls one topic's durable; :meth:`run` must be supervised.

    Args:
        topic: Whose stream and durable it pulls from.
        service: This service.
        handlers: By topic; shared by the consumers of a process.
        keys: What messages are judged with.
        parking: Where those go that cannot be settled.
        clock: Judges statements of replays.
        may_start: Whether handlers could do their work; asked until the first pull has begun.
        hindrance: Why answers cannot be published now. Nothing is pulled meanwhile: each message
            would use up its deliveries, and be parked although nothing is wrong with it.
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
        parking: Parking,
        clock: Clock,
        may_start: Callable[[], bool],
        limits: MessagesSection,
        telemetry: MessageTelemetry,
        hindrance: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._topic = topic
        self._service = service
        self._handlers = handlers
        self._keys = keys
        self._parking = parking
        self._clock = clock
        self._may_start = may_start
        self._hindrance = hindrance
        self._telemetry = telemetry
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._progress = Progress()
        self._wakeup = Wakeup()
        self._wanted: Connection | None = None
        self._active: PullSubscription | None = None
        self._pulled: tuple[Connection, Source] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._is_stopping = False
        self._problem: str | None = None
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

    def not_ready_reasons(self) -> list[str]:
        """Return why no message can come, once it was tried; the last move first."""
        pulled = self._active.problem if self._active is not None else None
        problem = self._hindrance() or self._problem or pulled
        return [f"cannot pull {self._topic}: {problem}"] if problem else []

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
            group.create_task(self._progress.run())
            while True:
                await self._wakeup.wait(_RETRY_SECONDS)
                wanted = self._wanted
                if wanted is None or self._is_stopping:
                    continue
                if self._active is None and not self._may_start():
                    continue
                source = self._source() if self._hindrance() is None else None
                is_running = self._loop is not None and not self._loop.done()
                if source is None:
                    await self._end()
                elif not is_running or self._pulled != (wanted, source):
                    await self._move(group, wanted, source)

    # --- pulling -----------------------------------------------------------------------------

    def _source(self) -> Source | None:
        """Return where the bundle in force says that messages are; ``None`` when it does not."""
        try:
            return self._keys.source(self._topic, self._service)
        except UnknownKeyError:
            return None  # no bundle yet: a later round asks again
        except NotPermittedError as error:
            self._cannot(error)
            return None

    def _cannot(self, error: SecureTransportError) -> None:
        if error.message != self._problem:
            self._log.warning("cannot_consume", kind=type(error).__name__, error=str(error))
        self._problem = error.message

    async def _move(self, group: asyncio.TaskGroup, connection: Connection, source: Source) -> None:
        old, old_loop = self._active, self._loop
        try:
            pull = await connection.pull(
                source.stream,
                source.durable,
                batch=self._limits.max_in_flight // 2 or 1,
                expires_seconds=_PULL_SECONDS,
            )
        except BusUnavailableError:
            return  # the connection just broke: the next round tries again
        except SecureTransportError as error:
            self._cannot(error)
            return
        self._active, self._pulled, self._problem = pull, (connection, source), None
        self._loop = group.create_task(self._consume(group, pull, connection))
        await self._finish(old, old_loop)

    async def _end(self) -> None:
        """Pull nothing: the right to it was taken away, or answers cannot be published."""
        old, self._active, self._pulled = self._active, None, None
        await self._finish(old, self._loop)

    async def _finish(self, old: PullSubscription | None, loop: asyncio.Task[None] | None) -> None:
        if old is not None and loop is not None:
            old.stop()
            await asyncio.wait({loop})
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
        received = await received_from(message, self._service, self._keys, self._clock.now())
        try:
            delivery = await self._judge(message, received)
        except RejectedMessageError as error:
            await self._refuse(message, connection, received, error)
            return
        topic, signer = self._label(message), delivery.message.header.signer
        poison = settling.before_handling(signer, delivery.deliveries)
        if poison is not None:
            await self._park(message, connection, received, poison, _NOT_HANDLED)
            return
        try:
            await self._handle(topic, delivery, message)
        except TransientError as error:
            self._log.info("handled_later", kind=type(error).__name__, error=str(error))
            await self._not_handled(message, connection, received, "transient", signer)
        except RejectedMessageError as error:
            await self._refuse(message, connection, received, error)
        except Exception as error:  # noqa: BLE001  # one message must not end the process or be lost
            self._telemetry.handled.labels(topic, "failed").inc()
            self._log.exception("handler_failed", kind=type(error).__name__, error=str(error))
            await self._not_handled(message, connection, received, "failed", signer)
        else:
            await message.ack()
            self._telemetry.handled.labels(topic, "effected").inc()

    async def _handle(self, topic: Topic, delivery: Delivery, message: Message) -> None:
        """Call the handler, for no longer than it may take.

        Raises:
            SecureTransportError: It took longer and was stopped.
            Exception: Whatever the handler raises.
        """
        seconds = self._limits.handler_seconds
        try:
            async with asyncio.timeout(seconds) as deadline:
                with self._progress.of(message):
                    await self._handlers[topic](delivery)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise SecureTransportError("handler took too long", seconds=seconds) from error

    def _label(self, message: Message) -> Topic:
        """Return the message's topic if it is one of ours, so that labels stay few."""
        return Topic(message.subject) if message.subject in self._handlers else self._topic

    async def _judge(self, message: Message, received: Received) -> Delivery:
        try:
            opened = open_message(received, self._keys.acceptance)
        except RejectedMessageError as error:
            if not may_be_stale(error):
                raise
            is_current = await self._keys.catch_up(error)
            try:
                opened = open_message(received, self._keys.acceptance)
            except RejectedMessageError as again:
                again.fields[_IS_CURRENT] = is_current
                raise
        if opened.header.topic not in self._handlers:
            raise NotPermittedError("this service handles no such topic", topic=message.subject)
        return Delivery(opened, message.facts.stream_sequence, message.facts.deliveries)

    async def _refuse(
        self,
        message: Message,
        connection: Connection,
        received: Received,
        error: RejectedMessageError,
    ) -> None:
        code, topic = refusal_code(error), self._label(message)
        signer = signer_of(message.data, self._keys.acceptance)
        is_current = error.fields.get(_IS_CURRENT)
        step = settling.refused(
            Refused(
                code,
                signer,
                message.facts.deliveries,
                is_current if isinstance(is_current, bool) else None,
            )
        )
        match step:
            case Later():
                self._telemetry.handled.labels(topic, "later").inc()
                await message.nak(step.delay)
                return
            case Park():
                self._log.warning("message_refused", reason=code, error=str(error))
                await self._park(message, connection, received, step, error.reason)
            case Drop():
                self._log.warning("message_dropped", reason=code, error=str(error))
                await message.term(code)
        self._telemetry.refused.labels(topic, code).inc()

    async def _not_handled(
        self,
        message: Message,
        connection: Connection,
        received: Received,
        code: str,
        signer: ServiceId,
    ) -> None:
        step = settling.not_handled(code, signer, message.facts.deliveries)
        if isinstance(step, Park):
            await self._park(message, connection, received, step, _NOT_HANDLED)
            return
        self._telemetry.handled.labels(self._label(message), "later").inc()
        await message.nak(step.delay)

    async def _park(
        self,
        message: Message,
        connection: Connection,
        received: Received,
        step: Park,
        reason: str,
    ) -> None:
        """Park a message and end its delivery; what is not taken waits, or is dropped."""
        topic = self._label(message)
        fate = await self._parking.park(message, received, connection, step, reason, topic)
        match fate:
            case None:
                await message.term(step.code)
            case Later(delay):
                self._telemetry.handled.labels(topic, "held").inc()
                await message.nak(delay)
            case Drop(code):
                self._telemetry.handled.labels(topic, "dropped").inc()
                await message.term(code)

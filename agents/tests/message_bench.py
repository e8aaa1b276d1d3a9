"""Two services on the bus in memory, with the streams and rights that their ACL compiles to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from securetransport.core.acl import compile_broker, compile_consumers, compile_streams
from securetransport.core.base.names import ServiceId
from securetransport.core.ports import PublishAck
from securetransport.messages.consumer import Consumer, Delivery
from securetransport.testing import FakeFiles
from securetransport.testing.bus import FakeBus, LoopClock
from securetransport.testing.clock import START
from securetransport.testing.ledger import FakeLedger
from service_scene import PROFILE, TOPIC, Authority, Party

STREAM, DURABLE = "AUTH_STREAM", "auth-controller"
HANDLED = "securetransport_messages_handled_total"
REFUSED = "securetransport_messages_refused_total"
PUBLISHED = "securetransport_messages_published_total"


async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run what a thread would."""
    return work(*arguments)


class MessageBench:
    """A sender and a reader, connected, with what they need to know; nothing is consumed yet."""

    def __init__(self) -> None:
        self.clock = LoopClock(START)
        self.authority = Authority(self.clock)
        acl = self.authority.acl
        self.policy = compile_broker(acl)
        self.bus = FakeBus(self.policy, clock=self.clock)
        for config in compile_streams(acl, PROFILE, replicas=1):
            self.bus.add_stream(config)
        for consumer in compile_consumers(acl, replicas=1):
            self.bus.add_durable(consumer["stream_name"], consumer["config"])
        self.sender, self.reader = (self._party(name) for name in ("gatekeeper", DURABLE))
        self.consumer: Consumer | None = None
        self.handled: list[Delivery] = []
        self._tasks: list[asyncio.Task[None]] = []

    def _party(self, service: str) -> Party:
        return Party(
            self.authority,
            ServiceId(service),
            FakeLedger(self.clock),
            FakeFiles(),
            offload=at_once,
        )

    def another_reader(self) -> Party:
        """Return a reader that knows nothing yet."""
        return self._party(DURABLE)

    async def start(self) -> None:
        await self.authority.prepare()
        users = {user.service: user for user in self.policy.users}
        for party in (self.sender, self.reader):
            await party.signing_keys.reconcile()
            party.connection = await self.bus.join(
                party.service, user=users[party.service], on_event=party.events.append
            )
        await self.authority.publish()
        for party in (self.sender, self.reader):
            await party.learn()
        self.run(self.sender.publisher.run())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for party in (self.sender, self.reader):
            await party.ledger.close()
            if party.connection is not None:
                await party.connection.close()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._tasks.append(asyncio.ensure_future(work))
        return self._tasks[-1]

    async def consume(self, handler: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        """Let the reader handle what comes; without a handler each is noted."""

        async def note(delivery: Delivery) -> None:
            self.handled.append(delivery)

        self.consumer = self.reader.consumer(handler or note)
        self.run(self.consumer.run())
        assert self.reader.connection is not None
        await self.consumer.follow(self.reader.connection)

    async def send(self, count: int = 1, payload: bytes = b"x") -> list[PublishAck]:
        publish = self.sender.publisher.publish
        sent = [publish(TOPIC, payload, type="auth.request") for _ in range(count)]
        return list(await asyncio.gather(*sent))

    async def wait(self, check: Callable[[], bool], seconds: float = 10) -> None:
        """Return when ``check`` holds; looked at ever more rarely."""
        pause = 0.01
        async with asyncio.timeout(seconds):
            while not check():
                await asyncio.sleep(pause)
                pause = min(pause * 1.1, 1.0)

    def left(self) -> int:
        """Return how many messages the stream still holds."""
        return len(self.bus.streams[STREAM])

    def letters(self) -> list[dict[str, str]]:
        """Return the headers of the dead letters."""
        return [dict(kept.frame.headers) for kept in self.bus.streams["DEAD_LETTERS"].messages()]

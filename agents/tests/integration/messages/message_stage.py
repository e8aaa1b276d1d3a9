"""Two services on a real server, with the streams and durables that their ACL compiles to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from evaluation.checker import judge
from securetransport.core.ports import Connection
from securetransport.messages.consumer import Consumer, Delivery
from service_bench import Connect
from service_scene import TOPIC, Authority, Party

STREAM, DURABLE = "AUTH_STREAM", "auth-controller"
REFUSED = "securetransport_messages_refused_total"


async def api(admin: Connection, call: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask JetStream, as the modules do."""
    answer = await admin.request(f"$JS.API.{call}", json.dumps(body).encode())
    found: dict[str, Any] = json.loads(answer.data)
    assert "error" not in found, found
    return found


class Scene:
    """Both services connected, with their loops running."""

    def __init__(
        self, authority: Authority, sender: Party, reader: Party, ledgers: dict[str, Path]
    ) -> None:
        self.authority, self.sender, self.reader = authority, sender, reader
        self.ledgers = ledgers
        self.tasks: list[asyncio.Task[None]] = []
        self.consumer: Consumer | None = None

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def consume(self, handler: Callable[[Delivery], Any] | None = None) -> None:
        async def effect(delivery: Delivery) -> None:
            await self.reader.ledger.once(
                delivery.message.header.message_id,
                lambda _db: delivery.message.payload,
                sequence=delivery.sequence,
                deliveries=delivery.deliveries,
            )

        self.consumer = self.reader.consumer(handler or effect)
        self.run(self.consumer.run())
        assert self.reader.connection is not None
        await self.consumer.follow(self.reader.connection)

    async def send(self, count: int = 1) -> list[str]:
        acks = await asyncio.gather(
            *(
                self.sender.publisher.publish(TOPIC, b"%d" % n, type="auth.request")
                for n in range(count)
            )
        )
        return [str(ack.sequence) for ack in acks]

    async def wait(self, check: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not check():
                await asyncio.sleep(0.02)

    def effects(self) -> int:
        return int(verdict(self)["effected"])


def verdict(scene: Scene) -> dict[str, int]:
    sent, done = scene.ledgers["gatekeeper"], scene.ledgers["auth-controller"]
    return judge([sent], [done], TOPIC).summary()


async def left_in_stream(connect: Connect) -> int:
    js = (await connect("admin")).link.client.jetstream()
    return int((await js.stream_info(STREAM)).state.messages)

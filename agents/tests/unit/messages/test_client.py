"""A whole message client over fakes of every port: all its loops at once, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry

from member_scene import PROFILE, MemberScene
from message_bench import at_once
from securetransport.core.acl import compile_broker, compile_consumers, compile_streams, load_acl
from securetransport.core.base.errors import TransientError
from securetransport.core.base.profile import Profile
from securetransport.messages.client import MessageClient
from securetransport.messages.consumer import Delivery
from securetransport.messages.settings import LedgerSection, MessagesSection
from securetransport.runtime.sections import IdentitySection, NatsSection, PathsSection
from securetransport.testing.ledger import FakeLedger
from service_scene import TOPIC

pytestmark = pytest.mark.virtual_time
ECHO = """
version: 1
trust_domain: securetransport.local
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 67108864}
topics:
  auth.requests: {stream: AUTH_STREAM}
  auth.answers: {stream: AUTH_STREAM}
services:
  gatekeeper:
    produces: [auth.requests, auth.answers]
    consumes:
      - {topic: auth.requests, durable: requests}
      - {topic: auth.answers, durable: answers}
"""


class Settings:
    """What a client reads of a service's settings."""

    identity: ClassVar = IdentitySection(service="gatekeeper", instance="1")
    messages: ClassVar = MessagesSection(max_in_flight=64)
    ledger: ClassVar = LedgerSection()

    def __init__(self, scene: MemberScene) -> None:
        self.nats = NatsSection(servers=scene.urls)
        self.paths = PathsSection(state_dir=scene.state_dir)

    def profile_value(self) -> Profile:
        return PROFILE


class Service:
    """Asks itself and answers itself, so one process has every loop at work."""

    def __init__(self, scene: MemberScene) -> None:
        self.scene = scene
        self.answers: list[bytes] = []
        self.ledger = FakeLedger(scene.clock)
        self.client = MessageClient(
            Settings(scene),  # type: ignore[arg-type]  # has what is read of it
            scene.ports(),
            self.ledger,
            scene.registry,
        )
        self.client.publisher._offload = at_once
        self.client.consume(TOPIC, self.ask)
        self.client.consume("auth.answers", self.take)
        self._tasks: list[asyncio.Task[None]] = []

    async def ask(self, delivery: Delivery) -> None:
        effect = await self.client.once(delivery, lambda _db: delivery.message.payload.upper())
        await self.client.answer(delivery, "auth.answers", effect.result, type="answer")

    async def take(self, delivery: Delivery) -> None:
        self.answers.append(delivery.message.payload)

    def start(self) -> None:
        self._tasks = [asyncio.ensure_future(task()) for task in self.client.tasks().values()]

    async def stop(self) -> None:
        await self.client.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    scene = MemberScene()
    scene.registry = CollectorRegistry()
    acl = load_acl(ECHO)
    scene.authority.acl = acl
    scene.bus.streams.clear()
    scene.bus.set_policy(compile_broker(acl))
    for config in compile_streams(acl, PROFILE, replicas=1):
        scene.bus.add_stream(config)
    for consumer in compile_consumers(acl, replicas=1):
        scene.bus.add_durable(consumer["stream_name"], consumer["config"])
    await scene.authority.prepare()
    made = Service(scene)
    await scene.publish_trust(announce=False)
    made.start()
    yield made
    await made.stop()


async def ready(service: Service) -> None:
    scene = service.scene
    await scene.wait(lambda: service.client.session.is_admitted)
    await scene.authority.publish()
    await scene.wait(lambda: not service.client.not_ready_reasons(), seconds=20)


async def test_not_ready_before_its_own_key_is_in_the_directory(service: Service) -> None:
    await service.scene.wait(lambda: service.client.session.is_admitted)
    assert service.client.not_ready_reasons() == [
        "own signing key is not in the directory",
        "no service bundle",
    ]
    with pytest.raises(TransientError):
        await service.client.publisher.publish(TOPIC, b"x", type="ask")
    await service.scene.authority.publish()
    await service.scene.wait(lambda: not service.client.not_ready_reasons(), seconds=20)


async def test_request_is_answered_once(service: Service) -> None:
    await ready(service)
    await service.client.publisher.publish(TOPIC, b"hello", type="ask")
    await service.scene.wait(lambda: service.answers == [b"HELLO"])
    await asyncio.sleep(60)
    assert service.answers == [b"HELLO"]


async def test_handler_that_runs_twice_has_one_effect_and_answers_once(service: Service) -> None:
    await ready(service)
    runs: list[str] = []
    ask = service.ask

    async def late_failure(delivery: Delivery) -> None:
        await ask(delivery)
        runs.append(delivery.message.header.message_id)
        if len(runs) == 1:
            raise TransientError("after the effect")

    service.client._handlers[TOPIC] = late_failure  # type: ignore[index]
    await service.client.publisher.publish(TOPIC, b"hello", type="ask")
    await service.scene.wait(lambda: len(runs) == 2, seconds=30)
    await asyncio.sleep(30)
    assert service.answers == [b"HELLO"]
    assert len(service.ledger.rows("effects")) == 1
    assert len(service.ledger.rows("seen")) == 2
    assert service.scene.count("messages_handled_total", topic=TOPIC, result="repeated") == 1


async def test_service_cut_off_from_openbao_stops_sending_when_its_key_is_over(
    service: Service,
) -> None:
    """Nothing that receivers must refuse is published, whoever else still lives."""
    await ready(service)
    await service.client.publisher.publish(TOPIC, b"before", type="ask")
    await service.scene.wait(lambda: len(service.answers) == 1)
    service.scene.authority.store.is_available = False
    sent = refused = 0
    for _ in range(40):
        await asyncio.sleep(PROFILE.key_validity.total_seconds() / 30)
        try:
            await service.client.publisher.publish(TOPIC, b"x", type="ask")
            sent += 1
        except TransientError:
            refused += 1
    assert sent > 5
    assert refused > 5
    scene = service.scene
    assert scene.count("messages_refused_total", topic=TOPIC, reason="key_epoch") == 0
    assert "own signing key is not in the directory" in service.client.not_ready_reasons()
    assert scene.count("publish_seconds_left") == 0

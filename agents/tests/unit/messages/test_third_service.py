"""A service of somebody else, as docs/sdk.md shows it: the example greeter on fakes of every port.

It plays the visitor, too: one process asks itself, so a greeting is sealed, stored, pulled,
verified, carried out and answered over the same stream and rights that its ACL compiles to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry

from member_scene import PROFILE, MemberScene
from message_bench import at_once
from securetransport.core.acl import compile_broker, compile_consumers, compile_streams, load_acl
from securetransport.core.base.profile import Profile
from securetransport.messages.client import MessageClient
from securetransport.messages.consumer import Delivery
from securetransport.messages.settings import LedgerSection, MessagesSection
from securetransport.runtime.sections import IdentitySection, NatsSection, PathsSection
from securetransport.testing.ledger import FakeLedger
from securetransport_examples.greeter import Greeter

pytestmark = pytest.mark.virtual_time
ACL = """
version: 1
trust_domain: securetransport.local
streams:
  HELLO: {subjects: ["hello.>"], max_age_seconds: 3600, max_bytes: 67108864}
topics:
  hello.requests: {stream: HELLO}
  hello.answers: {stream: HELLO}
services:
  greeter:
    produces: [hello.requests, hello.answers]
    consumes:
      - {topic: hello.requests, durable: greeter}
      - {topic: hello.answers, durable: visitor}
"""


class Settings:
    """What a client reads of a service's settings."""

    identity: ClassVar = IdentitySection(service="greeter", instance="1")
    messages: ClassVar = MessagesSection()
    ledger: ClassVar = LedgerSection()

    def __init__(self, scene: MemberScene) -> None:
        self.nats = NatsSection(servers=scene.urls)
        self.paths = PathsSection(state_dir=scene.state_dir)

    def profile_value(self) -> Profile:
        return PROFILE


class GreeterOnFakes(Greeter):
    """The example as it is, on a client whose ports are given."""

    def __init__(self, client: MessageClient) -> None:
        self._client = client
        self.answers: list[bytes] = []
        self.setup()
        client.consume("hello.answers", self.take)

    async def take(self, delivery: Delivery) -> None:
        self.answers.append(delivery.message.payload)


@pytest.fixture
async def greeter() -> AsyncIterator[tuple[GreeterOnFakes, MemberScene]]:
    scene = MemberScene(service="greeter")
    scene.registry = CollectorRegistry()
    acl = scene.authority.acl = load_acl(ACL)
    scene.bus.streams.clear()
    scene.bus.set_policy(compile_broker(acl))
    for config in compile_streams(acl, PROFILE, replicas=1):
        scene.bus.add_stream(config)
    for consumer in compile_consumers(acl, replicas=1):
        scene.bus.add_durable(consumer["stream_name"], consumer["config"])
    await scene.authority.prepare()
    client = MessageClient(
        Settings(scene),  # type: ignore[arg-type]  # has what is read of it
        scene.ports(),
        FakeLedger(scene.clock),
        scene.registry,
    )
    client.publisher._offload = at_once
    service = GreeterOnFakes(client)
    await scene.publish_trust(announce=False)
    tasks = [asyncio.ensure_future(task()) for task in client.tasks().values()]
    await scene.wait(lambda: client.session.is_admitted)
    await scene.authority.publish()
    await scene.wait(lambda: not client.not_ready_reasons(), seconds=20)
    yield service, scene
    await client.drain()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()


async def test_third_service_answers_a_message_by_its_acl_alone(
    greeter: tuple[GreeterOnFakes, MemberScene],
) -> None:
    service, scene = greeter
    for name in (b"ada", b"grace"):
        await service.publisher.publish("hello.requests", name, type="hello.request")
    await scene.wait(lambda: len(service.answers) == 2)
    await asyncio.sleep(60)
    assert sorted(service.answers) == [b"hello ada", b"hello grace"]

"""What the tests of messages on a real server share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from message_stage import DURABLE, STREAM, Scene, api

from securetransport.core.acl import compile_consumers, compile_streams
from securetransport.core.base.names import ServiceId
from securetransport.messages.ledger import Ledger
from securetransport.testing import FakeFiles
from service_bench import Connect
from service_broker import Broker, user
from service_scene import PROFILE, TOPIC, Authority, Party


@pytest.fixture
def service_users() -> list[str]:
    return [
        user("admin", [">"], [">"]),
        user("gatekeeper", [TOPIC], ["_INBOX.gatekeeper.>"]),
        user(
            "auth-controller",
            [
                f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}",
                f"$JS.ACK.{STREAM}.{DURABLE}.>",
                f"dlq.{STREAM}.{DURABLE}.*",
                f"dlq.{STREAM}.{DURABLE}.*.large",
            ],
            ["_INBOX.auth-controller.>"],
        ),
    ]


@pytest.fixture
async def scene(
    tmp_path: Path, broker: Broker, service_users: list[str], connect: Connect
) -> AsyncIterator[Scene]:
    broker.set_users(service_users)
    await asyncio.sleep(0.2)
    admin, authority = await connect("admin"), Authority()
    for config in compile_streams(authority.acl, PROFILE, replicas=1):
        await api(admin, f"STREAM.CREATE.{config['name']}", config)
    for body in compile_consumers(authority.acl, replicas=1):
        await api(admin, f"CONSUMER.DURABLE.CREATE.{STREAM}.{DURABLE}", body)
    await authority.prepare()
    clock = authority.clock
    files = {name: tmp_path / f"{name}.db" for name in ("gatekeeper", "auth-controller")}
    sender, reader = (
        Party(authority, ServiceId(name), Ledger(file, clock), FakeFiles())
        for name, file in files.items()
    )
    for party in (sender, reader):
        await party.signing_keys.reconcile()
        party.connection = await connect(party.service)
    await authority.publish()
    for party in (sender, reader):
        await party.learn()
    made = Scene(authority, sender, reader, files)
    made.run(sender.publisher.run())
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    for party in (sender, reader):
        await party.ledger.close()

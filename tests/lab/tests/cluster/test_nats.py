"""Three NATS servers with JetStream in c2, reached from the host and from c1 by their address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import StreamConfig

from lab.waiting import wait_for
from scene import C1, C2, Space, space, timed

pytestmark = pytest.mark.usefixtures("clusters")
READY_SECONDS = 60
MESSAGES = 300
SAY_BY_NAME = """
import json, socket
link = socket.create_connection(({name!r}, 4222), timeout=5)
file = link.makefile("rb")
assert file.readline().startswith(b"INFO")
link.sendall(b'CONNECT {{"verbose":false}}\\r\\nSUB answer 1\\r\\n')
link.sendall(b"PUB far.away answer 5\\r\\nhello\\r\\n")
while not (line := file.readline()).startswith(b"MSG"):
    assert line, "the server hung up"
    if line == b"PING\\r\\n":
        link.sendall(b"PONG\\r\\n")
print(json.loads(file.readline())["stream"])
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[Space]:
    """The servers, ready."""
    with space(C2, "nats") as here:
        with timed("three NATS servers with JetStream ready"):
            here.apply("nats")
            here.kubectl.rollout(
                "statefulset/nats", namespace=here.name, limit_seconds=READY_SECONDS
            )
        yield here


@asynccontextmanager
async def connected(servers: Space) -> AsyncIterator[Client]:
    """A client on the host that finds the servers again when it loses one."""
    client = await nats.connect(
        f"nats://{servers.balancer('nats')}:4222",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        connect_timeout=3,
    )
    try:
        yield client
    finally:
        await client.close()


async def publish(client: Client, number: int) -> None:
    """Publish until it is acknowledged; a second copy is told by its id and dropped."""
    for _ in range(60):
        try:
            await client.jetstream().publish(
                "orders.new", str(number).encode(), timeout=1, headers={"Nats-Msg-Id": str(number)}
            )
        except (Error, TimeoutError, OSError):
            await asyncio.sleep(0.25)
        else:
            return
    pytest.fail(f"message {number} was never acknowledged")


async def test_a_stream_of_three_loses_nothing_when_a_pod_is_deleted(servers: Space) -> None:
    async with connected(servers) as client:
        wanted = StreamConfig("ORDERS", subjects=["orders.>"], num_replicas=3)
        await client.jetstream().add_stream(wanted, timeout=10)
        leader = (await client.jetstream().stream_info("ORDERS")).cluster
        assert leader is not None
        uid = servers.look(f"pod/{leader.leader}", "{.metadata.uid}")
        for number in range(MESSAGES):
            if number == MESSAGES // 3:
                servers.run("delete", "pod", str(leader.leader), "--wait=false")
            await publish(client, number)
        messages = await client.jetstream().pull_subscribe("orders.>", "reader")
        seen: list[int] = []
        while len(seen) < MESSAGES:
            for message in await messages.fetch(100, timeout=10):
                seen.append(int(message.data))
                await message.ack()
        assert seen == list(range(MESSAGES))
    path = "{.metadata.uid} {.status.containerStatuses[0].ready}"
    servers.until(
        "the new pod",
        f"pod/{leader.leader}",
        path,
        lambda told: told.endswith("true") and uid not in told,
    )


async def test_another_cluster_publishes_by_the_load_balancers_name(servers: Space) -> None:
    async with connected(servers) as client:
        await client.jetstream().add_stream(
            StreamConfig("FAR", subjects=["far.>"], num_replicas=3), timeout=10
        )
        name = f"nats.{servers.name}.{C2.domain}"
        with space(C1, "far") as here:
            here.run(
                "run",
                "client",
                "--image=lab.local/base:1",
                "--image-pull-policy=Never",
                "--command",
                "--",
                "sleep",
                "infinity",
            )
            here.wait("Ready", "pod/client")
            wait_for(
                f"an acknowledgement by {name}",
                lambda: here.python("client", SAY_BY_NAME.format(name=name)) == "FAR",
                limit_seconds=30,
                every_seconds=1,
            )
        message = await client.jetstream().get_last_msg("FAR", "far.away")
        assert message.data == b"hello"

"""Three NATS servers with JetStream in c2, reached from the host and from c1 by their address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import RawStreamMsg, StreamConfig
from scene import C1, C2, Space, space, timed

from lab.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clusters")
Answer = TypeVar("Answer")
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


async def insist(what: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until there is an answer and return it; while leaders are elected, there is none."""
    for _ in range(60):
        try:
            return await ask()
        except (Error, TimeoutError, OSError):
            await asyncio.sleep(0.25)
    pytest.fail(f"{what} was never answered")


async def make_stream(client: Client, name: str, subjects: str) -> None:
    """Make a stream of three replicas."""
    wanted = StreamConfig(name, subjects=[subjects], num_replicas=3)
    await insist(f"stream {name}", lambda: client.jetstream().add_stream(wanted))


async def publish(client: Client, number: int) -> None:
    """Publish until it is acknowledged; a second copy is told by its id and dropped."""
    data, headers = str(number).encode(), {"Nats-Msg-Id": str(number)}

    def ask() -> Awaitable[object]:
        return client.jetstream().publish("orders.new", data, timeout=1, headers=headers)

    await insist(f"message {number}", ask)


async def read(client: Client, sequence: int) -> int:
    """Return what was published as this message of the stream."""

    def ask() -> Awaitable[RawStreamMsg]:
        return client.jetstream().get_msg("ORDERS", sequence)

    return int((await insist(f"message {sequence}", ask)).data or b"-1")


async def test_a_stream_of_three_loses_nothing_when_a_pod_is_deleted(servers: Space) -> None:
    async with connected(servers) as client:
        await make_stream(client, "ORDERS", "orders.>")
        leader = (await client.jetstream().stream_info("ORDERS")).cluster
        assert leader is not None
        uid = servers.look(f"pod/{leader.leader}", "{.metadata.uid}")
        for number in range(MESSAGES):
            if number == MESSAGES // 3:
                servers.run("delete", "pod", str(leader.leader), "--wait=false")
            await publish(client, number)
        seen = [await read(client, sequence + 1) for sequence in range(MESSAGES)]
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
        await make_stream(client, "FAR", "far.>")
        name = f"nats.{servers.name}.{C2.domain}"
        with space(C1, "far") as here:
            here.apply("client")
            here.wait("Ready", "pod/client")
            wait_for(
                f"an acknowledgement by {name}",
                lambda: here.python("client", SAY_BY_NAME.format(name=name)) == "FAR",
                limit_seconds=30,
                every_seconds=1,
            )
        message = await client.jetstream().get_last_msg("FAR", "far.away")
        assert message.data == b"hello"

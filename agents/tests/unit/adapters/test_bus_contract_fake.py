"""The contract of the bus, kept by the in-memory bus, in simulated time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bus_contract.bench import Bench, policy
from bus_contract.connections import *  # noqa: F403  # tests are collected where they are named
from bus_contract.permissions import *  # noqa: F403  # as above
from bus_contract.redelivery import *  # noqa: F403  # as above
from bus_contract.requests import *  # noqa: F403  # as above
from bus_contract.streams import *  # noqa: F403  # as above
from certificates import Issuer
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.testing.bus import BusServer, FakeBus

pytestmark = pytest.mark.virtual_time


@dataclass
class FakeBench(Bench):
    """The fake as a bench."""

    server: BusServer = None  # type: ignore[assignment]  # always given; fields before it default

    async def stop(self) -> None:
        self.server.stop()

    async def start(self) -> None:
        self.server.start()

    async def pause(self) -> None:
        self.server.pause()

    async def resume(self) -> None:
        self.server.resume()

    async def lame_duck(self) -> None:
        self.server.lame_duck()

    async def set_users(self, users: BrokerPolicy) -> None:
        self.server.policy = users
        self.server.reload()

    async def use_issuer(self, issuer: Issuer) -> None:
        self.server.trust = (issuer.der,)
        self.server.identity = issuer.leaf("nats/1")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer.root("test root").intermediate("nats-int e1 0000000000000001")


@pytest.fixture
async def bench(issuer: Issuer) -> AsyncIterator[Bench]:
    bus = FakeBus(policy())
    made = FakeBench(bus, bus.urls, issuer, server=bus.servers["nats-1"])
    await made.use_issuer(issuer)
    yield made
    await made.close()

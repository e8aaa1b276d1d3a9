"""The contract of the bus, kept by the adapter for NATS on a real server with TLS."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus_contract.bench import Bench, policy
from bus_contract.connections import *  # noqa: F403  # tests are collected where they are named
from bus_contract.permissions import *  # noqa: F403  # as above
from bus_contract.redelivery import *  # noqa: F403  # as above
from bus_contract.requests import *  # noqa: F403  # as above
from bus_contract.streams import *  # noqa: F403  # as above
from certificates import Issuer
from securetransport.adapters.nats import NatsBus
from securetransport.core.acl import render_broker_conf
from securetransport.core.formats.broker_policy import BrokerPolicy
from servers import NatsServer, free_ports

_EXTRA = 'lame_duck_grace_period: "1s"\nlame_duck_duration: "30s"\n'


@dataclass
class NatsBench(Bench):
    """A nats-server as a bench."""

    server: NatsServer = None  # type: ignore[assignment]  # always given; fields before it default

    def write_users(self, users: BrokerPolicy) -> None:
        (self.server.directory / "broker.conf").write_text(render_broker_conf(users))

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    async def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def lame_duck(self) -> None:
        self._signal(signal.SIGUSR2)

    async def set_users(self, users: BrokerPolicy) -> None:
        self.write_users(users)
        await asyncio.to_thread(self.server.reload)

    async def use_issuer(self, issuer: Issuer) -> None:
        self.server.material(issuer, [issuer])

    def _signal(self, number: signal.Signals) -> None:
        assert self.server.process is not None
        self.server.process.send(number)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer.root("test root").intermediate("nats-int e1 0000000000000001")


@pytest.fixture
async def bench(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Bench]:
    port, route, monitor = free_ports(3)
    server = NatsServer(
        name="nats-1",
        directory=tmp_path,
        port=port,
        route_port=route,
        monitor_port=monitor,
        routes=(),
        accounts='include "broker.conf"',
        extra=_EXTRA,
    )
    made = NatsBench(NatsBus(), [server.url], issuer, server=server)
    made.write_users(policy())
    await made.use_issuer(issuer)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
        await made.stop()

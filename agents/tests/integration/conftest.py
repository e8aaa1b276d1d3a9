"""Fixtures: one intermediate, one nats-server with two users, contexts and connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from securetransport.adapters.nats import NatsBus
from securetransport.core.ports.bus import BusEvent, BusTimeouts, Connection
from service_bench import Connect, context, users
from service_broker import Broker
from service_pki import Issuer


@pytest.fixture
def issuer() -> Issuer:
    return Issuer.make(100)


@pytest.fixture
def broker(tmp_path: Path, issuer: Issuer) -> Iterator[Broker]:
    made = Broker(tmp_path / "nats", issuer, users())
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def connect(broker: Broker, issuer: Issuer) -> AsyncIterator[Connect]:
    made: list[Connection] = []

    async def make(service: str, events: list[BusEvent] | None = None) -> Connection:
        connection = await NatsBus().connect(
            [broker.url],
            context(issuer, service),
            name=f"{service}/1",
            inbox_prefix=f"_INBOX.{service}",
            timeouts=BusTimeouts(connect=5.0, request=2.0, ping=1.0),
            on_event=events.append if events is not None else None,
        )
        made.append(connection)
        return connection

    yield make
    for connection in made:
        await connection.close()

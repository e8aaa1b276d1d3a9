"""Fixtures: one intermediate, one nats-server with two users, contexts and connections."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from service_broker import Broker, user
from service_pki import Issuer

from securetransport.adapters.nats import Bus, BusEvent, BusTimeouts, Connection
from securetransport.adapters.tls import client_context

STREAM = "ORDERS"
DURABLE = "worker"
Connect = Callable[..., Awaitable[Connection]]


def users() -> list[str]:
    """A builder that makes streams, and two members with the least rights."""
    return [
        user("admin", [">"], [">"]),
        user(
            "sender",
            ["orders.>", f"$JS.API.DIRECT.GET.{STREAM}", f"$JS.API.DIRECT.GET.{STREAM}.>"],
            ["_INBOX.sender.>", "notice"],
        ),
        user(
            "reader",
            [f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}", f"$JS.ACK.{STREAM}.{DURABLE}.>"],
            ["_INBOX.reader.>"],
        ),
    ]


@pytest.fixture
def issuer() -> Issuer:
    return Issuer.make(100)


@pytest.fixture
def broker(tmp_path: Path, issuer: Issuer) -> Iterator[Broker]:
    made = Broker(tmp_path / "nats", issuer, users())
    made.start()
    yield made
    made.stop()


def context(issuer: Issuer, service: str, anchors: list[Issuer] | None = None) -> ssl.SSLContext:
    return client_context([entry.der for entry in anchors or [issuer]], issuer.leaf(service))


@pytest.fixture
async def connect(broker: Broker, issuer: Issuer) -> AsyncIterator[Connect]:
    made: list[Connection] = []

    async def make(service: str, events: list[BusEvent] | None = None) -> Connection:
        connection = await Bus().connect(
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

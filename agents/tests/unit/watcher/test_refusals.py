"""What the watcher keeps and tells of peers that wanted to be servers."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import structlog
from watcher_bench import make_bench

from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.formats.server_report import MOST_REFUSED_ROUTES
from securetransport.testing import FakeClock
from securetransport.watcher.answers import PeerRefusal, parse_route_refusal
from securetransport.watcher.refusals import RouteRefusals

SUBJECT = "$SYS.SERVER.NABC.CLIENT.AUTH.ERR"


def event(name: str = "NROGUE", *, kind: str = "Router", server: str = "nats-1") -> bytes:
    """A server's word as nats-server 2.15.1 says it, with what is read of it and a little more."""
    return json.dumps(
        {
            "type": "io.nats.server.advisory.v1.client_disconnect",
            "server": {"name": server, "id": "NABC", "ver": "2.15.1"},
            "client": {"host": "127.0.0.1", "id": 20, "acc": "N/A", "name": name, "kind": kind},
            "reason": "Authentication Failure",
        }
    ).encode()


@pytest.mark.virtual_time
async def test_refused_route_is_reported_by_address_and_name_with_its_count() -> None:
    bench = await make_bench()
    server = await bench.bus.join_system("nats")
    for data in (event(), event(), event(kind="Client"), event(server="nats-9"), b"\xff", b"{}"):
        await server.publish(SUBJECT, data)
    await server.flush()
    found = await bench.seen("nats-1")
    assert [(peer.host, peer.name, peer.count) for peer in found.refused_routes] == [
        ("127.0.0.1", "NROGUE", 2)
    ]
    assert (await bench.seen("nats-2")).refused_routes == ()
    assert bench.counted("refused_routes_total") == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        event(name="x" * 257),
        event(kind="R" * 65),
        event().replace(b'"NABC"', b'"N>"'),
        event().replace(b'"127.0.0.1"', b"[[]]"),
    ],
)
def test_word_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse_route_refusal(data)


def test_peer_that_takes_ever_new_names_fills_neither_memory_nor_log() -> None:
    clock = FakeClock()
    refusals = RouteRefusals(["nats-1"], clock)
    with structlog.testing.capture_logs() as lines:
        for number in range(10_000):
            refusals.note(PeerRefusal("nats-1", "127.0.0.1", f"N{number}"))
    names = [peer.name for peer in refusals.of("nats-1")]
    assert names == [f"N{number}" for number in range(10_000 - MOST_REFUSED_ROUTES, 10_000)]
    assert [line["event"] for line in lines] == ["route_refused"]


def test_peer_that_gave_up_is_forgotten() -> None:
    clock = FakeClock()
    refusals = RouteRefusals(["nats-1"], clock)
    refusals.note(PeerRefusal("nats-1", "127.0.0.1", "NROGUE"))
    clock.advance(timedelta(minutes=9))
    assert refusals.of("nats-1")
    clock.advance(timedelta(minutes=2))
    assert refusals.of("nats-1") == ()

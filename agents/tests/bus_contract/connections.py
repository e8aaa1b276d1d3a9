"""Connections: what happens to them and to what is under way when a server goes."""

from __future__ import annotations

import asyncio

import pytest

from bus_contract.bench import DURABLE, STREAM, Bench, kinds, now, until, within
from certificates import Issuer
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import BusEvent, BusEventKind, BusTimeouts, Message


async def test_connection_says_whether_it_is_up_and_where(bench: Bench) -> None:
    sender = await bench.connect("sender")
    assert (sender.is_connected, sender.is_closed) == (True, False)
    assert f"tls://{sender.server}" in bench.urls
    await bench.stop()
    await until(lambda: not sender.is_connected)
    assert not sender.is_closed
    await sender.close()
    assert sender.is_closed


async def test_connecting_where_nothing_listens_ends_in_time(bench: Bench) -> None:
    await bench.stop()
    started = now()
    with pytest.raises(BusUnavailableError):
        await bench.connect("sender", timeouts=BusTimeouts(connect=1.0, server=0.5))
    assert now() - started < 5


async def test_pull_goes_on_after_a_server_restart(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    events: list[BusEvent] = []
    sender, reader = await bench.connect("sender", events), await bench.connect("reader")
    pull = await reader.pull(STREAM, DURABLE, expires_seconds=1.0)
    await sender.publish_acked("orders.new", b"1", message_id="a")
    first = await within(5, pull.next())
    await first.ack()
    await reader.flush()
    await bench.stop()
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"2", message_id="b", timeout=0.3)
    await bench.start()
    await sender.publish_acked("orders.new", b"2", message_id="b", timeout=5.0)
    second = await within(5, pull.next())
    assert second.data == b"2"
    assert {BusEventKind.DISCONNECTED, BusEventKind.RECONNECTED} <= kinds(events)


async def test_stream_publish_while_it_is_down_is_not_sent_later(bench: Bench) -> None:
    await bench.stream()
    events: list[BusEvent] = []
    sender = await bench.connect("sender", events)
    await bench.stop()
    await until(lambda: not sender.is_connected)
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"given up", timeout=0.3)
    with pytest.raises(BusUnavailableError):
        await sender.request("orders.new", b"given up", timeout=0.3)
    await bench.start()
    await until(lambda: BusEventKind.RECONNECTED in kinds(events))
    await sender.publish_acked("orders.new", b"next")
    assert await bench.stored() == 1


async def test_request_in_flight_fails_when_the_connection_is_lost(bench: Bench) -> None:
    admin, sender = await bench.connect("admin"), await bench.connect("sender")
    asked = asyncio.Event()

    async def silent(_: Message) -> None:
        asked.set()

    await admin.subscribe("orders.ask", silent)
    waiting = asyncio.ensure_future(sender.request("orders.ask", b"", timeout=30.0))
    await asked.wait()
    await bench.stop()
    with pytest.raises(BusUnavailableError):
        async with asyncio.timeout(5):
            await waiting


async def test_request_waits_for_a_connection_that_is_coming_back(bench: Bench) -> None:
    admin, sender = await bench.connect("admin"), await bench.connect("sender")

    async def answer(message: Message) -> None:
        await message.respond(b"here again")

    await admin.subscribe("orders.ask", answer)
    await bench.stop()
    await until(lambda: not sender.is_connected and not admin.is_connected)
    await bench.start()
    await until(lambda: admin.is_connected)
    await admin.flush()
    assert (await sender.request("orders.ask", b"", timeout=5.0)).data == b"here again"


async def test_subscription_survives_a_reconnect(bench: Bench) -> None:
    events: list[BusEvent] = []
    sender, admin = await bench.connect("sender", events), await bench.connect("admin")
    seen: list[bytes] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    await sender.subscribe("notice", note)
    await bench.stop()
    await until(lambda: not sender.is_connected and not admin.is_connected)
    await bench.start()
    await until(lambda: BusEventKind.RECONNECTED in kinds(events) and admin.is_connected)
    await sender.flush()
    await admin.publish("notice", b"after")
    await admin.flush()
    await until(lambda: seen == [b"after"])


async def test_paused_server_is_noticed_by_its_silence(bench: Bench) -> None:
    events: list[BusEvent] = []
    sender = await bench.connect("sender", events)
    started = now()
    await bench.pause()
    await until(lambda: not sender.is_connected)
    assert now() - started < 5
    await bench.resume()
    await until(lambda: sender.is_connected)
    await sender.flush()


@pytest.mark.parametrize("ending", ["close", "drain"])
async def test_leaving_a_paused_server_takes_seconds_at_most(bench: Bench, ending: str) -> None:
    sender = await bench.connect("sender", timeouts=BusTimeouts(ping=30.0))
    await bench.pause()
    asking = asyncio.ensure_future(sender.request("orders.ask", b"", timeout=30.0))
    for _ in range(4):  # more than what the sockets between them take
        await sender.publish("orders.new", bytes(1 << 20))
    await asyncio.sleep(0.05)
    started = now()
    await (sender.close() if ending == "close" else sender.drain(timeout_seconds=1.0))
    assert now() - started < 5
    with pytest.raises(BusUnavailableError):
        await asking
    await bench.resume()


async def test_lame_duck_server_is_told_to_the_owner(bench: Bench) -> None:
    events: list[BusEvent] = []
    sender = await bench.connect("sender", events)
    await bench.lame_duck()
    await until(lambda: BusEventKind.LAME_DUCK in kinds(events))
    assert sender.is_connected


async def test_reconnect_uses_the_replaced_credentials(bench: Bench) -> None:
    fresh = Issuer.root("fresh root").intermediate("nats-int e2 0000000000000002")
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    sender.use_credentials(bench.credentials("sender", issuer=fresh, anchors=[fresh]))
    await bench.stop()
    await bench.use_issuer(fresh)
    await bench.start()
    await until(lambda: not reader.is_connected)
    await until(lambda: sender.is_connected)
    await sender.flush()
    await asyncio.sleep(0.3)
    assert not reader.is_connected

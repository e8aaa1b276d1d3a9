"""How the in-memory bus is hurt: each way does what its name says, to who is named."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from bus_contract.bench import SECOND, kinds, now, until, within
from securetransport.core.base.errors import BusUnavailableError, RejectedMessageError
from securetransport.core.ports.bus import BusEvent, BusEventKind, BusTimeouts, Message
from securetransport.testing import FakeClock
from securetransport.testing.bus import ApiError, FakeBus, Leg

pytestmark = pytest.mark.virtual_time

THREE = ("tls://nats-1:4222", "tls://nats-2:4222", "tls://nats-3:4222")


def with_stream(bus: FakeBus, **config: object) -> FakeBus:
    bus.add_stream({"name": "ORDERS", "subjects": ["orders.>"], **config})
    bus.add_durable("ORDERS", {"durable_name": "worker", "ack_wait": 5 * SECOND})
    return bus


async def test_lost_receipt_leaves_the_message_stored() -> None:
    bus = with_stream(FakeBus())
    sender = await bus.join("sender")
    bus.lose_next_ack("orders.new")
    with pytest.raises(BusUnavailableError, match="no answer"):
        await sender.publish_acked("orders.new", b"x", message_id="one")
    again = await sender.publish_acked("orders.new", b"x", message_id="one")
    assert (again.is_duplicate, again.sequence, len(bus.streams["ORDERS"])) == (True, 1, 1)
    await sender.close()


async def test_lost_publish_is_not_stored() -> None:
    bus = with_stream(FakeBus())
    sender = await bus.join("sender")
    bus.faults.lose(Leg.PUBLISH, "orders.>")
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"x")
    assert len(bus.streams["ORDERS"]) == 0
    assert (await sender.publish_acked("orders.new", b"x")).sequence == 1
    await sender.close()


async def test_late_receipt_is_waited_for() -> None:
    bus = with_stream(FakeBus())
    sender = await bus.join("sender")
    bus.faults.delay(Leg.RECEIPT, 1.5)
    started = now()
    await sender.publish_acked("orders.new", b"x")
    assert now() - started == pytest.approx(1.5)
    await sender.close()


async def test_lost_acknowledgement_brings_the_message_again() -> None:
    bus = with_stream(FakeBus())
    member = await bus.join("member")
    await member.publish_acked("orders.new", b"x")
    bus.faults.lose(Leg.ACK, "$JS.ACK.ORDERS.>")
    pull = await member.pull("ORDERS", "worker")
    await (await within(9, pull.next())).ack()
    assert (await within(9, pull.next())).facts.deliveries == 2
    await member.close()


async def test_lost_delivery_comes_again_after_the_ack_wait() -> None:
    bus = with_stream(FakeBus())
    member = await bus.join("member")
    await member.publish_acked("orders.new", b"x")
    bus.faults.lose(Leg.DELIVERY, "orders.new")
    pull = await member.pull("ORDERS", "worker")
    started = now()
    assert (await within(9, pull.next())).facts.deliveries == 2
    assert now() - started == pytest.approx(5, abs=0.1)
    await member.close()


async def test_duplicated_message_arrives_twice() -> None:
    bus = FakeBus()
    member = await bus.join("member")
    seen: list[bytes] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    await member.subscribe("a", note)
    bus.faults.duplicate(Leg.PUBLISH, "a")
    await member.publish("a", b"1")
    await member.publish("a", b"2")
    await until(lambda: len(seen) == 3)
    assert seen == [b"1", b"1", b"2"]
    await member.close()


async def test_fault_without_count_lasts_until_it_is_cleared() -> None:
    bus = with_stream(FakeBus())
    sender = await bus.join("sender")
    bus.faults.lose(Leg.RECEIPT, count=None)
    for _ in range(3):
        with pytest.raises(BusUnavailableError):
            await sender.publish_acked("orders.new", b"x", timeout=0.1)
    bus.faults.clear()
    assert (await sender.publish_acked("orders.new", b"x")).sequence == 4
    await sender.close()


async def test_stream_refuses_what_a_test_says() -> None:
    bus = with_stream(FakeBus())
    sender = await bus.join("sender")
    bus.streams["ORDERS"].failures += [
        ApiError(503, 10077, "maximum bytes exceeded"),
        ApiError(400, 10054, "message size exceeds maximum allowed"),
    ]
    with pytest.raises(BusUnavailableError, match="maximum bytes"):
        await sender.publish_acked("orders.new", b"x")
    with pytest.raises(RejectedMessageError, match="message size"):
        await sender.publish_acked("orders.new", b"x")
    assert (await sender.publish_acked("orders.new", b"x")).sequence == 1
    await sender.close()


async def test_client_of_a_stopped_server_goes_to_the_next() -> None:
    bus = with_stream(FakeBus(urls=THREE))
    events: list[BusEvent] = []
    sender = await bus.join("sender", on_event=events.append)
    first = sender.server
    await sender.publish_acked("orders.new", b"1")
    next(server for server in bus.servers.values() if server.url.endswith(first)).stop()
    assert not sender.is_connected
    ack = await sender.publish_acked("orders.new", b"2")
    assert (ack.sequence, sender.server != first) == (2, True)
    assert [event.kind for event in events] == [BusEventKind.DISCONNECTED, BusEventKind.RECONNECTED]
    await sender.close()


async def test_streams_need_a_majority_of_servers() -> None:
    bus = with_stream(FakeBus(urls=THREE))
    sender = await bus.join("sender")
    for name in ("nats-1", "nats-2"):
        bus.servers[name].stop()
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"1")
    bus.servers["nats-2"].start()
    await sender.publish_acked("orders.new", b"1")
    await sender.close()


async def test_connection_ended_for_good_says_so_and_does_not_come_back() -> None:
    bus = FakeBus()
    events: list[BusEvent] = []
    member = await bus.join("member", on_event=events.append)
    server = bus.servers["nats-1"]
    server.drop(server.sessions[0], "user is gone", is_final=True)
    await asyncio.sleep(60)
    assert (member.is_closed, kinds(events)) == (True, {BusEventKind.CLOSED})
    with pytest.raises(BusUnavailableError, match="closed"):
        await member.request("a", b"")


async def test_lame_duck_takes_nobody_new_and_stops_when_told() -> None:
    bus = FakeBus(urls=THREE[:2])
    events: list[BusEvent] = []
    member = await bus.join("member", on_event=events.append)
    assert member.server == "nats-1:4222"
    bus.servers["nats-1"].lame_duck(seconds=30)
    assert (await bus.join("other")).server == "nats-2:4222"
    await asyncio.sleep(31)
    assert member.server == "nats-2:4222"
    await member.close()


async def test_paused_server_holds_what_was_sent_until_it_goes_on() -> None:
    bus = FakeBus()
    limits = BusTimeouts(ping=60.0)
    one, other = await bus.join("one", timeouts=limits), await bus.join("other", timeouts=limits)
    seen: list[bytes] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    await one.subscribe("a", note)
    bus.servers["nats-1"].pause()
    await other.publish("a", b"held")
    with pytest.raises(BusUnavailableError):
        await other.flush(1.0)
    assert seen == []
    bus.servers["nats-1"].resume()
    await until(lambda: seen == [b"held"])
    await one.close()
    await other.close()


async def test_messages_age_by_the_clock_that_was_given() -> None:
    clock = FakeClock()
    bus = with_stream(FakeBus(clock=clock), max_age=60 * SECOND, allow_direct=True)
    sender = await bus.join("sender")
    await sender.publish_acked("orders.a", b"x", message_id="one")
    stored = await sender.last_message("ORDERS", "orders.a")
    assert stored is not None
    assert stored.stored_at == clock.now()
    clock.advance(timedelta(seconds=59))
    assert await sender.last_message("ORDERS", "orders.a") is not None
    clock.advance(timedelta(seconds=1))
    assert await sender.last_message("ORDERS", "orders.a") is None
    await sender.close()


async def test_given_up_message_is_noted() -> None:
    bus = FakeBus()
    bus.add_stream({"name": "ORDERS", "subjects": ["orders.>"]})
    config = {"durable_name": "worker", "ack_wait": SECOND, "max_deliver": 1}
    bus.add_durable("ORDERS", config)
    member = await bus.join("member")
    await member.publish_acked("orders.a", b"1")
    await member.publish_acked("orders.a", b"2")
    pull = await member.pull("ORDERS", "worker")
    await within(5, pull.next())
    await (await within(5, pull.next())).term("unreadable")
    await asyncio.sleep(3)
    assert sorted(bus.streams["ORDERS"].events) == [
        ("worker", 1, "max deliveries"),
        ("worker", 2, "terminated: unreadable"),
    ]
    await member.close()


async def test_monitoring_request_is_answered_as_a_test_says_or_not_at_all() -> None:
    bus = FakeBus(urls=THREE)
    watcher = await bus.join_system("watcher")

    async def ask(verb: str) -> dict[str, object]:
        question = json.dumps({"server_name": "nats-2", "exact_match": True}).encode()
        answer = await watcher.request(f"$SYS.REQ.SERVER.PING.{verb}", question, timeout=1.0)
        found: dict[str, object] = json.loads(answer.data)
        return found

    routes = await ask("ROUTEZ")
    listed = [{"remote_name": "nats-1"}, {"remote_name": "nats-3"}]
    assert routes["data"] == {"num_routes": 2, "routes": listed}
    bus.servers["nats-2"].on("RELOAD", lambda _: {"error": {"code": 500, "description": "bad"}})
    server_id = bus.servers["nats-2"].server_id
    answer = await watcher.request(f"$SYS.REQ.SERVER.{server_id}.RELOAD", b"{}")
    assert json.loads(answer.data)["error"]["description"] == "bad"
    bus.servers["nats-2"].on("CONNZ", lambda _: None)
    with pytest.raises(BusUnavailableError, match="no answer"):
        await ask("CONNZ")
    await watcher.close()


async def test_kicked_connection_comes_back_under_another_number() -> None:
    bus = FakeBus()
    member, watcher = await bus.join("member"), await bus.join_system("watcher")
    server = bus.servers["nats-1"]
    cid = server.sessions[0].cid
    kick = json.dumps({"cid": cid}).encode()
    await watcher.request(f"$SYS.REQ.SERVER.{server.server_id}.KICK", kick)
    await until(lambda: member.is_connected)
    assert cid not in {session.cid for session in server.sessions}
    await member.close()
    await watcher.close()


async def test_hours_of_pulling_take_a_moment() -> None:
    bus = with_stream(FakeBus())
    member = await bus.join("member")
    pull = await member.pull("ORDERS", "worker", expires_seconds=30.0)
    coming = asyncio.ensure_future(pull.next())
    await asyncio.sleep(timedelta(hours=2).total_seconds())
    await member.publish_acked("orders.a", b"x")
    assert (await within(5, coming)).data == b"x"
    await member.close()

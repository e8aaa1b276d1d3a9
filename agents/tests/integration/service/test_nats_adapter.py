from __future__ import annotations

import asyncio
import signal
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from service_bench import DURABLE, STREAM, Connect, context, users
from service_broker import Broker, user
from service_pki import Issuer

from securetransport.adapters.nats import NatsBus
from securetransport.core.base.errors import BusUnavailableError, PermissionDeniedError
from securetransport.core.ports.bus import BusEvent, BusEventKind, BusTimeouts, Connection, Message


async def build(connect: Connect, **consumer: object) -> None:
    admin = await connect("admin")
    js = admin.link.client.jetstream()
    await js.add_stream(
        StreamConfig(STREAM, subjects=["orders.>"], allow_direct=True, duplicate_window=60)
    )
    await js.add_consumer(
        STREAM,
        ConsumerConfig(durable_name=DURABLE, ack_policy=AckPolicy.EXPLICIT, ack_wait=2, **consumer),
    )


async def take(connection: Connection, count: int) -> list[Message]:
    pull = await connection.pull(STREAM, DURABLE, batch=10, expires_seconds=1.0)
    found: list[Message] = []
    async with asyncio.timeout(10):
        async for message in pull:
            found.append(message)
            await message.ack()
            if len(found) == count:
                pull.stop()
    return found


async def test_message_is_pulled_with_the_brokers_facts_by_least_rights(connect: Connect) -> None:
    await build(connect)
    sender, reader = await connect("sender"), await connect("reader")
    ids = [str(uuid.uuid4()) for _ in range(25)]
    acks = [await sender.publish_acked("orders.new", b"x", message_id=identity) for identity in ids]
    sequences = [ack.sequence for ack in acks]
    assert sequences == list(range(1, 26))
    found = await take(reader, 25)
    assert [message.message_id for message in found] == ids
    facts = found[0].facts
    assert (facts.stream, facts.consumer, facts.deliveries) == (STREAM, DURABLE, 1)
    assert abs(facts.stored_at - datetime.now(UTC)) < timedelta(seconds=10)


async def test_copy_with_the_same_message_id_is_stored_once(connect: Connect) -> None:
    await build(connect)
    sender = await connect("sender")
    first = await sender.publish_acked("orders.new", b"x", message_id="one")
    again = await sender.publish_acked("orders.new", b"x", message_id="one")
    assert again.is_duplicate
    assert again.sequence == first.sequence


async def test_nak_delays_and_term_ends_delivery(connect: Connect) -> None:
    await build(connect)
    sender, reader = await connect("sender"), await connect("reader")
    await sender.publish_acked("orders.new", b"later", message_id="a")
    await sender.publish_acked("orders.new", b"never", message_id="b")
    pull = await reader.pull(STREAM, DURABLE, expires_seconds=1.0)
    first, second = await pull.next(), await pull.next()
    assert first is not None
    assert second is not None
    started = asyncio.get_running_loop().time()
    await first.nak(timedelta(seconds=0.5))
    await second.term("test")
    third = await pull.next()
    assert third is not None
    assert (third.data, third.facts.deliveries) == (b"later", 2)
    assert asyncio.get_running_loop().time() - started >= 0.4
    await third.ack()
    pull.stop()
    assert await pull.next() is None


async def test_stopped_pull_hands_over_what_it_asked_for(connect: Connect) -> None:
    await build(connect)
    sender, reader = await connect("sender"), await connect("reader")
    for number in range(20):
        await sender.publish_acked("orders.new", b"x", message_id=str(number))
    pull = await reader.pull(STREAM, DURABLE, batch=10, expires_seconds=1.0)
    first = asyncio.ensure_future(pull.next())
    while not pull._outstanding:
        await asyncio.sleep(0)
    pull.stop()
    found = [await first]
    while (message := await pull.next()) is not None:
        found.append(message)
    assert len(found) == 10


async def test_publish_without_right_is_refused_at_once(connect: Connect) -> None:
    await build(connect)
    events: list[BusEvent] = []
    reader = await connect("reader", events)
    started = asyncio.get_running_loop().time()
    with pytest.raises(PermissionDeniedError):
        await reader.publish_acked("orders.new", b"x", message_id="a", timeout=5.0)
    assert asyncio.get_running_loop().time() - started < 1.0
    assert BusEventKind.PERMISSION_DENIED in [event.kind for event in events]


async def test_subscription_without_right_is_refused(connect: Connect) -> None:
    reader = await connect("reader")

    async def never(_: Message) -> None:
        raise AssertionError

    with pytest.raises(PermissionDeniedError):
        await reader.subscribe("_INBOX.sender.>", never)


async def test_pull_without_right_is_refused(connect: Connect) -> None:
    await build(connect)
    reader = await connect("reader")
    pull = await reader.pull(STREAM, "other", expires_seconds=0.4)
    with pytest.raises(PermissionDeniedError):
        async with asyncio.timeout(5):
            await pull.next()


async def test_last_message_is_read_without_a_consumer(connect: Connect) -> None:
    await build(connect)
    sender = await connect("sender")
    assert await sender.last_message(STREAM, "orders.a") is None
    for subject, body in (("orders.a", b"1"), ("orders.b", b"2"), ("orders.a", b"3")):
        await sender.publish_acked(subject, body)
    last = await sender.last_message(STREAM, "orders.a")
    assert last is not None
    assert (last.data, last.sequence, last.subject) == (b"3", 3, "orders.a")
    listed = await sender.list_last(STREAM, "orders.>")
    assert {(entry.subject, entry.data) for entry in listed} == {
        ("orders.a", b"3"),
        ("orders.b", b"2"),
    }


async def test_request_reaches_a_subscriber_and_nobody_is_an_error(connect: Connect) -> None:
    admin, sender = await connect("admin"), await connect("sender")

    async def answer(message: Message) -> None:
        await message.respond(message.data[::-1])

    await admin.subscribe("orders.ask", answer)
    assert (await sender.request("orders.ask", b"abc")).data == b"cba"
    with pytest.raises(BusUnavailableError):
        await sender.request("orders.nobody", b"abc")


async def test_pull_goes_on_after_a_server_restart(connect: Connect, broker: Broker) -> None:
    await build(connect)
    events: list[BusEvent] = []
    sender, reader = await connect("sender", events), await connect("reader")
    pull = await reader.pull(STREAM, DURABLE, expires_seconds=1.0)
    await sender.publish_acked("orders.new", b"1", message_id="a")
    first = await pull.next()
    assert first is not None
    await first.ack()
    await asyncio.to_thread(broker.stop)
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"2", message_id="b", timeout=0.3)
    await asyncio.to_thread(broker.start)
    await sender.publish_acked("orders.new", b"2", message_id="b", timeout=5.0)
    async with asyncio.timeout(5):
        second = await pull.next()
    assert second is not None
    assert second.data == b"2"
    assert {BusEventKind.DISCONNECTED, BusEventKind.RECONNECTED} <= {e.kind for e in events}


async def test_request_in_flight_fails_when_the_connection_is_lost(
    connect: Connect, broker: Broker
) -> None:
    admin, sender = await connect("admin"), await connect("sender")
    asked = asyncio.Event()

    async def silent(_: Message) -> None:
        asked.set()

    await admin.subscribe("orders.ask", silent)
    waiting = asyncio.ensure_future(sender.request("orders.ask", b"", timeout=30.0))
    await asked.wait()
    assert sender.pending == 1
    await asyncio.to_thread(broker.stop)
    with pytest.raises(BusUnavailableError):
        async with asyncio.timeout(5):
            await waiting


async def test_paused_server_is_noticed_by_missing_pongs(connect: Connect, broker: Broker) -> None:
    events: list[BusEvent] = []
    sender = await connect("sender", events)
    broker.signal(signal.SIGSTOP)
    async with asyncio.timeout(8):
        while sender.is_connected:
            await asyncio.sleep(0.05)
    broker.signal(signal.SIGCONT)
    await sender.wait_connected(8.0)


async def test_lame_duck_server_is_told_to_the_owner(connect: Connect, broker: Broker) -> None:
    events: list[BusEvent] = []
    await connect("sender", events)
    broker.signal(signal.SIGUSR2)
    async with asyncio.timeout(5):
        while BusEventKind.LAME_DUCK not in [event.kind for event in events]:
            await asyncio.sleep(0.02)


async def test_removed_user_is_disconnected_and_stays_out(connect: Connect, broker: Broker) -> None:
    events: list[BusEvent] = []
    sender = await connect("sender", events)
    broker.set_users([users()[0], user("reader", ["x"], ["_INBOX.reader.>"])])
    async with asyncio.timeout(5):
        while BusEventKind.PERMISSION_DENIED not in [event.kind for event in events]:
            await asyncio.sleep(0.02)
    assert not sender.is_connected
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"x", timeout=0.5)


async def test_certificate_of_an_untrusted_issuer_is_refused(broker: Broker) -> None:
    other = Issuer.make(101)
    with pytest.raises(BusUnavailableError):
        await NatsBus().connect(
            [broker.url],
            context(other, "sender"),
            name="x",
            inbox_prefix="_INBOX.sender",
            timeouts=BusTimeouts(connect=1.0),
        )


async def test_certificate_without_user_is_refused(broker: Broker, issuer: Issuer) -> None:
    with pytest.raises(PermissionDeniedError):
        await NatsBus().connect(
            [broker.url],
            context(issuer, "stranger"),
            name="x",
            inbox_prefix="_INBOX.stranger",
            timeouts=BusTimeouts(connect=1.5),
        )


async def test_refused_connection_ends_by_itself(broker: Broker, issuer: Issuer) -> None:
    """A time limit works by cancelling, and nats-py may swallow that; attempts are bounded too."""
    async with asyncio.timeout(20):
        with pytest.raises(PermissionDeniedError):
            await NatsBus().connect(
                [broker.url],
                context(issuer, "stranger"),
                name="x",
                inbox_prefix="_INBOX.stranger",
                timeouts=BusTimeouts(connect=60),
            )


async def test_reconnect_uses_the_replaced_context(connect: Connect, broker: Broker) -> None:
    fresh = Issuer.make(101)
    sender = await connect("sender")
    broker.write_trust([fresh])
    broker.write_leaf(fresh)
    sender.use_credentials(context(fresh, "sender"))
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    await sender.flush(5.0) if sender.is_connected else await sender.wait_connected(5.0)
    assert sender.is_connected

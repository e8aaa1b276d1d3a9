"""Subjects, subscriptions, requests, sizes, and the end of a connection."""

from __future__ import annotations

import asyncio

import pytest

from bus_contract.bench import DURABLE, MAX_PAYLOAD, STREAM, Bench, now, until
from securetransport.core.base.errors import BusUnavailableError, RejectedMessageError
from securetransport.core.ports.bus import BusEvent, BusEventKind, Message


async def test_request_reaches_a_subscriber_and_nobody_is_an_error(bench: Bench) -> None:
    admin, sender = await bench.connect("admin"), await bench.connect("sender")

    async def answer(message: Message) -> None:
        await message.respond(message.data[::-1])

    await admin.subscribe("orders.ask", answer)
    assert (await sender.request("orders.ask", b"abc")).data == b"cba"
    started = now()
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await sender.request("orders.nobody", b"abc", timeout=5.0)
    assert now() - started < 2


async def test_request_without_answer_ends_at_its_deadline(bench: Bench) -> None:
    admin, sender = await bench.connect("admin"), await bench.connect("sender")

    async def silent(_: Message) -> None:
        return

    await admin.subscribe("orders.ask", silent)
    started = now()
    with pytest.raises(BusUnavailableError, match="no answer"):
        await sender.request("orders.ask", b"", timeout=0.4)
    assert 0.3 <= now() - started < 2


async def test_wildcards_match_tokens(bench: Bench) -> None:
    admin = await bench.connect("admin")
    found: dict[str, list[str]] = {"a.*.c": [], "a.>": [], "a.b.c": []}

    async def listen(pattern: str) -> None:
        async def note(message: Message) -> None:
            found[pattern].append(message.subject)

        await admin.subscribe(pattern, note)

    for pattern in found:
        await listen(pattern)
    for subject in ("a", "a.b", "a.b.c", "a.x.c", "a.b.c.d", "b.b.c"):
        await admin.publish(subject, b"")
    await admin.flush()
    await until(lambda: len(found["a.>"]) == 4)
    assert found == {
        "a.*.c": ["a.b.c", "a.x.c"],
        "a.>": ["a.b", "a.b.c", "a.x.c", "a.b.c.d"],
        "a.b.c": ["a.b.c"],
    }


async def test_queue_group_shares_and_others_get_everything(bench: Bench) -> None:
    admin = await bench.connect("admin")
    shares: list[list[bytes]] = [[], [], []]

    async def join(share: list[bytes], queue: str) -> None:
        async def note(message: Message) -> None:
            share.append(message.data)

        await admin.subscribe("orders.x", note, queue=queue)

    await join(shares[0], "group")
    await join(shares[1], "group")
    await join(shares[2], "")
    wanted = [b"%d" % number for number in range(40)]
    for body in wanted:
        await admin.publish("orders.x", body)
    await until(lambda: len(shares[0]) + len(shares[1]) == len(shares[2]) == 40)
    assert sorted(shares[0] + shares[1]) == sorted(shares[2]) == sorted(wanted)
    assert shares[0]
    assert shares[1]


async def test_messages_are_handled_one_after_the_other(bench: Bench) -> None:
    admin = await bench.connect("admin")
    seen: list[bytes] = []

    async def slow(message: Message) -> None:
        seen.append(b"begin " + message.data)
        await asyncio.sleep(0.02)
        seen.append(b"end " + message.data)

    await admin.subscribe("orders.x", slow)
    for number in range(3):
        await admin.publish("orders.x", b"%d" % number)
    await until(lambda: len(seen) == 6)
    assert seen == [b"begin 0", b"end 0", b"begin 1", b"end 1", b"begin 2", b"end 2"]


async def test_handler_that_fails_is_told_and_gets_the_next_message(bench: Bench) -> None:
    events: list[BusEvent] = []
    admin = await bench.connect("admin", events)
    seen: list[bytes] = []

    async def fail_once(message: Message) -> None:
        seen.append(message.data)
        if len(seen) == 1:
            raise ValueError("handler's own fault")

    await admin.subscribe("orders.x", fail_once)
    await admin.publish("orders.x", b"1")
    await admin.publish("orders.x", b"2")
    await until(lambda: seen == [b"1", b"2"])
    assert ("error", "handler's own fault") in [(e.kind.value, e.detail) for e in events]


async def test_unsubscribed_handler_gets_nothing_more(bench: Bench) -> None:
    admin = await bench.connect("admin")
    seen: list[bytes] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    subscription = await admin.subscribe("orders.x", note)
    await admin.publish("orders.x", b"1")
    await until(lambda: seen == [b"1"])
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    await admin.publish("orders.x", b"2")
    await admin.flush()
    await asyncio.sleep(0.05)
    assert seen == [b"1"]


async def test_headers_and_reply_arrive_as_sent(bench: Bench) -> None:
    admin = await bench.connect("admin")
    seen: list[Message] = []

    async def note(message: Message) -> None:
        seen.append(message)

    await admin.subscribe("orders.x", note)
    await admin.publish("orders.x", b"1", reply="orders.back", headers={"A": "1", "B": "two 2"})
    await admin.publish("orders.x", b"2")
    await until(lambda: len(seen) == 2)
    assert (dict(seen[0].headers), seen[0].reply) == ({"A": "1", "B": "two 2"}, "orders.back")
    assert (dict(seen[1].headers), seen[1].reply) == ({}, "")
    await seen[1].respond(b"nobody asked")


async def test_message_larger_than_the_server_accepts_is_refused_with_the_numbers(
    bench: Bench,
) -> None:
    await bench.stream()
    events: list[BusEvent] = []
    sender = await bench.connect("sender", events)
    for body, headers in (
        (bytes(MAX_PAYLOAD + 1), None),
        (bytes(MAX_PAYLOAD - 10), {"Long": "x" * 20}),
    ):
        with pytest.raises(RejectedMessageError) as raised:
            await sender.publish_acked("orders.new", body, headers=headers)
        assert raised.value.fields["limit_bytes"] == sender.max_payload_bytes == MAX_PAYLOAD
        assert int(str(raised.value.fields["size_bytes"])) > MAX_PAYLOAD
    with pytest.raises(RejectedMessageError):
        await sender.publish("orders.new", bytes(MAX_PAYLOAD + 1))
    ack = await sender.publish_acked("orders.new", bytes(MAX_PAYLOAD))
    assert ack.sequence == 1
    assert events == []


async def test_drain_waits_for_answers_and_sends_what_was_published(bench: Bench) -> None:
    admin, sender = await bench.connect("admin"), await bench.connect("sender")
    seen: list[bytes] = []

    async def answer(message: Message) -> None:
        await asyncio.sleep(0.3)
        await message.respond(b"late")

    async def note(message: Message) -> None:
        seen.append(message.data)

    await admin.subscribe("orders.ask", answer)
    await admin.subscribe("orders.x", note)
    asking = asyncio.ensure_future(sender.request("orders.ask", b"", timeout=5.0))
    await asyncio.sleep(0.05)
    await sender.publish("orders.x", b"before the end")
    await sender.drain()
    assert (await asking).data == b"late"
    assert sender.is_closed
    await until(lambda: seen == [b"before the end"])


async def test_drain_gives_up_after_its_deadline(bench: Bench) -> None:
    admin, sender = await bench.connect("admin"), await bench.connect("sender")

    async def silent(_: Message) -> None:
        return

    await admin.subscribe("orders.ask", silent)
    asking = asyncio.ensure_future(sender.request("orders.ask", b"", timeout=30.0))
    await asyncio.sleep(0.05)
    started = now()
    await sender.drain(timeout_seconds=0.5)
    assert now() - started < 4
    with pytest.raises(BusUnavailableError):
        await asking


async def test_closed_connection_refuses_everything_and_ends_what_waits(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    events: list[BusEvent] = []
    admin = await bench.connect("admin", events)

    async def silent(_: Message) -> None:
        return

    await admin.subscribe("asks.x", silent)
    pull = await admin.pull(STREAM, DURABLE, expires_seconds=1.0)
    pulling = asyncio.ensure_future(pull.next())
    asking = asyncio.ensure_future(admin.request("asks.x", b"", timeout=30.0))
    await asyncio.sleep(0.1)
    await admin.close()
    await admin.close()
    assert (admin.is_closed, admin.is_connected) == (True, False)
    with pytest.raises(BusUnavailableError):
        await asking
    assert await pulling is None
    for action in (
        lambda: admin.publish("orders.x", b""),
        lambda: admin.request("orders.x", b""),
        lambda: admin.publish_acked("orders.x", b""),
        lambda: admin.subscribe("orders.x", silent),
        lambda: admin.last_message(STREAM, "orders.x"),
        lambda: admin.list_last(STREAM, "orders.>"),
        lambda: admin.pull(STREAM, DURABLE),
        admin.flush,
    ):
        with pytest.raises(BusUnavailableError):
            await action()
    assert BusEventKind.CLOSED not in {event.kind for event in events}

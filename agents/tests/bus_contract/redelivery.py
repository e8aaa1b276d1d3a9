"""Durables: what comes again, when, and how a pull ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bus_contract.bench import DURABLE, SECOND, STREAM, Bench, now, take, within
from securetransport.core.ports.bus import Connection, PullSubscription

BACKOFF = (0.4, 1.2)
SLACK = 0.35
"""How late a busy server may be, in seconds."""


async def pulling(bench: Bench, *bodies: bytes) -> tuple[Connection, PullSubscription]:
    """Store messages, and begin to pull."""
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    for body in bodies:
        await sender.publish_acked("orders.new", body)
    return reader, await reader.pull(STREAM, DURABLE, expires_seconds=1.0)


async def test_nak_delays_and_term_ends_delivery(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    _, pull = await pulling(bench, b"later", b"never")
    first, second = await within(5, pull.next()), await within(5, pull.next())
    started = now()
    await first.nak(timedelta(seconds=0.5))
    await second.term("test")
    third = await within(5, pull.next())
    assert (third.data, third.facts.deliveries) == (b"later", 2)
    assert now() - started >= 0.4
    await third.ack()
    pull.stop()
    assert await pull.next() is None


async def test_message_that_is_not_settled_comes_again_with_its_sequence(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(ack_wait=SECOND // 2)
    _, pull = await pulling(bench, b"x")
    first = await within(5, pull.next())
    started = now()
    again = await within(5, pull.next())
    assert 0.4 <= now() - started <= 0.5 + SLACK
    assert (first.facts.deliveries, again.facts.deliveries) == (1, 2)
    assert first.facts.stream_sequence == again.facts.stream_sequence == 1
    assert first.facts.stored_at == again.facts.stored_at


async def test_nak_without_delay_brings_it_at_once(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(backoff=[2 * SECOND, 4 * SECOND], max_deliver=5)
    _, pull = await pulling(bench, b"x")
    started = now()
    for deliveries in range(1, 4):
        message = await within(5, pull.next())
        assert message.facts.deliveries == deliveries
        await message.nak()
    assert now() - started < 1.5


async def test_delay_adds_to_the_backoff_of_the_durable(bench: Bench) -> None:
    """A delay of 0.5 s is one after the first delivery only (fault A7b)."""
    await bench.stream()
    await bench.durable(backoff=[int(pause * SECOND) for pause in BACKOFF], max_deliver=9)
    _, pull = await pulling(bench, b"x")
    message, pauses = await within(5, pull.next()), []
    for _ in range(3):
        started = now()
        await message.nak(timedelta(seconds=0.5))
        message = await within(5, pull.next())
        pauses.append(now() - started)
    extra = BACKOFF[1] - BACKOFF[0]
    for pause, wanted in zip(pauses, (0.5, 0.5 + extra, 0.5 + extra), strict=True):
        assert wanted - 0.05 <= pause <= wanted + SLACK, pauses


async def test_backoff_is_the_time_for_each_delivery(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(backoff=[int(pause * SECOND) for pause in BACKOFF], max_deliver=9)
    _, pull = await pulling(bench, b"x")
    await within(5, pull.next())
    for wanted in (BACKOFF[0], BACKOFF[1], BACKOFF[1]):
        started = now()
        await within(5, pull.next())
        assert wanted - 0.05 <= now() - started <= wanted + SLACK


async def test_progress_gives_a_delivery_its_whole_time_again(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(ack_wait=SECOND)
    _, pull = await pulling(bench, b"x")
    message = await within(5, pull.next())
    coming = asyncio.ensure_future(pull.next())
    for _ in range(3):
        await asyncio.sleep(0.6)
        assert not coming.done()
        await message.in_progress()
    started = now()
    assert (await within(5, coming)).facts.deliveries == 2
    assert now() - started >= 0.8


async def test_message_is_given_up_after_the_last_delivery_and_kept(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(ack_wait=SECOND // 4, max_deliver=2)
    reader, pull = await pulling(bench, b"poison")
    assert [(await within(5, pull.next())).facts.deliveries for _ in range(2)] == [1, 2]
    sender = await bench.connect("sender")
    await sender.publish_acked("orders.new", b"next")
    following = await within(5, pull.next())
    assert (following.data, following.facts.deliveries) == (b"next", 1)
    await following.ack()
    await asyncio.sleep(0.6)
    pull.stop()
    assert await pull.next() is None
    assert await bench.stored() == 2
    assert reader.is_connected


async def test_stored_message_that_looks_like_a_status_is_a_message(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    sender = await bench.connect("sender")
    for status in ("100", "404", "408", "409", "503"):
        await sender.publish_acked("orders.new", b"", headers={"Status": status})
    found = await take(await bench.connect("reader"), 5)
    assert [message.headers["Status"] for message in found] == ["100", "404", "408", "409", "503"]


async def test_second_acknowledgement_is_harmless(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(ack_wait=SECOND // 2)
    reader, pull = await pulling(bench, b"x")
    message = await within(5, pull.next())
    await message.ack()
    await message.ack()
    await message.nak()
    await reader.flush()
    pull.stop()
    assert await pull.next() is None


async def test_new_messages_wait_while_too_many_are_out(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(max_ack_pending=2, ack_wait=30 * SECOND)
    _, pull = await pulling(bench, b"1", b"2", b"3")
    first = await within(5, pull.next())
    await within(5, pull.next())
    coming = asyncio.ensure_future(pull.next())
    await asyncio.sleep(0.3)
    assert not coming.done()
    await first.ack()
    assert (await within(5, coming)).data == b"3"


async def test_what_comes_again_goes_before_what_is_new(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(max_ack_pending=1, ack_wait=30 * SECOND)
    _, pull = await pulling(bench, b"1", b"2")
    first = await within(5, pull.next())
    await first.nak()
    assert (await within(5, pull.next())).data == b"1"


async def test_two_pulls_share_a_durable(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(ack_wait=30 * SECOND)
    sender = await bench.connect("sender")
    readers = [await bench.connect("reader"), await bench.connect("reader")]
    pulls = [await reader.pull(STREAM, DURABLE, batch=5, expires_seconds=1.0) for reader in readers]
    found: list[bytes] = []

    async def read(pull: PullSubscription) -> None:
        async for message in pull:
            found.append(message.data)
            await message.ack()

    reading = [asyncio.ensure_future(read(pull)) for pull in pulls]
    await asyncio.sleep(0.1)
    wanted = [b"%d" % number for number in range(40)]
    for body in wanted:
        await sender.publish_acked("orders.new", body)
    await asyncio.sleep(0.2)
    for pull in pulls:
        pull.stop()
    await asyncio.gather(*reading)
    assert sorted(found) == sorted(wanted)


async def test_stopped_pull_hands_over_what_it_asked_for(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    reader, _ = await pulling(bench, *(b"x" for _ in range(20)))
    pull = await reader.pull(STREAM, DURABLE, batch=10, expires_seconds=1.0)
    found = [await within(5, pull.next())]
    pull.stop()
    async with asyncio.timeout(5):
        while (message := await pull.next()) is not None:
            found.append(message)
    assert len(found) == 10


async def test_stopped_pull_without_messages_ends_soon(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    _, pull = await pulling(bench)
    coming = asyncio.ensure_future(pull.next())
    await asyncio.sleep(0.2)
    started = now()
    pull.stop()
    async with asyncio.timeout(5):
        assert await coming is None
    assert now() - started < 3
    assert await pull.next() is None


async def test_message_out_on_a_closed_connection_comes_on_another(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(ack_wait=SECOND // 2)
    reader, pull = await pulling(bench, b"x")
    await within(5, pull.next())
    await reader.close()
    other = await bench.connect("reader")
    pull = await other.pull(STREAM, DURABLE, expires_seconds=1.0)
    assert (await within(5, pull.next())).facts.deliveries == 2

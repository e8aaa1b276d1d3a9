"""Streams: receipts, duplicates, limits, retention, and reading without a consumer."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from bus_contract.bench import DURABLE, SECOND, STREAM, Bench, take, within
from securetransport.core.base.errors import BusUnavailableError, RejectedMessageError


async def test_message_is_pulled_with_the_brokers_facts_by_least_rights(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    ids = [str(uuid.uuid4()) for _ in range(25)]
    acks = [await sender.publish_acked("orders.new", b"x", message_id=identity) for identity in ids]
    assert {ack.stream for ack in acks} == {STREAM}
    assert [ack.sequence for ack in acks] == list(range(1, 26))
    assert not any(ack.is_duplicate for ack in acks)
    found = await take(reader, 25)
    assert [message.message_id for message in found] == ids
    assert [message.facts.stream_sequence for message in found] == list(range(1, 26))
    assert {message.subject for message in found} == {"orders.new"}
    facts = found[0].facts
    assert (facts.stream, facts.consumer, facts.deliveries) == (STREAM, DURABLE, 1)
    assert abs(facts.stored_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert found[-1].facts.pending == 0


async def test_backlog_larger_than_a_batch_is_delivered_once_and_in_order(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    for number in range(75):
        await sender.publish_acked("orders.new", b"%d" % number)
    found = await take(reader, 75)
    assert [int(message.data) for message in found] == list(range(75))


async def test_copy_with_the_same_message_id_is_stored_once(bench: Bench) -> None:
    await bench.stream()
    sender = await bench.connect("sender")
    first = await sender.publish_acked("orders.new", b"x", message_id="one")
    again = await sender.publish_acked("orders.new", b"x", message_id="one")
    assert again.is_duplicate
    assert again.sequence == first.sequence
    other = await sender.publish_acked("orders.new", b"x", message_id="two")
    assert (other.is_duplicate, other.sequence) == (False, first.sequence + 1)
    assert await bench.stored() == 2


async def test_message_that_expects_another_last_one_is_refused(bench: Bench) -> None:
    """By this a chain of messages cannot fork; it is asked before a copy is known as one."""
    await bench.stream()
    sender = await bench.connect("sender")
    expects = "Nats-Expected-Last-Subject-Sequence"

    async def append(identity: str, last: int) -> int:
        ack = await sender.publish_acked(
            "orders.new", b"x", message_id=identity, headers={expects: str(last)}
        )
        return ack.sequence

    assert await append("one", 0) == 1
    await sender.publish_acked("orders.old", b"x")
    assert await append("two", 1) == 3
    for identity in ("three", "two"):
        with pytest.raises(RejectedMessageError, match="refused by the stream"):
            await append(identity, 1)
    assert await bench.stored() == 3


async def test_copy_after_the_duplicate_window_is_stored_again(bench: Bench) -> None:
    await bench.stream(duplicate_window=SECOND // 2)
    sender = await bench.connect("sender")
    await sender.publish_acked("orders.new", b"x", message_id="one")
    await asyncio.sleep(1.2)
    again = await sender.publish_acked("orders.new", b"x", message_id="one")
    assert (again.is_duplicate, again.sequence) == (False, 2)


async def test_copy_of_a_message_that_is_gone_is_dropped_all_the_same(bench: Bench) -> None:
    await bench.stream(retention="workqueue")
    await bench.durable()
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    await sender.publish_acked("orders.new", b"x", message_id="one")
    await take(reader, 1)
    again = await sender.publish_acked("orders.new", b"x", message_id="one")
    assert again.is_duplicate


async def test_acknowledged_message_leaves_a_work_queue(bench: Bench) -> None:
    await bench.stream(retention="workqueue")
    await bench.durable()
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    for body in (b"1", b"2", b"3"):
        await sender.publish_acked("orders.new", body)
    pull = await reader.pull(STREAM, DURABLE, expires_seconds=1.0)
    for _ in range(2):
        await (await within(5, pull.next())).ack()
    await reader.flush()
    assert await bench.stored() == 1


async def test_work_queue_refuses_a_second_reader_of_the_same_messages(bench: Bench) -> None:
    await bench.stream(retention="workqueue")
    await bench.durable(filter_subject="orders.a")
    await bench.durable("other", filter_subject="orders.b")
    config = {"durable_name": "third", "ack_policy": "explicit", "filter_subject": "orders.>"}
    body = {"stream_name": STREAM, "config": config}
    answer = await bench.api(f"CONSUMER.CREATE.{STREAM}.third", body)
    assert "error" in answer


async def test_interest_keeps_a_message_until_every_durable_has_it(bench: Bench) -> None:
    await bench.stream(retention="interest")
    sender, admin = await bench.connect("sender"), await bench.connect("admin")
    await sender.publish_acked("orders.new", b"nobody wants it")
    assert await bench.stored() == 0
    await bench.durable()
    await bench.durable("other")
    await sender.publish_acked("orders.new", b"both want it")
    await take(admin, 1)
    assert await bench.stored() == 1
    await take(admin, 1, "other")
    assert await bench.stored() == 0


async def test_filters_choose_what_a_durable_gets(bench: Bench) -> None:
    await bench.stream()
    await bench.durable(filter_subjects=["orders.a", "orders.c.>"])
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    for subject in ("orders.a", "orders.b", "orders.c.x", "orders.c"):
        await sender.publish_acked(subject, b"x")
    assert [message.subject for message in await take(reader, 2)] == ["orders.a", "orders.c.x"]


async def test_full_stream_refuses_what_is_new_until_there_is_room(bench: Bench) -> None:
    await bench.stream(retention="workqueue", max_msgs=2)
    await bench.durable()
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    for body in (b"1", b"2"):
        await sender.publish_acked("orders.new", body)
    with pytest.raises(BusUnavailableError, match="maximum messages exceeded"):
        await sender.publish_acked("orders.new", b"3", message_id="three")
    await take(reader, 1)
    ack = await sender.publish_acked("orders.new", b"3", message_id="three")
    assert not ack.is_duplicate


async def test_stream_without_bytes_left_refuses_what_is_new(bench: Bench) -> None:
    await bench.stream(max_bytes=10_000)
    sender = await bench.connect("sender")
    await sender.publish_acked("orders.new", bytes(8_000))
    with pytest.raises(BusUnavailableError, match="maximum bytes exceeded"):
        await sender.publish_acked("orders.new", bytes(8_000))
    assert await bench.stored() == 1


async def test_stream_that_discards_the_old_takes_everything(bench: Bench) -> None:
    await bench.stream(discard="old", max_msgs=3)
    sender = await bench.connect("sender")
    for number in range(5):
        await sender.publish_acked(f"orders.{number}", b"x")
    listed = await sender.list_last(STREAM, "orders.>")
    assert [entry.subject for entry in listed] == ["orders.2", "orders.3", "orders.4"]


async def test_only_the_newest_of_each_subject_is_kept(bench: Bench) -> None:
    await bench.stream(max_msgs_per_subject=1)
    sender = await bench.connect("sender")
    for subject, body in (("orders.a", b"1"), ("orders.b", b"2"), ("orders.a", b"3")):
        await sender.publish_acked(subject, body)
    assert await bench.stored() == 2
    listed = await sender.list_last(STREAM, "orders.>")
    assert [(entry.subject, entry.data) for entry in listed] == [
        ("orders.b", b"2"),
        ("orders.a", b"3"),
    ]


async def test_message_older_than_the_stream_keeps_is_gone(bench: Bench) -> None:
    await bench.stream(max_age=SECOND, duplicate_window=SECOND // 2)
    sender = await bench.connect("sender")
    await sender.publish_acked("orders.a", b"x")
    assert await sender.last_message(STREAM, "orders.a") is not None
    await asyncio.sleep(2.5)
    assert await sender.last_message(STREAM, "orders.a") is None


async def test_message_larger_than_the_stream_accepts_is_refused_for_good(bench: Bench) -> None:
    await bench.stream(max_msg_size=100)
    sender = await bench.connect("sender")
    with pytest.raises(RejectedMessageError, match="message size exceeds maximum allowed"):
        await sender.publish_acked("orders.new", bytes(101))
    assert (await sender.publish_acked("orders.new", bytes(100))).sequence == 1


async def test_publish_where_no_stream_listens_is_an_error(bench: Bench) -> None:
    sender = await bench.connect("sender")
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await sender.publish_acked("orders.new", b"x")


async def test_last_message_is_read_without_a_consumer(bench: Bench) -> None:
    await bench.stream()
    sender = await bench.connect("sender")
    assert await sender.last_message(STREAM, "orders.a") is None
    assert await sender.list_last(STREAM, "orders.>") == []
    for subject, body in (("orders.a", b"1"), ("orders.b", b"2"), ("orders.a", b"3")):
        await sender.publish_acked(subject, body, headers={"Mine": body.decode()})
    last = await sender.last_message(STREAM, "orders.a")
    assert last is not None
    assert (last.data, last.sequence, last.subject) == (b"3", 3, "orders.a")
    assert dict(last.headers) == {"Mine": "3"}
    assert abs(last.stored_at - datetime.now(UTC)) < timedelta(seconds=10)
    listed = await sender.list_last(STREAM, "orders.>")
    assert {(entry.subject, entry.data) for entry in listed} == {
        ("orders.a", b"3"),
        ("orders.b", b"2"),
    }
    assert [entry.sequence for entry in listed] == [2, 3]


async def test_headers_of_a_sender_do_not_pass_for_the_servers(bench: Bench) -> None:
    await bench.stream()
    sender = await bench.connect("sender")
    forged = {"Nats-Subject": "orders.b", "Nats-Sequence": "99", "Nats-Time-Stamp": "x"}
    await sender.publish_acked("orders.a", b"1", headers=forged)
    for status in ("100", "204", "404", "408", "503"):
        await sender.publish_acked("orders.a", b"2", headers={"Status": status})
        last = await sender.last_message(STREAM, "orders.a")
        assert last is not None
        assert (last.data, dict(last.headers)) == (b"2", {"Status": status})
        await sender.publish_acked("orders.a", b"3", headers=forged)
        last = await sender.last_message(STREAM, "orders.a")
        assert last is not None
        assert (last.data, last.subject) == (b"3", "orders.a")
    await sender.publish_acked("orders.b", b"4", headers={"Status": "204"})
    await sender.publish_acked("orders.c", b"5")
    listed = await sender.list_last(STREAM, "orders.>")
    assert [(entry.subject, entry.data) for entry in listed] == [
        ("orders.a", b"3"),
        ("orders.b", b"4"),
        ("orders.c", b"5"),
    ]


async def test_stream_that_does_not_allow_it_is_not_read_directly(bench: Bench) -> None:
    await bench.stream(allow_direct=False)
    sender = await bench.connect("sender")
    await sender.publish_acked("orders.a", b"x")
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await sender.last_message(STREAM, "orders.a")
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await sender.list_last(STREAM, "orders.>")


async def test_stream_that_forbids_it_loses_no_message_by_request(bench: Bench) -> None:
    await bench.stream(deny_delete=True, deny_purge=True)
    sender = await bench.connect("sender")
    await sender.publish_acked("orders.a", b"x")
    assert "error" in await bench.api(f"STREAM.MSG.DELETE.{STREAM}", {"seq": 1})
    assert "error" in await bench.api(f"STREAM.PURGE.{STREAM}")
    assert await bench.stored() == 1


async def test_stream_with_the_subjects_of_another_is_refused(bench: Bench) -> None:
    await bench.stream()
    other = {"name": "OTHER", "subjects": ["orders.a"], "storage": "file"}
    assert "error" in await bench.api("STREAM.CREATE.OTHER", other)


async def test_pull_of_a_durable_that_is_made_later_begins_then(bench: Bench) -> None:
    await bench.stream()
    sender, reader = await bench.connect("sender"), await bench.connect("reader")
    await sender.publish_acked("orders.new", b"x")
    pull = await reader.pull(STREAM, DURABLE, expires_seconds=1.0)
    pulling = asyncio.ensure_future(pull.next())
    await asyncio.sleep(0.3)
    assert not pulling.done()
    assert pull.problem == "the durable is not there"
    await bench.durable()
    assert (await within(5, pulling)).data == b"x"
    assert pull.problem is None

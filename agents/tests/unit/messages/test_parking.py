"""What is parked, where it lies, and how it is given out again; over a bus in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from message_bench import DURABLE, HANDLED, REFUSED, STREAM, MessageBench
from securetransport.core.acl import compile_broker, compile_consumers, load_acl
from securetransport.core.base.epochs import EpochSchedule
from securetransport.core.base.errors import TransientError
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.decisions.member.settling import HELD_OF_ACCOUNT
from securetransport.core.formats.dead_letter import (
    LONGEST_STATEMENT,
    PARKING_ROOM_BYTES,
    LetterHeaders,
    is_large,
    read_headers,
)
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.envelope.size import MAX_MESSAGE_BYTES, largest_sealed
from securetransport.messages.consumer import Delivery
from securetransport.runtime.health import Remark
from securetransport.testing.bus import ApiError
from securetransport.testing.bus.records import Stored
from service_scene import ACL_TEXT, PROFILE
from service_scene import TOPIC as TOPIC_NAME

TOPIC = Topic(TOPIC_NAME)
pytestmark = pytest.mark.virtual_time
PREFIX = f"dlq.{STREAM}.{DURABLE}"
NOT_TAKEN = "securetransport_dead_letters_not_taken_total"
FEW_DELIVERIES = 2 * HELD_OF_ACCOUNT


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    yield made
    await made.stop()


def letters(bench: MessageBench, name: str = "DEAD_LETTERS") -> list[Stored]:
    return bench.bus.streams[name].messages()


async def store(bench: MessageBench, data: bytes, message_id: str = "any") -> None:
    assert bench.sender.connection is not None
    await bench.sender.connection.publish_acked(TOPIC, data, message_id=message_id)


async def rename_durable(bench: MessageBench) -> None:
    """Give the reader's durable another name, as an applied ACL does."""
    text = ACL_TEXT.replace(f"durable: {DURABLE}}}", f"durable: {DURABLE}-2}}")
    acl = bench.authority.acl = load_acl(text)
    bench.bus.streams[STREAM].durables.pop(DURABLE).close()
    for body in compile_consumers(bench.authority.acl, replicas=1):
        bench.bus.add_durable(body["stream_name"], body["config"])
    await bench.authority.publish()
    user = next(user for user in compile_broker(acl).users if user.service == DURABLE)
    bench.reader.connection = await bench.bus.join(bench.reader.service, user=user)


def give_out_few(bench: MessageBench) -> None:
    """Let the durable have few unacknowledged deliveries."""
    for body in compile_consumers(bench.authority.acl, replicas=1):
        config = {**body["config"], "max_ack_pending": FEW_DELIVERIES}
        bench.bus.add_durable(body["stream_name"], config)


async def sealed(bench: MessageBench) -> bytes:
    """Return the bytes of an honest message, which is not in the stream any more."""
    await bench.send()
    stream = bench.bus.streams[STREAM]
    (kept,) = stream.messages()
    stream.delete(kept.sequence)
    return kept.frame.data


async def parked_once(bench: MessageBench) -> Stored:
    await bench.wait(lambda: len(letters(bench)) == 1)
    await bench.wait(lambda: bench.left() == 0)
    return letters(bench)[0]


# --- what is parked ---------------------------------------------------------------------------


async def test_message_with_a_key_that_is_over_is_parked_whole(bench: MessageBench) -> None:
    """A sender that ignores its own rule loses nothing by it."""
    await bench.send()
    data = bench.bus.streams[STREAM].messages()[0].frame.data
    await bench.reader.directory.reconcile()
    acceptance = bench.reader.keys.acceptance
    acceptance.schedule = EpochSchedule(timedelta(seconds=1), timedelta(seconds=1))
    await bench.consume()
    letter = await parked_once(bench)
    assert letter.frame.subject == f"{PREFIX}.gatekeeper"
    assert letter.frame.data == data
    assert letter.frame.headers["St-Reason"] == "epoch_out_of_window"


async def test_later_version_is_parked_and_not_destroyed(bench: MessageBench) -> None:
    data = await sealed(bench)
    await bench.consume()
    await store(bench, b"ST\x02\x02" + data[4:])
    letter = await parked_once(bench)
    assert letter.frame.subject == f"{PREFIX}._newer"
    assert letter.frame.data == b"ST\x02\x02" + data[4:]
    assert letter.frame.headers["St-Code"] == "version"
    assert bench.reader.count(REFUSED, topic=TOPIC, reason="version") == 1


async def test_later_schema_is_parked_for_its_signer(bench: MessageBench) -> None:
    bench.reader.keys.know_schemas(TOPIC, {"auth.request/1"})
    await bench.consume()
    await bench.sender.publisher.publish(TOPIC, b"x", type="auth.request", schema_version=2)
    letter = await parked_once(bench)
    assert letter.frame.subject == f"{PREFIX}.gatekeeper"
    assert letter.frame.headers["St-Code"] == "schema"
    assert bench.handled == []


async def test_junk_is_parked_apart(bench: MessageBench) -> None:
    await bench.consume()
    await store(bench, b"not a message")
    assert (await parked_once(bench)).frame.subject == f"{PREFIX}._unverified"


async def test_copy_under_another_id_or_subject_is_dropped_and_charged_to_nobody(
    bench: MessageBench,
) -> None:
    data = await sealed(bench)
    await bench.consume()
    await store(bench, data, message_id="another")
    await bench.wait(lambda: bench.reader.count(REFUSED, topic=TOPIC, reason="message_id") == 1)
    await bench.wait(lambda: bench.left() == 0)
    assert letters(bench) == []


async def test_message_of_a_denied_service_is_kept_as_evidence(bench: MessageBench) -> None:
    denied_at = datetime(2026, 1, 1).astimezone()
    await bench.authority.publish(deny=DenyList(services={ServiceId("gatekeeper"): denied_at}))
    await bench.reader.learn()
    await bench.consume()
    await bench.send()
    assert (await parked_once(bench)).frame.headers["St-Code"] == "denied"


async def test_large_message_is_parked_among_the_large_ones(bench: MessageBench) -> None:
    async def refusing(_delivery: Delivery) -> None:
        raise TransientError("not now")

    assert is_large(40_000)
    await bench.consume(refusing)
    await bench.send(payload=bytes(40_000))
    await bench.wait(lambda: bench.left() == 0, seconds=3600)
    (letter,) = letters(bench, "DEAD_LETTERS_LARGE")
    assert letter.frame.subject == f"{PREFIX}.gatekeeper.large"
    assert letters(bench) == []


# --- dead letters that are full ---------------------------------------------------------------


async def test_one_producer_fills_its_own_quota_and_no_other(bench: MessageBench) -> None:
    stream = bench.bus.streams["DEAD_LETTERS"]
    quota = stream.config["max_msgs_per_subject"] = 3
    await bench.consume()
    for number in range(quota + 2):
        await store(bench, b"junk", message_id=f"junk-{number}")
    await bench.wait(lambda: bench.left() == 0)
    assert len(letters(bench)) == quota, "what nobody signed is dropped beyond the quota"
    assert bench.reader.count(NOT_TAKEN, topic=TOPIC, why="full") == 2
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.send()
    await bench.wait(lambda: bench.left() == 0)
    assert letters(bench)[-1].frame.subject == f"{PREFIX}.gatekeeper"


async def test_honest_message_over_the_quota_waits_and_is_named(bench: MessageBench) -> None:
    stream = bench.bus.streams["DEAD_LETTERS"]
    stream.config["max_msgs_per_subject"] = 1
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.consume()
    await bench.send(3)
    await asyncio.sleep(1800)
    assert (len(letters(bench)), bench.left()) == (1, 2)
    assert "full" in bench.reader.parking.not_ready_reasons()[0]
    stream.delete(letters(bench)[0].sequence)
    bench.reader.keys.know_schemas(TOPIC, None)
    await bench.wait(lambda: bench.left() == 0, seconds=900)


@pytest.mark.parametrize("data", [b"ST\x02\x02", b"not a message"])
async def test_flood_that_nobody_signed_stops_the_topic_for_nobody(
    bench: MessageBench, data: bytes
) -> None:
    """More of it than a durable gives out unacknowledged, beyond the quota of its account."""
    give_out_few(bench)
    bench.bus.streams["DEAD_LETTERS"].config["max_msgs_per_subject"] = 3
    await bench.consume()
    for number in range(FEW_DELIVERIES + 20):
        await store(bench, data, message_id=f"junk-{number}")
    await bench.send(5)
    await bench.wait(lambda: len(bench.handled) == 5, seconds=30)
    assert len(letters(bench)) == 3
    assert bench.left() == 0


async def test_flood_of_one_producer_beyond_its_quota_stops_the_topic_for_nobody(
    bench: MessageBench,
) -> None:
    give_out_few(bench)
    bench.bus.streams["DEAD_LETTERS"].config["max_msgs_per_subject"] = 3
    bench.reader.keys.know_schemas(TOPIC, {"auth.request/1"})
    await bench.consume()
    publish = bench.sender.publisher.publish
    count = FEW_DELIVERIES + 20
    await asyncio.gather(
        *(publish(TOPIC, b"x", type="auth.request", schema_version=2) for _ in range(count))
    )
    await bench.send(5)
    await bench.wait(lambda: len(bench.handled) == 5, seconds=30)
    assert len(letters(bench)) == 3
    assert bench.left() == HELD_OF_ACCOUNT, "a few wait for room"
    assert bench.reader.count(HANDLED, topic=TOPIC, result="dropped") == count - 3 - HELD_OF_ACCOUNT
    await asyncio.sleep(1800)
    assert bench.left() == HELD_OF_ACCOUNT, "and go on waiting"


async def test_full_quota_of_one_account_is_a_remark(bench: MessageBench) -> None:
    bench.bus.streams["DEAD_LETTERS"].config["max_msgs_per_subject"] = 1
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.consume()
    await bench.send(2)
    await asyncio.sleep(5)
    (reason,) = bench.reader.parking.not_ready_reasons()
    assert isinstance(reason, Remark)
    assert reason.endswith("full (gatekeeper)")


async def test_letter_that_another_instance_parked_meanwhile_is_soon_no_reason_any_more(
    bench: MessageBench,
) -> None:
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    away = ApiError(503, 10008, "system temporarily unavailable")
    bench.bus.streams["DEAD_LETTERS"].failures.append(away)
    await bench.consume()
    await bench.send()
    await asyncio.sleep(5)
    (reason,) = bench.reader.parking.not_ready_reasons()
    assert isinstance(reason, Remark)
    stream = bench.bus.streams[STREAM]
    for kept in stream.messages():
        stream.delete(kept.sequence)
    await asyncio.sleep(60)
    assert bench.reader.parking.not_ready_reasons() == []


async def test_reader_without_a_signing_key_parks_nothing_and_loses_nothing(
    bench: MessageBench,
) -> None:
    data = await sealed(bench)
    bench.reader.signing_keys.know_listed(frozenset())
    await bench.consume()
    await store(bench, b"ST\x02\x02" + data[4:])
    await asyncio.sleep(10)
    assert (letters(bench), bench.left()) == ([], 1)
    assert "no_signing_key" in bench.reader.parking.not_ready_reasons()[0]
    await bench.reader.learn()
    await bench.wait(lambda: len(letters(bench)) == 1, seconds=60)


# --- replay -----------------------------------------------------------------------------------


async def replay(bench: MessageBench, letter: Stored, **changes: str) -> None:
    headers = {**letter.frame.headers, **changes}
    headers.pop("Nats-Msg-Id")
    admin = await bench.bus.join(
        "admin", user={user.service: user for user in bench.policy.users}[ServiceId("admin")]
    )
    message_id = f"replay-{letter.sequence}"
    await admin.publish_acked(TOPIC, letter.frame.data, message_id=message_id, headers=headers)
    await admin.close()


async def test_replay_is_judged_at_the_instant_of_the_original(bench: MessageBench) -> None:
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.consume()
    await bench.send()
    letter = await parked_once(bench)
    await asyncio.sleep(PROFILE.key_validity.total_seconds() / 2)
    bench.reader.keys.know_schemas(TOPIC, None)
    await replay(bench, letter)
    await bench.wait(lambda: len(bench.handled) == 1)
    assert bench.left() == 0


async def parked_for_another_schema(bench: MessageBench) -> Stored:
    """Return the letter of a message that the reader would accept now."""
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.consume()
    await bench.send()
    letter = await parked_once(bench)
    bench.reader.keys.know_schemas(TOPIC, None)
    return letter


async def restarted(bench: MessageBench) -> None:
    """Let another process of the reader take over, which knows what is published."""
    assert bench.consumer is not None
    await bench.consumer.stop()
    fresh = bench.another_reader()
    fresh.connection = bench.reader.connection
    await fresh.signing_keys.reconcile()
    await bench.authority.publish_directory()
    await fresh.learn()
    bench.reader = fresh
    await bench.consume()


async def test_replay_waits_while_the_key_of_its_statement_cannot_be_read(
    bench: MessageBench,
) -> None:
    """``--drop`` has removed the letter: what is dropped here would be destroyed."""
    letter = await parked_for_another_schema(bench)
    await restarted(bench)
    bench.authority.store.is_available = False
    await replay(bench, letter)
    await asyncio.sleep(30)
    assert (bench.handled, bench.left()) == ([], 1)
    bench.authority.store.is_available = True
    await bench.wait(lambda: len(bench.handled) == 1, seconds=60)


async def test_replay_whose_statement_was_never_verified_is_parked_with_it_again(
    bench: MessageBench,
) -> None:
    letter = await parked_for_another_schema(bench)
    await restarted(bench)
    bench.authority.store.is_available = False
    await replay(bench, letter)
    await bench.wait(lambda: bench.left() == 0, seconds=600)
    again = letters(bench)[-1]
    assert again.frame.headers["St-Code"] == "statement_key"
    assert again.frame.headers["St-Statement"] == letter.frame.headers["St-Statement"]
    bench.authority.store.is_available = True
    await replay(bench, again)
    await bench.wait(lambda: len(bench.handled) == 1, seconds=60)


async def test_statement_of_before_the_durable_was_renamed_is_not_false(
    bench: MessageBench,
) -> None:
    """The message goes on to the checks of a replay; here the renamed rule ends it, in a letter."""
    letter = await parked_for_another_schema(bench)
    await rename_durable(bench)
    await bench.reader.learn()
    assert bench.consumer is not None
    await bench.consumer.stop()
    await bench.consume()
    await replay(bench, letter)
    await bench.wait(lambda: bench.left() == 0, seconds=30)
    assert bench.reader.count(REFUSED, topic=TOPIC, reason="statement") == 0
    again = letters(bench)[-1].frame.headers
    assert (again["St-Code"], again["St-Durable"]) == ("policy", f"{DURABLE}-2")
    assert again["St-Stored-At"] == letter.frame.headers["St-Stored-At"]


@pytest.mark.parametrize("change", ["", "!", "AAAA", "A" * (LONGEST_STATEMENT + 1)])
async def test_replay_whose_statement_does_not_hold_is_dropped(
    bench: MessageBench, change: str
) -> None:
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.consume()
    await bench.send()
    letter = await parked_once(bench)
    bench.reader.keys.know_schemas(TOPIC, None)
    await replay(bench, letter, **{"St-Statement": change})
    await bench.wait(lambda: bench.reader.count(REFUSED, topic=TOPIC, reason="statement") == 1)
    assert bench.handled == []
    assert len(letters(bench)) == 1


async def test_statement_of_one_message_does_not_vouch_for_another(bench: MessageBench) -> None:
    bench.reader.keys.know_schemas(TOPIC, {"other/1"})
    await bench.consume()
    await bench.send(2)
    await bench.wait(lambda: len(letters(bench)) == 2)
    first, second = letters(bench)
    bench.reader.keys.know_schemas(TOPIC, None)
    await replay(bench, first, **{"St-Statement": second.frame.headers["St-Statement"]})
    await bench.wait(lambda: bench.reader.count(REFUSED, topic=TOPIC, reason="statement") == 1)
    assert bench.handled == []


# --- sizes ------------------------------------------------------------------------------------


def longest_headers() -> LetterHeaders:
    return LetterHeaders(
        reason="epoch_out_of_window",
        code="rule_not_listed_at_all",
        signer="s" * 40,
        subject="t" * 255,
        message_id="0" * 36,
        stream="S" * 255,
        durable="d" * 63,
        sequence=2**64 - 1,
        stored_at=datetime(2026, 1, 1, 1, 1, 1, 999_999).astimezone(),
        deliveries=2**64 - 1,
        statement="A" * LONGEST_STATEMENT,
    )


def test_every_header_at_its_longest_fits_the_room_for_parking() -> None:
    headers = {"Nats-Msg-Id": longest_headers().own_id, **longest_headers().to_headers()}
    block = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    assert len(block.encode()) + 2 <= PARKING_ROOM_BYTES


async def test_statements_are_not_longer_than_the_room_assumes(bench: MessageBench) -> None:
    await bench.consume()
    await store(bench, b"junk", message_id="m" * 36)
    statement = (await parked_once(bench)).frame.headers["St-Statement"]
    longest = longest_headers()
    more = len(longest.subject) + len(longest.stream) + len(longest.durable)
    assert len(statement) + 4 * more / 3 <= len(longest.statement)


def test_headers_are_read_as_they_were_written() -> None:
    assert read_headers(longest_headers().to_headers()) == longest_headers()


def test_largest_message_leaves_room_for_its_parking() -> None:
    assert largest_sealed(MAX_MESSAGE_BYTES) == MAX_MESSAGE_BYTES - PARKING_ROOM_BYTES
    assert largest_sealed(8 * MAX_MESSAGE_BYTES) == MAX_MESSAGE_BYTES

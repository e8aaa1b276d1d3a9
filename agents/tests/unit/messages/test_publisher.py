"""Rules of ``messages.publisher`` and ``SenderKeys`` over a bus in memory, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from message_bench import PUBLISHED, STREAM, MessageBench
from securetransport.core.acl import bundle_rules, load_acl
from securetransport.core.base.errors import (
    BusUnavailableError,
    PermissionDeniedError,
    RejectedMessageError,
    SecureTransportError,
    TransientError,
)
from securetransport.core.decisions.member.leaf import HeldLeaf
from securetransport.core.formats.dead_letter import PARKING_ROOM_BYTES
from securetransport.core.formats.deny_list import DenyList
from securetransport.testing.bus import ApiError, Leg
from securetransport.testing.ledger import FakeLedger
from service_pki import Issuer
from service_scene import ACL_TEXT, PROFILE, TOPIC

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    yield made
    await made.stop()


def rows(bench: MessageBench, table: str) -> list[tuple[Any, ...]]:
    return bench.sender.ledger.rows(table)  # type: ignore[attr-defined,no-any-return]


def delays(bench: MessageBench) -> list[float]:
    assert isinstance(bench.sender.ledger, FakeLedger)
    return bench.sender.ledger.delays


async def test_receipt_is_returned_and_recorded_after_the_attempt(bench: MessageBench) -> None:
    (ack,) = await bench.send()
    assert (ack.stream, ack.sequence, ack.is_duplicate) == (STREAM, 1, False)
    ((attempt, topic, _),) = rows(bench, "attempts")
    ((acked, _, sequence, duplicate),) = rows(bench, "acks")
    assert (attempt, topic, sequence, duplicate) == (acked, TOPIC, 1, 0)
    assert bench.sender.count(PUBLISHED, topic=TOPIC, result="acked") == 1


async def test_attempt_is_recorded_although_no_receipt_comes(bench: MessageBench) -> None:
    bench.bus.servers["nats-1"].pause()
    with pytest.raises(BusUnavailableError, match="retry limit"):
        await bench.send()
    assert len(rows(bench, "attempts")) == 1
    assert rows(bench, "acks") == []
    assert bench.sender.count(PUBLISHED, topic=TOPIC, result="given_up") == 1


async def test_lost_receipt_is_asked_for_again_with_the_same_id(bench: MessageBench) -> None:
    bench.bus.lose_next_ack(TOPIC)
    (ack,) = await bench.send()
    assert ack.is_duplicate
    assert bench.left() == 1
    assert bench.sender.count("securetransport_publish_retries_total", topic=TOPIC) == 1
    assert bench.sender.count(PUBLISHED, topic=TOPIC, result="duplicate") == 1


async def test_retry_uses_the_connection_of_its_moment(bench: MessageBench) -> None:
    bench.sender.connection, held = None, bench.sender.connection
    sending = asyncio.ensure_future(bench.send())
    await asyncio.sleep(1)
    assert not sending.done()
    bench.sender.connection = held
    assert len(await sending) == 1


async def test_message_that_became_too_old_before_its_first_attempt_is_sealed_anew(
    bench: MessageBench,
) -> None:
    delays(bench).append(900.0)
    await bench.consume()
    (ack,) = await bench.send()
    await bench.wait(lambda: len(bench.handled) == 1)
    assert (ack.is_duplicate, bench.letters()) == (False, [])
    assert len(rows(bench, "attempts")) == 1


async def test_clock_that_was_set_ahead_between_sealing_and_publishing_makes_nobody_late(
    bench: MessageBench,
) -> None:
    """As after a suspend, through which the monotonic clock stands still."""
    delays(bench).append(1.0)
    await bench.consume()
    sending = asyncio.ensure_future(bench.send())
    await asyncio.sleep(0.5)
    bench.clock.set_ahead(timedelta(minutes=15))
    await sending
    await bench.wait(lambda: len(bench.handled) == 1)
    assert bench.letters() == []


async def test_topics_that_the_bundle_does_not_have_are_one_label(bench: MessageBench) -> None:
    for number in range(20):
        with pytest.raises(SecureTransportError):
            await bench.sender.publisher.publish(f"auth.x{number}", b"x", type="auth.request")
    assert bench.sender.count(PUBLISHED, topic="other", result="refused") == 20
    assert bench.sender.count(PUBLISHED, topic="auth.x1", result="refused") == 0


async def test_messages_that_come_together_share_a_signature(bench: MessageBench) -> None:
    await bench.send(100)
    name = "securetransport_signature_batch_size"
    assert bench.sender.count(f"{name}_sum") == 100
    assert bench.sender.count(f"{name}_count") <= 3


async def test_stream_that_refuses_a_message_is_the_callers_error(bench: MessageBench) -> None:
    bench.bus.streams[STREAM].failures.append(ApiError(400, 10054, "message size exceeds maximum"))
    with pytest.raises(SecureTransportError) as caught:
        await bench.send()
    assert not isinstance(caught.value, RejectedMessageError | TransientError)
    assert bench.sender.count(PUBLISHED, topic=TOPIC, result="refused") == 1
    assert len(await bench.send()) == 1


async def test_full_stream_is_waited_for(bench: MessageBench) -> None:
    full = ApiError(503, 10077, "maximum bytes exceeded")
    bench.bus.streams[STREAM].failures += [full, full]
    assert len(await bench.send()) == 1


async def test_topic_of_others_is_not_published_to(bench: MessageBench) -> None:
    bench.run(bench.reader.publisher.run())
    with pytest.raises(PermissionDeniedError):
        await bench.reader.publisher.publish(TOPIC, b"x", type="auth.request")
    with pytest.raises(PermissionDeniedError):
        await bench.sender.publisher.publish("auth.others", b"x", type="auth.request")


async def test_drain_waits_for_receipts(bench: MessageBench) -> None:
    bench.bus.faults.delay(Leg.RECEIPT, 0.5)
    sending = asyncio.ensure_future(bench.send())
    await asyncio.sleep(0.1)
    await bench.sender.publisher.drain()
    assert len(rows(bench, "acks")) == 1
    await sending


# --- rule 5 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"type": "auth request"},
        {"type": ""},
        {"type": "x" * 91},
        {"type": None},
        {"type": 7},
        {"payload": "text"},
        {"payload": None},
        {"topic": "auth requests"},
        {"topic": ""},
        {"topic": "auth.>"},
        {"schema_version": 0},
        {"schema_version": 1_000_000},
        {"schema_version": "1"},
        {"schema_version": True},
        {"message_id": "not a uuid"},
        {"message_id": 7},
    ],
)
async def test_what_can_be_no_message_is_refused_at_the_call_and_ends_nothing(
    bench: MessageBench, arguments: dict[str, Any]
) -> None:
    told: dict[str, Any] = {"topic": TOPIC, "payload": b"x", "type": "auth.request", **arguments}
    with pytest.raises(SecureTransportError) as caught:
        async with asyncio.timeout(1):
            await bench.sender.publisher.publish(
                told["topic"],
                told["payload"],
                type=told["type"],
                message_id=told.get("message_id"),
                schema_version=told.get("schema_version", 1),
            )
    assert not isinstance(caught.value, RejectedMessageError | TransientError)
    assert rows(bench, "attempts") == []
    assert len(await bench.send()) == 1


async def test_message_whose_sealing_fails_takes_no_other_with_it(bench: MessageBench) -> None:
    calls: list[int] = []

    async def poisoned(work: Any, contents: Any, *others: Any) -> list[bytes]:
        calls.append(len(contents))
        if any(payload == b"poison" for payload, _ in contents):
            raise OverflowError("poison")
        return list(work(contents, *others))

    bench.sender.publisher._offload = poisoned
    bench.sender.publisher._seal_seconds = 1.0
    publish = bench.sender.publisher.publish
    results = await asyncio.gather(
        *(publish(TOPIC, payload, type="t") for payload in (b"a", b"poison", b"b")),
        return_exceptions=True,
    )
    assert [isinstance(result, SecureTransportError) for result in results] == [False, True, False]
    assert bench.left() == 2


# --- rule 6: nothing is sent with what receivers must refuse ----------------------------------


async def refused_for_now(bench: MessageBench) -> str:
    with pytest.raises(TransientError) as caught:
        await bench.send()
    assert not isinstance(caught.value, BusUnavailableError)
    assert bench.left() == 0
    assert bench.sender.count(PUBLISHED, topic=TOPIC, result="held_back") == 1
    return str(caught.value)


async def test_nothing_is_sent_with_a_signing_key_that_is_over(bench: MessageBench) -> None:
    bench.authority.store.is_available = False
    await asyncio.sleep(PROFILE.key_validity.total_seconds())
    reason = await refused_for_now(bench)
    assert "no signing key of its own is valid now" in bench.sender.out.not_ready_reasons()
    assert "no_signing_key" in reason


async def test_nothing_is_sent_with_a_topic_key_that_is_over(bench: MessageBench) -> None:
    await asyncio.sleep(PROFILE.key_validity.total_seconds())
    await bench.sender.signing_keys.reconcile()
    bench.sender.signing_keys.know_listed(frozenset(bench.sender.signing_keys.enrolled))
    assert "no_topic_key" in await refused_for_now(bench)


async def test_nothing_is_sent_with_a_leaf_certificate_that_is_over(bench: MessageBench) -> None:
    leaf = Issuer.make(100).leaf("gatekeeper", life=timedelta(seconds=5), at=bench.clock.now())
    bench.sender.leaf = HeldLeaf(leaf, bench.clock.monotonic(), 5.0)
    await asyncio.sleep(6)
    assert "leaf_ended" in await refused_for_now(bench)
    assert bench.sender.out.hindrance() == "leaf certificate expired"
    assert bench.reader.out.hindrance() is None, "it produces nothing"


async def test_nothing_is_sent_before_the_directory_lists_the_own_key(bench: MessageBench) -> None:
    bench.sender.signing_keys.know_listed(frozenset())
    await refused_for_now(bench)


async def test_older_topic_key_is_used_while_it_is_valid_and_counted(bench: MessageBench) -> None:
    await asyncio.sleep(PROFILE.key_period.total_seconds())
    await bench.send()
    assert bench.sender.count("securetransport_sent_with_older_key_total", topic=TOPIC) == 1
    assert f"no key of this epoch for topic {TOPIC}" in bench.sender.out.not_ready_reasons()


async def test_right_that_was_taken_away_stops_sending(bench: MessageBench) -> None:
    right = "gatekeeper: {produces: [auth.requests]}"
    acl = load_acl(ACL_TEXT.replace(right, "gatekeeper: {}\n  other: {produces: [auth.requests]}"))
    assert bundle_rules(acl, bench.sender.service) == ()
    bench.authority.acl = acl
    await bench.authority.publish()
    await bench.sender.learn()
    with pytest.raises(PermissionDeniedError):
        await bench.send()


async def test_denied_service_stops_sending_at_once(bench: MessageBench) -> None:
    await bench.send()
    denied = DenyList(services={bench.sender.service: bench.clock.now()})
    await bench.authority.publish(deny=denied)
    await bench.sender.directory.refresh()
    with pytest.raises(PermissionDeniedError, match="denied"):
        await bench.send()
    assert bench.sender.out.seconds_left() == 0


async def test_denied_key_is_not_signed_with(bench: MessageBench) -> None:
    (key_id,) = bench.sender.signing_keys.held().values()
    await bench.authority.publish(deny=DenyList(key_ids={key_id: bench.clock.now()}))
    await bench.sender.directory.refresh()
    with pytest.raises(PermissionDeniedError, match="denied"):
        await bench.send()


async def test_rule_that_the_directory_does_not_list_is_not_sent_by(bench: MessageBench) -> None:
    """The bundle of a sender that is cut off from the authority gets older than the Directory."""
    right = "gatekeeper: {produces: [auth.requests]}"
    more = f"{right}\n  other: {{produces: [auth.requests]}}"
    bench.authority.acl = load_acl(ACL_TEXT.replace(right, more))
    await bench.authority.prepare()
    await bench.authority.publish()
    await asyncio.sleep(1)
    await bench.sender.directory.refresh()
    assert "rule_not_listed" in await refused_for_now(bench)
    await bench.sender.learn()
    await bench.send()


async def test_seconds_left_count_down_to_the_instant_at_which_it_stops(
    bench: MessageBench,
) -> None:
    left = bench.sender.out.seconds_left()
    assert left > 60
    await asyncio.sleep(left - 1)
    assert bench.sender.out.seconds_left() == pytest.approx(1, abs=0.1)
    await bench.send()
    await asyncio.sleep(1)
    assert bench.sender.out.seconds_left() == 0
    with pytest.raises(TransientError):
        await bench.send()


async def test_seconds_left_of_a_service_that_only_consumes_are_those_of_its_material(
    bench: MessageBench,
) -> None:
    assert 60 < bench.reader.out.seconds_left() < 24 * 3600
    bench.reader.leaf = None
    assert bench.reader.out.seconds_left() == 0


# --- sizes ------------------------------------------------------------------------------------


async def test_message_that_is_too_large_is_refused_with_the_numbers(bench: MessageBench) -> None:
    with pytest.raises(SecureTransportError, match="too large") as caught:
        await bench.send(payload=bytes(1 << 20))
    fields = caught.value.fields
    assert fields["payload_bytes"] == fields["server_max_payload_bytes"] == 1 << 20
    assert fields["largest_sealed_bytes"] == (1 << 20) - PARKING_ROOM_BYTES
    assert rows(bench, "attempts") == []
    largest = fields["largest_payload_bytes"]
    assert isinstance(largest, int)
    await bench.send(payload=bytes(largest))
    with pytest.raises(SecureTransportError, match="too large"):
        await bench.send(payload=bytes(largest + 1))


async def test_size_is_told_within_the_path_of_a_batch(bench: MessageBench) -> None:
    with pytest.raises(SecureTransportError) as caught:
        await bench.send(payload=bytes(1 << 20))
    largest = caught.value.fields["largest_payload_bytes"]
    assert isinstance(largest, int)
    await bench.send(3, payload=bytes(largest))
    sealed = [len(kept.frame.data) for kept in bench.bus.streams[STREAM].messages()]
    limit = (1 << 20) - PARKING_ROOM_BYTES
    assert max(sealed) <= limit
    assert min(sealed) > limit - 300

"""Rules of ``messages.consumer`` over a bus in memory, in simulated time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from message_bench import DURABLE, HANDLED, REFUSED, STREAM, MessageBench
from securetransport.core.acl import compile_broker, compile_consumers, load_acl
from securetransport.core.acl.compile.streams import ACK_WAIT
from securetransport.core.base.errors import MalformedMessageError, TransientError
from securetransport.core.base.names import KV_DIRECTORY, ServiceId
from securetransport.core.formats.deny_list import DenyList
from securetransport.messages.consumer import Delivery
from securetransport.messages.progress import PROGRESS_SECONDS
from securetransport.messages.settings import MessagesSection
from securetransport.testing.bus import ApiError, Leg
from service_scene import ACL_TEXT, TOPIC

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    yield made
    await made.stop()


def count(bench: MessageBench, result: str) -> float:
    return bench.reader.count(HANDLED, topic=TOPIC, result=result)


async def test_every_message_is_handled_once_and_acknowledged(bench: MessageBench) -> None:
    await bench.consume()
    await bench.send(50)
    await bench.wait(lambda: bench.left() == 0)
    assert [delivery.deliveries for delivery in bench.handled] == [1] * 50
    assert sorted(delivery.sequence for delivery in bench.handled) == list(range(1, 51))
    assert count(bench, "effected") == 50


async def test_nothing_is_pulled_before_handlers_can_work(bench: MessageBench) -> None:
    may_start = False
    bench.reader.may_start = lambda: may_start
    await bench.consume()
    await bench.send()
    await asyncio.sleep(5)
    assert bench.handled == []
    may_start = True
    await bench.wait(lambda: len(bench.handled) == 1)


async def test_pull_waits_for_the_bundle(bench: MessageBench) -> None:
    fresh = bench.another_reader()
    fresh.connection = bench.reader.connection
    bench.reader = fresh
    await bench.consume()
    await bench.send()
    await asyncio.sleep(2)
    assert bench.handled == []
    await fresh.signing_keys.reconcile()
    await fresh.learn()
    await bench.wait(lambda: len(bench.handled) == 1)


async def test_transient_failure_is_tried_again_later_and_later(bench: MessageBench) -> None:
    at: list[float] = []

    async def failing(_delivery: Delivery) -> None:
        at.append(asyncio.get_running_loop().time())
        if len(at) < 4:
            raise TransientError("not now")

    await bench.consume(failing)
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=120)
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert waits == sorted(waits)
    assert count(bench, "later") == 3


async def test_message_that_no_delivery_settles_is_parked_whole_with_its_reason(
    bench: MessageBench,
) -> None:
    calls: list[int] = []

    async def failing(delivery: Delivery) -> None:
        calls.append(delivery.deliveries)
        raise TransientError("not now")

    await bench.consume(failing)
    await bench.send()
    sealed = bench.bus.streams[STREAM].messages()[0].frame
    await bench.wait(lambda: bench.left() == 0, seconds=3600)
    assert calls == list(range(1, 17))
    (letter,) = bench.bus.streams["DEAD_LETTERS"].messages()
    assert letter.frame.data == sealed.data
    (headers,) = bench.letters()
    assert letter.frame.subject == f"dlq.{STREAM}.{DURABLE}.gatekeeper"
    assert (headers["St-Reason"], headers["St-Code"]) == ("not_handled", "transient")
    assert headers["St-Signer"] == "gatekeeper"
    assert headers["St-Subject"] == TOPIC
    assert headers["St-Message-Id"] == sealed.headers["Nats-Msg-Id"]
    assert (headers["St-Sequence"], headers["St-Deliveries"]) == ("1", "16")
    assert count(bench, "later") == 15


async def test_letter_that_is_not_taken_is_tried_again_and_the_message_stays(
    bench: MessageBench,
) -> None:
    async def failing(_delivery: Delivery) -> None:
        raise TransientError("not now")

    full = ApiError(503, 10077, "maximum bytes exceeded")
    bench.bus.streams["DEAD_LETTERS"].failures += [full]
    await bench.consume(failing)
    await bench.send()
    await bench.wait(lambda: len(bench.letters()) == 1, seconds=3600)
    assert bench.letters()[0]["St-Deliveries"] == "17"


async def test_message_that_ends_the_process_each_time_is_parked_before_it_is_handled_again(
    bench: MessageBench,
) -> None:
    """The process dies with the message: no acknowledgement, and the next process takes over."""
    calls: list[int] = []

    async def deadly(delivery: Delivery) -> None:
        calls.append(delivery.deliveries)
        await asyncio.sleep(3600)

    await bench.send()
    assert bench.reader.connection is not None
    limits = MessagesSection(max_in_flight=64, handler_seconds=3600)
    for _ in range(20):
        bench.reader.limits = limits
        consumer = bench.reader.consumer(deadly)
        process = bench.run(consumer.run())
        await consumer.follow(bench.reader.connection)
        before = len(calls)
        await bench.wait(lambda: len(calls) > before or bench.left() == 0, seconds=200)  # noqa: B023
        process.cancel()
        await asyncio.gather(process, return_exceptions=True)
        if bench.left() == 0:
            break
    assert len(calls) <= 16
    (headers,) = bench.letters()
    assert headers["St-Code"] == "deliveries"
    assert bench.left() == 0


async def test_handler_with_a_bug_is_tried_again_after_a_pause_and_ends_nothing(
    bench: MessageBench,
) -> None:
    at: list[float] = []

    async def broken(_delivery: Delivery) -> None:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 1:
            raise KeyError("bug")

    await bench.consume(broken)
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=60)
    assert at[1] - at[0] >= 5
    assert (count(bench, "failed"), count(bench, "later")) == (1, 1)


async def test_message_that_a_handler_refuses_is_parked(bench: MessageBench) -> None:
    async def refusing(_delivery: Delivery) -> None:
        raise MalformedMessageError("no such thing", code="schema")

    await bench.consume(refusing)
    await bench.send()
    await bench.wait(lambda: bench.reader.count(REFUSED, topic=TOPIC, reason="schema") == 1)
    await bench.wait(lambda: bench.left() == 0)
    (headers,) = bench.letters()
    assert (headers["St-Reason"], headers["St-Code"]) == ("malformed", "schema")
    assert headers["St-Signer"] == "gatekeeper"


# --- slow handlers ----------------------------------------------------------------------------


def test_progress_is_told_well_within_the_shortest_ack_wait() -> None:
    assert ACK_WAIT.total_seconds() > 2 * PROGRESS_SECONDS


async def test_handler_slower_than_the_ack_wait_runs_once(bench: MessageBench) -> None:
    calls: list[int] = []

    async def slow(delivery: Delivery) -> None:
        calls.append(delivery.deliveries)
        await asyncio.sleep(30)

    await bench.consume(slow)
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=60)
    assert calls == [1]


async def test_handler_that_takes_too_long_is_stopped_and_tried_again(bench: MessageBench) -> None:
    began: list[float] = []
    ended: list[float] = []

    async def hanging(_delivery: Delivery) -> None:
        began.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(3600 if len(began) == 1 else 0)
        finally:
            ended.append(asyncio.get_running_loop().time())

    bench.reader.limits = MessagesSection(max_in_flight=64, handler_seconds=12)
    await bench.consume(hanging)
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=60)
    assert ended[0] - began[0] == pytest.approx(12, abs=0.1)
    assert began[1] >= ended[0], "never two at once"
    assert count(bench, "failed") == 1


async def test_handlers_own_time_out_is_its_failure(bench: MessageBench) -> None:
    async def impatient(delivery: Delivery) -> None:
        if delivery.deliveries == 1:
            async with asyncio.timeout(0.1):
                await asyncio.sleep(1)

    await bench.consume(impatient)
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=60)
    assert count(bench, "failed") == 1


# --- what this process does not know yet ------------------------------------------------------


async def test_key_that_is_missing_is_pulled_with_its_proof(bench: MessageBench) -> None:
    assert len(bench.reader.directory.verify_keys) == 0
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: len(bench.handled) == 1)
    assert bench.handled[0].deliveries == 1
    assert len(bench.reader.directory.verify_keys) == 1


async def test_new_generation_is_read_when_a_message_names_it(bench: MessageBench) -> None:
    await bench.consume()
    bench.authority.generations = 2
    await bench.authority.publish_bundles()
    await bench.sender.bundle.refresh("test")
    await bench.send(3)
    await bench.wait(lambda: len(bench.handled) == 3)


async def test_rule_that_changed_is_read_when_a_message_names_it(bench: MessageBench) -> None:
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: len(bench.handled) == 1)
    more = "gatekeeper: {produces: [auth.requests]}\n  other: {produces: [auth.requests]}"
    bench.authority.acl = load_acl(
        ACL_TEXT.replace("gatekeeper: {produces: [auth.requests]}", more)
    )
    await bench.authority.prepare()
    await bench.authority.publish()
    await bench.sender.learn()
    await bench.send()
    await bench.wait(lambda: len(bench.handled) == 2, seconds=1)
    assert bench.handled[1].deliveries == 1


async def test_key_that_nobody_lists_is_waited_for_a_little_and_then_parked(
    bench: MessageBench,
) -> None:
    for key_id in await bench.authority.store.kv_list("directory/keys"):
        await bench.authority.store.kv_destroy(f"directory/keys/{key_id}")
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=200)
    assert bench.handled == []
    assert [letter["St-Code"] for letter in bench.letters()] == ["verify_key"]
    assert bench.reader.count(REFUSED, topic=TOPIC, reason="verify_key") == 1
    assert count(bench, "later") == 5


async def test_message_of_a_revoked_service_is_refused_and_not_repeated(
    bench: MessageBench,
) -> None:
    denied_at = datetime(2026, 1, 1, tzinfo=UTC)
    await bench.authority.publish(deny=DenyList(services={ServiceId("gatekeeper"): denied_at}))
    await bench.reader.learn()
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: bench.reader.count(REFUSED, topic=TOPIC, reason="denied") == 1)
    await asyncio.sleep(120)
    assert bench.reader.count(REFUSED, topic=TOPIC, reason="denied") == 1
    assert bench.handled == []


async def test_changed_bytes_are_refused(bench: MessageBench) -> None:
    await bench.consume()
    assert bench.sender.connection is not None
    await bench.sender.connection.publish_acked(TOPIC, b"not a message", message_id="id")
    await bench.wait(lambda: bench.reader.count(REFUSED, topic=TOPIC, reason="parse") == 1)
    await bench.wait(lambda: bench.left() == 0)


async def test_catching_up_while_openbao_is_away_keeps_the_message(bench: MessageBench) -> None:
    bench.authority.store.is_available = False
    await bench.consume()
    await bench.send()
    await asyncio.sleep(2)
    assert bench.left() == 1
    bench.authority.store.is_available = True
    await bench.wait(lambda: len(bench.handled) == 1, seconds=60)


# --- connections ------------------------------------------------------------------------------


async def test_move_to_a_new_connection_finishes_on_the_old_one_and_repeats_nothing(
    bench: MessageBench,
) -> None:
    handling = asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        handling.set()
        await asyncio.sleep(1)
        bench.handled.append(delivery)

    await bench.consume(slow)
    await bench.send(10)
    await handling.wait()
    old = bench.reader.connection
    new = await bench.bus.join(DURABLE)
    assert bench.consumer is not None
    assert old is not None
    await bench.consumer.follow(new)
    await old.close()
    assert len(bench.handled) == 10, "follow returns when nothing is left on the old connection"
    bench.reader.connection = new
    await bench.send(10)
    await bench.wait(lambda: bench.left() == 0)
    assert {delivery.deliveries for delivery in bench.handled} == {1}


async def test_lost_acknowledgement_is_counted_and_the_message_comes_again(
    bench: MessageBench,
) -> None:
    bench.bus.faults.lose(Leg.ACK)
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: bench.left() == 0, seconds=30)
    assert [delivery.deliveries for delivery in bench.handled] == [1, 2]


async def test_connection_that_is_gone_when_a_handler_returns_ends_nothing(
    bench: MessageBench,
) -> None:
    async def slow(delivery: Delivery) -> None:
        await asyncio.sleep(1)
        bench.handled.append(delivery)

    await bench.consume(slow)
    await bench.send()
    await asyncio.sleep(0.5)
    assert bench.reader.connection is not None
    assert bench.consumer is not None
    await bench.reader.connection.close()
    await bench.wait(lambda: count(bench, "ack_lost") == 1)
    bench.reader.connection = await bench.bus.join(DURABLE)
    await bench.consumer.follow(bench.reader.connection)
    await bench.wait(lambda: bench.left() == 0, seconds=60)
    assert [delivery.deliveries for delivery in bench.handled] == [1, 2]


async def test_stop_finishes_what_was_delivered(bench: MessageBench) -> None:
    async def slow(delivery: Delivery) -> None:
        await asyncio.sleep(0.2)
        bench.handled.append(delivery)

    await bench.consume(slow)
    await bench.send(20)
    await asyncio.sleep(0.1)
    assert bench.consumer is not None
    await bench.consumer.stop()
    assert len(bench.handled) == 20
    await bench.send()
    await asyncio.sleep(5)
    assert bench.left() == 1, "nothing new is pulled"


async def test_bundle_without_the_right_pulls_nothing_and_ends_nothing(
    bench: MessageBench,
) -> None:
    bench.reader.service = ServiceId("stranger")
    await bench.consume()
    await bench.send()
    await asyncio.sleep(3)
    assert bench.handled == []
    assert await bench.authority.store.kv_get(KV_DIRECTORY) is not None


async def test_durable_that_is_gone_is_a_reason_not_to_be_ready_until_it_is_back(
    bench: MessageBench,
) -> None:
    """E11: a stream was renamed, nothing came for 87 s, and every process said it was ready."""
    await bench.consume()
    await bench.send()
    await asyncio.sleep(1)
    assert bench.consumer is not None
    assert bench.consumer.not_ready_reasons() == []
    admin = await bench.bus.join("admin")
    await admin.request(f"$JS.API.CONSUMER.DELETE.{STREAM}.{DURABLE}", b"", timeout=1)
    await asyncio.sleep(5)
    assert bench.consumer.not_ready_reasons() == [f"cannot pull {TOPIC}: the durable is not there"]
    for body in compile_consumers(bench.authority.acl, replicas=1):
        bench.bus.add_durable(body["stream_name"], body["config"])
    await bench.send()
    await asyncio.sleep(5)
    assert bench.consumer.not_ready_reasons() == []
    assert len(bench.handled) == 2


async def test_durable_with_another_name_is_pulled_on_the_connection_that_there_is(
    bench: MessageBench,
) -> None:
    """A changed ACL: the servers take over the new rights, and no connection changes for it."""
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: len(bench.handled) == 1)
    text = ACL_TEXT.replace(f"durable: {DURABLE}}}", f"durable: {DURABLE}-2}}")
    acl = bench.authority.acl = load_acl(text)
    bench.bus.streams[STREAM].durables.pop(DURABLE).close()
    for body in compile_consumers(acl, replicas=1):
        bench.bus.add_durable(body["stream_name"], body["config"])
    user = next(user for user in compile_broker(acl).users if user.service == DURABLE)
    assert bench.consumer is not None
    bench.reader.connection = await bench.bus.join(DURABLE, user=user)
    await bench.consumer.follow(bench.reader.connection)
    await bench.authority.publish()
    for party in (bench.reader, bench.sender):
        await party.learn()
    await bench.send()
    await bench.wait(lambda: len(bench.handled) == 2, seconds=30)
    assert bench.consumer.not_ready_reasons() == []


async def test_right_that_was_taken_away_is_what_is_said(bench: MessageBench) -> None:
    await bench.consume()
    await bench.send()
    await bench.wait(lambda: len(bench.handled) == 1)
    consumes = f"consumes: [{{topic: auth.requests, durable: {DURABLE}}}]"
    bench.authority.acl = load_acl(ACL_TEXT.replace(consumes, "produces: [auth.requests]"))
    await bench.authority.publish()
    await bench.reader.learn()
    await asyncio.sleep(2)
    assert bench.consumer is not None
    reason = f"cannot pull {TOPIC}: this service may not consume the topic"
    assert bench.consumer.not_ready_reasons() == [reason]
    async with asyncio.timeout(5):
        await bench.consumer.follow(await bench.bus.join(DURABLE))


async def test_outage_of_answers_uses_up_no_deliveries(bench: MessageBench) -> None:
    """What the member may not publish now is no fault of the messages that ask for it."""
    hindrance: list[str] = ["no signing key"]
    bench.reader.hindrance = lambda: hindrance[0] if hindrance else None

    async def answering(delivery: Delivery) -> None:
        if hindrance:
            raise TransientError("must not publish")
        bench.handled.append(delivery)

    await bench.consume(answering)
    await bench.send(3)
    await asyncio.sleep(600)
    assert (bench.left(), bench.letters()) == (3, [])
    assert bench.consumer is not None
    assert bench.consumer.not_ready_reasons() == [f"cannot pull {TOPIC}: no signing key"]
    hindrance.clear()
    await bench.wait(lambda: len(bench.handled) == 3, seconds=5)
    hindrance.append("no leaf certificate")
    await asyncio.sleep(2)
    await bench.send(3)
    await asyncio.sleep(600)
    hindrance.clear()
    await bench.wait(lambda: len(bench.handled) == 6, seconds=5)
    assert {delivery.deliveries for delivery in bench.handled} == {1}
    assert bench.letters() == []

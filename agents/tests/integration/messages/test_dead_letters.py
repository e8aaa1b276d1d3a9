"""What becomes of messages that cannot be settled, on a real server."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from message_stage import DURABLE, STREAM, Scene, api, left_in_stream, verdict

from securetransport.cli.letters import check_replay, drop, every_letter, give_out
from securetransport.core.base.errors import SecureTransportError, TransientError
from securetransport.core.base.names import Topic
from securetransport.core.decisions.member.settling import LAST_DELIVERY, not_handled
from securetransport.core.formats.dead_letter import PARKING_ROOM_BYTES
from securetransport.core.formats.deny_list import DenyList
from securetransport.messages.consumer import Delivery
from securetransport.messages.ledger import Ledger
from service_bench import Connect
from service_scene import TOPIC, Party

PREFIX = f"dlq.{STREAM}.{DURABLE}"


async def letters(connect: Connect, stream: str = "DEAD_LETTERS") -> int:
    info = await api(await connect("admin"), f"STREAM.INFO.{stream}", {})
    return int(info["state"]["messages"])


async def until(check: object, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await check():  # type: ignore[operator]
            await asyncio.sleep(0.1)


async def quota(connect: Connect, stream: str, count: int) -> None:
    admin = await connect("admin")
    config = (await api(admin, f"STREAM.INFO.{stream}", {}))["config"]
    await api(admin, f"STREAM.UPDATE.{stream}", {**config, "max_msgs_per_subject": count})


async def test_pauses_are_those_that_the_decision_asks_for(scene: Scene) -> None:
    """A durable adds nothing: measured from delivery to delivery."""
    at: list[float] = []

    async def failing(_delivery: Delivery) -> None:
        at.append(time.monotonic())
        if len(at) < 5:
            raise TransientError("not now")

    await scene.consume(failing)
    await scene.send(1)
    await scene.wait(lambda: len(at) == 5, seconds=40)
    measured = [later - earlier for earlier, later in itertools.pairwise(at)]
    asked = [
        step.delay.total_seconds()  # type: ignore[union-attr]
        for step in (not_handled("transient", "gatekeeper", n) for n in range(1, 5))  # type: ignore[arg-type]
    ]
    assert asked == [1, 2, 4, 8]
    assert measured == pytest.approx(asked, abs=0.6)


async def test_slow_handler_runs_once_for_longer_than_the_ack_wait(scene: Scene) -> None:
    calls: list[int] = []

    async def slow(delivery: Delivery) -> None:
        calls.append(delivery.deliveries)
        await asyncio.sleep(12)

    await scene.consume(slow)
    await scene.send(1)
    handled = "securetransport_messages_handled_total"
    await scene.wait(
        lambda: scene.reader.count(handled, topic=TOPIC, result="effected") == 1, seconds=20
    )
    assert calls == [1]


async def test_later_version_is_parked_and_given_out_again(scene: Scene, connect: Connect) -> None:
    scene.reader.keys.know_schemas(Topic(TOPIC), {"auth.request/1"})
    handled: list[str] = []

    async def note(delivery: Delivery) -> None:
        handled.append(delivery.message.header.schema)

    await scene.consume(note)
    await scene.sender.publisher.publish(TOPIC, b"x", type="auth.request", schema_version=2)
    admin = await connect("admin")
    await until(lambda: is_count(connect, 1))
    assert await left_in_stream(connect) == 0
    letter = await admin.last_message("DEAD_LETTERS", f"{PREFIX}.gatekeeper")
    assert letter is not None
    assert letter.headers["St-Code"] == "schema"
    scene.reader.keys.know_schemas(Topic(TOPIC), {"auth.request/2"})
    headers = {name: text for name, text in letter.headers.items() if name.startswith("St-")}
    await admin.publish_acked(TOPIC, letter.data, message_id="replay-1", headers=headers)
    await scene.wait(lambda: handled == ["auth.request/2"])


async def is_count(connect: Connect, count: int, stream: str = "DEAD_LETTERS") -> bool:
    return await letters(connect, stream) == count


async def test_full_quota_of_one_producer_holds_its_messages_and_no_other(
    scene: Scene, connect: Connect
) -> None:
    await quota(connect, "DEAD_LETTERS", 2)
    scene.reader.keys.know_schemas(Topic(TOPIC), {"other/1"})
    await scene.consume()
    await scene.send(3)
    not_taken = "securetransport_dead_letters_not_taken_total"
    await scene.wait(lambda: scene.reader.count(not_taken, topic=TOPIC, why="full") == 1)
    assert await letters(connect) == 2
    assert await left_in_stream(connect) == 1, "what was not taken is not lost"
    assert "full" in scene.reader.parking.not_ready_reasons()[0]
    assert scene.sender.connection is not None
    await scene.sender.connection.publish_acked(TOPIC, b"junk", message_id="junk")
    await until(lambda: is_count(connect, 3))


async def test_payload_of_one_mebibyte_is_refused_with_the_numbers(
    scene: Scene, connect: Connect
) -> None:
    publish = scene.sender.publisher.publish
    with pytest.raises(SecureTransportError, match="too large") as caught:
        await publish(TOPIC, bytes(1 << 20), type="auth.request")
    assert not isinstance(caught.value, TransientError)
    assert await left_in_stream(connect) == 0
    assert scene.sender.connection is not None
    assert scene.sender.connection.is_connected


async def test_largest_message_is_delivered_and_parked(scene: Scene, connect: Connect) -> None:
    publish = scene.sender.publisher.publish
    with pytest.raises(SecureTransportError) as caught:
        await publish(TOPIC, bytes(1 << 20), type="auth.request")
    largest = caught.value.fields["largest_payload_bytes"]
    assert isinstance(largest, int)
    with pytest.raises(SecureTransportError, match="too large"):
        await publish(TOPIC, bytes(largest + 1), type="auth.request")
    scene.reader.keys.know_schemas(Topic(TOPIC), {"other/1"})
    await scene.consume()
    await publish(TOPIC, bytes(largest), type="auth.request")
    await until(lambda: is_count(connect, 1, "DEAD_LETTERS_LARGE"))
    letter = await (await connect("admin")).last_message(
        "DEAD_LETTERS_LARGE", f"{PREFIX}.gatekeeper.large"
    )
    assert letter is not None
    assert (1 << 20) - PARKING_ROOM_BYTES - 512 < len(letter.data) <= (1 << 20) - PARKING_ROOM_BYTES
    assert await left_in_stream(connect) == 0


async def test_message_that_ends_the_process_is_parked_before_it_is_handled_again(
    scene: Scene, connect: Connect
) -> None:
    """Every replica that gets it is gone before it can say so."""
    admin = await connect("admin")
    body = (await api(admin, f"CONSUMER.INFO.{STREAM}.{DURABLE}", {}))["config"]
    body |= {"ack_wait": 200_000_000}
    await api(
        admin,
        f"CONSUMER.DURABLE.CREATE.{STREAM}.{DURABLE}",
        {"stream_name": STREAM, "config": body},
    )
    calls: list[int] = []

    async def deadly(delivery: Delivery) -> None:
        calls.append(delivery.deliveries)
        await asyncio.sleep(3600)

    await scene.send(1)
    for _ in range(LAST_DELIVERY + 4):
        before = len(calls)
        consumer = scene.reader.consumer(deadly)
        process = asyncio.ensure_future(consumer.run())
        scene.reader.connection = await connect(DURABLE)
        await consumer.follow(scene.reader.connection)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if len(calls) > before or await letters(connect):
                break
        process.cancel()
        await asyncio.gather(process, return_exceptions=True)
        await scene.reader.connection.close()
        if await letters(connect):
            break
    assert len(calls) <= LAST_DELIVERY
    letter = await admin.last_message("DEAD_LETTERS", f"{PREFIX}.gatekeeper")
    assert letter is not None
    assert letter.headers["St-Code"] == "deliveries"
    assert await left_in_stream(connect) == 0


async def test_two_replicas_with_one_ledger_have_the_effect_once(
    scene: Scene, connect: Connect
) -> None:
    """The first is killed between effect and acknowledgement; the second gets the redelivery."""
    path = scene.ledgers[DURABLE]
    second = Party(
        scene.authority,
        scene.reader.service,
        Ledger(path, scene.authority.clock),
        scene.reader.files,
    )
    await second.signing_keys.reconcile()
    await scene.authority.publish()
    await second.learn()
    first_runs: list[str] = []
    results: list[bool] = []

    async def effect_of(party: Party, delivery: Delivery) -> bool:
        header = delivery.message.header
        done = await party.ledger.once(
            header.message_id,
            lambda _db: b"done",
            signer=header.signer,
            deliveries=delivery.deliveries,
        )
        return done.is_first

    async def dies(delivery: Delivery) -> None:
        await effect_of(scene.reader, delivery)
        first_runs.append(delivery.message.header.message_id)
        await asyncio.sleep(3600)

    async def lives(delivery: Delivery) -> None:
        results.append(await effect_of(second, delivery))

    consumer = scene.reader.consumer(dies)
    process = asyncio.ensure_future(consumer.run())
    assert scene.reader.connection is not None
    await consumer.follow(scene.reader.connection)
    await scene.send(1)
    await scene.wait(lambda: len(first_runs) == 1)
    process.cancel()
    await asyncio.gather(process, return_exceptions=True)
    await scene.reader.connection.close()
    other = second.consumer(lives)
    scene.run(other.run())
    second.connection = await connect(DURABLE)
    await other.follow(second.connection)
    await scene.wait(lambda: results == [False], seconds=20)
    assert scene.effects() == 1
    await second.ledger.close()


async def test_letters_are_listed_given_out_and_dropped(scene: Scene, connect: Connect) -> None:
    admin = await connect("admin")
    scene.reader.keys.know_schemas(Topic(TOPIC), {"other/1"})
    await scene.consume()
    await scene.send(3)
    await scene.sender.publisher.publish(TOPIC, bytes(100_000), type="auth.request")
    await until(lambda: is_count(connect, 1, "DEAD_LETTERS_LARGE"))
    await until(lambda: is_count(connect, 3))
    found = [letter async for letter in every_letter(admin)]
    assert [letter.name for letter in found] == ["1", "2", "3", "large-1"]
    scene.reader.keys.know_schemas(Topic(TOPIC), None)
    for letter in found:
        check_replay(letter, DenyList())
        assert await give_out(admin, letter)
        await drop(admin, letter)
    await scene.wait(lambda: scene.effects() == 4)
    assert [letter async for letter in every_letter(admin)] == []
    assert verdict(scene)["lost"] == 0

"""Messages between two services on a real server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from message_stage import DURABLE, REFUSED, STREAM, Scene, left_in_stream, verdict

from securetransport.core.acl import load_acl
from securetransport.core.base.errors import PermissionDeniedError, TransientError, UnknownKeyError
from securetransport.core.base.names import ServiceId
from securetransport.core.formats.deny_list import DenyList
from securetransport.messages.consumer import Delivery
from service_bench import Connect
from service_broker import Broker
from service_scene import ACL_TEXT, TOPIC


async def test_every_message_has_one_effect_and_is_acknowledged(
    scene: Scene, connect: Connect
) -> None:
    await scene.consume()
    await scene.send(100)
    await scene.wait(lambda: scene.effects() == 100)
    await asyncio.sleep(0.3)
    assert await left_in_stream(connect) == 0
    found = verdict(scene)
    assert (found["lost"], found["redelivered"], found["unexpected"]) == (0, 0, 0)
    assert scene.sender.count("securetransport_signature_batch_size_count") < 100


async def test_repeated_handler_has_one_effect(scene: Scene) -> None:
    runs: list[str] = []

    async def late_failure(delivery: Delivery) -> None:
        identity = delivery.message.header.message_id
        await scene.reader.ledger.once(identity, lambda _db: b"", deliveries=delivery.deliveries)
        runs.append(identity)
        if len(runs) == 1:
            raise TransientError("after the effect")

    await scene.consume(late_failure)
    await scene.send(1)
    await scene.wait(lambda: len(runs) == 2)
    await scene.wait(lambda: verdict(scene)["redelivered"] == 1)
    assert verdict(scene)["effected"] == 1


async def test_broken_handler_is_repeated_later_and_ends_nothing(scene: Scene) -> None:
    handled: list[str] = []

    async def broken(delivery: Delivery) -> None:
        if delivery.message.payload == b"0":
            raise KeyError("bug")
        handled.append(delivery.message.header.message_id)

    await scene.consume(broken)
    await scene.send(5)
    await scene.wait(lambda: len(handled) == 4)
    name = "securetransport_messages_handled_total"
    assert scene.reader.count(name, topic=TOPIC, result="failed") >= 1


async def test_key_that_is_not_in_hand_is_pulled_with_its_proof(scene: Scene) -> None:
    assert len(scene.reader.directory.verify_keys) == 0
    await scene.consume()
    await scene.send(1)
    await scene.wait(lambda: scene.effects() == 1)
    assert len(scene.reader.directory.verify_keys) == 1
    assert verdict(scene)["redelivered"] == 0


async def test_forged_directory_entry_is_not_believed(scene: Scene) -> None:
    key_id = scene.sender.signing_keys.for_signing().key_id
    path = f"directory/keys/{key_id}"
    held = await scene.authority.store.kv_get(path)
    assert held is not None
    entry = held.value["entry"]
    forged = {"entry": entry | {"index": 1 - entry["index"]}}
    await scene.authority.store.kv_put(path, forged, cas=held.cas)
    await scene.consume()
    await scene.send(1)
    name = "securetransport_messages_handled_total"
    await scene.wait(lambda: scene.reader.count(name, topic=TOPIC, result="later") >= 1)
    assert scene.effects() == 0
    assert len(scene.reader.directory.verify_keys) == 0


async def test_message_that_no_delivery_settles_is_parked_with_its_reason(
    scene: Scene, connect: Connect
) -> None:
    for path in list(await scene.authority.store.kv_list("directory/keys")):
        await scene.authority.store.kv_destroy(f"directory/keys/{path}")
    await scene.consume()
    await scene.send(1)
    await scene.wait(
        lambda: scene.reader.count(REFUSED, topic=TOPIC, reason="verify_key") == 1, seconds=40
    )
    admin = await connect("admin")
    js = admin.link.client.jetstream()
    letter = await js.get_last_msg("DEAD_LETTERS", f"dlq.{STREAM}.{DURABLE}._unverified")
    assert letter.headers is not None
    assert letter.headers["St-Code"] == "verify_key"
    assert letter.headers["St-Subject"] == TOPIC
    assert (await js.stream_info(STREAM)).state.messages == 0


async def test_new_generation_is_read_when_a_message_names_it(scene: Scene) -> None:
    await scene.consume()
    scene.authority.generations = 2
    await scene.authority.publish_bundles()
    await scene.sender.bundle.refresh("test")
    await scene.send(3)
    await scene.wait(lambda: scene.effects() == 3)


async def test_message_of_a_revoked_service_is_refused_and_not_repeated(scene: Scene) -> None:
    deny = DenyList(services={ServiceId("gatekeeper"): datetime.now(UTC)})
    await scene.authority.publish(deny=deny)
    await scene.reader.learn()
    await scene.consume()
    await scene.send(1)
    await scene.wait(lambda: scene.reader.count(REFUSED, topic=TOPIC, reason="denied") == 1)
    await asyncio.sleep(0.5)
    assert scene.reader.count(REFUSED, topic=TOPIC, reason="denied") == 1
    assert scene.effects() == 0


async def test_changed_bytes_are_refused(scene: Scene) -> None:
    await scene.consume()
    connection = scene.sender.connection
    assert connection is not None
    await connection.publish_acked(TOPIC, b"not a message", message_id="id")
    await scene.wait(lambda: scene.reader.count(REFUSED, topic=TOPIC, reason="parse") == 1)


async def test_topic_of_others_is_not_published_to(scene: Scene) -> None:
    scene.run(scene.reader.publisher.run())
    with pytest.raises(PermissionDeniedError):
        await scene.reader.publisher.publish(TOPIC, b"x", type="auth.request")


async def test_handler_that_cannot_answer_yet_is_asked_again(scene: Scene) -> None:
    runs: list[str] = []

    async def answering(delivery: Delivery) -> None:
        runs.append(delivery.message.header.message_id)
        listed = scene.reader.directory.known_ids() if len(runs) > 1 else frozenset()
        scene.reader.signing_keys.know_listed(listed)
        scene.reader.signing_keys.for_signing()

    async def through_the_publisher(delivery: Delivery) -> None:
        try:
            await answering(delivery)
        except UnknownKeyError:
            await scene.reader.publisher.publish(TOPIC, b"answer", type="auth.response")

    scene.authority.acl = load_acl(
        ACL_TEXT.replace("  auth-controller:", "  auth-controller:\n    produces: [auth.requests]")
    )
    await scene.authority.publish()
    await scene.reader.learn()
    await scene.sender.learn()
    scene.run(scene.reader.publisher.run())
    await scene.consume(through_the_publisher)
    await scene.send(1)
    await scene.wait(lambda: len(runs) == 2)
    assert scene.reader.count(REFUSED, topic=TOPIC, reason="unknown_key") == 0


async def test_move_to_a_new_connection_repeats_and_loses_nothing(
    scene: Scene, connect: Connect
) -> None:
    deliveries: list[int] = []

    async def effect(delivery: Delivery) -> None:
        deliveries.append(delivery.deliveries)
        await scene.reader.ledger.once(delivery.message.header.message_id, lambda _db: b"")

    await scene.consume(effect)
    assert scene.consumer is not None
    sending = asyncio.ensure_future(steady(scene, 300))
    for _ in range(3):
        await asyncio.sleep(0.2)
        for party in (scene.sender, scene.reader):
            old, party.connection = party.connection, await connect(party.service)
            if party is scene.reader:
                await scene.consumer.follow(party.connection)
            assert old is not None
            await old.drain()
    await sending
    await scene.wait(lambda: scene.effects() == 300)
    found = verdict(scene)
    assert (found["acked"], found["lost"]) == (300, 0)
    assert set(deliveries) == {1}
    name = "securetransport_publish_retries_total"
    assert scene.sender.count(name, topic=TOPIC) == 0


async def test_server_restart_loses_nothing(scene: Scene, broker: Broker) -> None:
    await scene.consume()
    sending = asyncio.ensure_future(steady(scene, 200))
    await asyncio.sleep(0.4)
    await asyncio.to_thread(broker.stop)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(broker.start)
    await sending
    await scene.wait(lambda: scene.effects() == 200, seconds=20)
    found = verdict(scene)
    assert (found["acked"], found["lost"], found["effected_twice"]) == (200, 0, 0)


async def test_stop_finishes_what_was_delivered(scene: Scene) -> None:
    async def slow(delivery: Delivery) -> None:
        await asyncio.sleep(0.2)
        await scene.reader.ledger.once(delivery.message.header.message_id, lambda _db: b"")

    await scene.consume(slow)
    await scene.send(20)
    await asyncio.sleep(0.1)
    assert scene.consumer is not None
    async with asyncio.timeout(5):
        await scene.consumer.stop()
    name = "securetransport_messages_handled_total"
    assert scene.reader.count(name, topic=TOPIC, result="effected") == scene.effects() == 20


async def steady(scene: Scene, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            payload = b"%d" % number
            group.create_task(
                scene.sender.publisher.publish(TOPIC, payload, type="auth.request")  # type: ignore[arg-type]
            )
            await asyncio.sleep(0.004)

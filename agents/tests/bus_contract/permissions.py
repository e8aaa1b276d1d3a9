"""Who is let in, what each user may do, and what crosses between accounts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bus_contract.bench import STREAM, Bench, kinds, now, policy, until
from certificates import Issuer
from securetransport.core.base.errors import (
    BusUnavailableError,
    PermissionDeniedError,
    SecureTransportError,
)
from securetransport.core.ports.bus import (
    BusEvent,
    BusEventKind,
    BusTimeouts,
    Credentials,
    Message,
)


async def never(_: Message) -> None:
    raise AssertionError("a message that was not to be had")


async def test_publish_without_right_is_refused_at_once(bench: Bench) -> None:
    await bench.stream()
    events: list[BusEvent] = []
    reader = await bench.connect("reader", events)
    started = now()
    with pytest.raises(PermissionDeniedError):
        await reader.publish_acked("orders.new", b"x", message_id="a", timeout=5.0)
    with pytest.raises(PermissionDeniedError):
        await reader.request("orders.new", b"x", timeout=5.0)
    assert now() - started < 2.0
    assert kinds(events) == {BusEventKind.PERMISSION_DENIED}
    assert await bench.stored() == 0


async def test_publish_that_nobody_waits_for_is_refused_by_an_event(bench: Bench) -> None:
    events: list[BusEvent] = []
    reader = await bench.connect("reader", events)
    await reader.publish("orders.new", b"x")
    await reader.flush()
    await until(lambda: bool(events))
    assert kinds(events) == {BusEventKind.PERMISSION_DENIED}
    assert reader.is_connected


async def test_subscription_without_right_is_refused(bench: Bench) -> None:
    reader = await bench.connect("reader")
    for subject in ("_INBOX.sender.>", "_INBOX.>", ">", "orders.new"):
        with pytest.raises(PermissionDeniedError):
            await reader.subscribe(subject, never)
    assert reader.is_connected


async def test_pull_without_right_is_refused(bench: Bench) -> None:
    await bench.stream()
    await bench.durable()
    reader = await bench.connect("reader")
    pull = await reader.pull(STREAM, "other", expires_seconds=0.4)
    with pytest.raises(PermissionDeniedError):
        async with asyncio.timeout(5):
            await pull.next()


async def test_reading_a_stream_without_right_is_refused(bench: Bench) -> None:
    await bench.stream()
    reader = await bench.connect("reader")
    with pytest.raises(PermissionDeniedError):
        await reader.last_message(STREAM, "orders.a")
    with pytest.raises(PermissionDeniedError):
        await reader.list_last(STREAM, "orders.>")


async def test_answer_to_a_request_needs_no_other_right(bench: Bench) -> None:
    events: list[BusEvent] = []
    answerer, sender = await bench.connect("answerer", events), await bench.connect("sender")

    async def twice(message: Message) -> None:
        await message.respond(b"first")
        await message.respond(b"second")

    await answerer.subscribe("orders.ask", twice)
    assert (await sender.request("orders.ask", b"")).data == b"first"
    await until(lambda: bool(events))
    assert kinds(events) == {BusEventKind.PERMISSION_DENIED}
    await answerer.publish("_INBOX.sender.x", b"unasked")
    await answerer.flush()
    await until(lambda: len(events) == 2)


# --- accounts ------------------------------------------------------------------------------------


async def test_report_of_the_system_account_reaches_the_other(bench: Bench) -> None:
    watcher, metadata = await bench.connect("watcher"), await bench.connect("metadata")
    seen: list[bytes] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    await metadata.subscribe("observe.servers", note)
    await watcher.publish("observe.servers", b"report")
    await until(lambda: seen == [b"report"])


async def test_command_is_answered_across_accounts(bench: Bench) -> None:
    watcher, metadata = await bench.connect("watcher"), await bench.connect("metadata")

    async def answer(message: Message) -> None:
        await message.respond(b"done " + message.data)

    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await metadata.request("watcher.command", b"reload")
    await watcher.subscribe("watcher.command", answer)
    assert (await metadata.request("watcher.command", b"reload")).data == b"done reload"


async def test_other_subjects_stay_within_their_account(bench: Bench) -> None:
    admin, watcher = await bench.connect("admin"), await bench.connect("watcher")
    seen: list[bytes] = []

    async def note(message: Message) -> None:
        seen.append(message.data)

    await admin.subscribe("_R_.>", note)
    await watcher.publish("_R_.x", b"inside")
    await watcher.flush()
    await asyncio.sleep(0.05)
    assert seen == []
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await admin.request("$SYS.REQ.SERVER.PING.VARZ", b"{}")


async def test_servers_list_connections_by_the_hash_of_their_certificate(bench: Bench) -> None:
    credentials = bench.credentials("sender")
    await bench.connect("sender", credentials=credentials)
    watcher = await bench.connect("watcher")
    question = {"server_name": "nats-1", "exact_match": True, "auth": True, "sort": "cid"}
    answer = await watcher.request("$SYS.REQ.SERVER.PING.CONNZ", json.dumps(question).encode())
    listed = json.loads(answer.data)
    assert listed["server"]["name"] == "nats-1"
    found = {entry["name"]: entry for entry in listed["data"]["connections"]}
    assert credentials.identity is not None
    leaf = found["sender/1"]["tls_peer_certs"][0]
    assert leaf["cert_sha256"].lower() == credentials.identity.fingerprint
    assert found["sender/1"]["authorized_user"].endswith("/sender")
    assert found["watcher/1"]["account"] == "SYS"


# --- who is let in -------------------------------------------------------------------------------

SHORT = BusTimeouts(connect=1.5, server=1.0)


async def test_certificate_of_an_untrusted_issuer_is_refused(bench: Bench) -> None:
    other = Issuer.root("other root").intermediate("nats-int e2 0000000000000002")
    credentials = bench.credentials("sender", issuer=other)
    with pytest.raises(BusUnavailableError):
        await bench.connect("sender", credentials=credentials, timeouts=SHORT)


async def test_server_with_a_certificate_of_an_untrusted_issuer_is_left(bench: Bench) -> None:
    other = Issuer.root("other root").intermediate("nats-int e2 0000000000000002")
    credentials = bench.credentials("sender", anchors=[other])
    with pytest.raises(BusUnavailableError):
        await bench.connect("sender", credentials=credentials, timeouts=SHORT)


async def test_expired_certificate_is_refused(bench: Bench) -> None:
    expired = bench.issuer.leaf("sender/1", life=timedelta(seconds=-1))
    credentials = Credentials((bench.issuer.der,), expired)
    with pytest.raises(BusUnavailableError):
        await bench.connect("sender", credentials=credentials, timeouts=SHORT)


async def test_connection_without_a_certificate_is_refused(bench: Bench) -> None:
    with pytest.raises(SecureTransportError):
        await bench.connect(
            "sender", credentials=Credentials((bench.issuer.der,), None), timeouts=SHORT
        )


async def test_connection_without_anchors_is_refused(bench: Bench) -> None:
    credentials = Credentials((), bench.issuer.leaf("sender/1"))
    with pytest.raises(SecureTransportError, match="no trust anchors"):
        await bench.connect("sender", credentials=credentials, timeouts=SHORT)


async def test_credentials_that_cannot_be_used_are_refused_and_the_old_ones_stay(
    bench: Bench,
) -> None:
    one, other = bench.issuer.leaf("sender/1"), bench.issuer.leaf("sender/2")
    mixed = replace(one, private_key=other.private_key)
    sender = await bench.connect("sender")
    for unusable in (Credentials((bench.issuer.der,), mixed), Credentials((), one)):
        with pytest.raises(SecureTransportError):
            await bench.connect("sender", credentials=unusable, timeouts=SHORT)
        with pytest.raises(SecureTransportError):
            sender.use_credentials(unusable)
    await bench.stop()
    await until(lambda: not sender.is_connected)
    await bench.start()
    await until(lambda: sender.is_connected)


async def test_certificate_without_user_is_refused(bench: Bench) -> None:
    with pytest.raises(PermissionDeniedError):
        await bench.connect("stranger", timeouts=SHORT)


async def test_refused_connection_ends_by_itself(bench: Bench) -> None:
    """A time limit works by cancelling, and a client may swallow that; attempts are bounded too."""
    async with asyncio.timeout(20):
        with pytest.raises(PermissionDeniedError):
            await bench.connect("stranger", timeouts=BusTimeouts(connect=60))


async def test_removed_user_is_disconnected_and_stays_out(bench: Bench) -> None:
    events: list[BusEvent] = []
    sender, reader = await bench.connect("sender", events), await bench.connect("reader")
    await bench.set_users(policy("sender"))
    await until(lambda: BusEventKind.PERMISSION_DENIED in kinds(events))
    assert not sender.is_connected
    assert reader.is_connected
    with pytest.raises(BusUnavailableError):
        await sender.publish_acked("orders.new", b"x", timeout=0.5)
    started = now()
    await sender.close()
    assert now() - started < 4


async def test_user_that_comes_back_is_let_in_by_itself(bench: Bench) -> None:
    events: list[BusEvent] = []
    sender = await bench.connect("sender", events)
    await bench.set_users(policy("sender"))
    await until(lambda: BusEventKind.PERMISSION_DENIED in kinds(events))
    await bench.set_users(policy())
    await until(lambda: sender.is_connected)
    await until(lambda: BusEventKind.RECONNECTED in kinds(events))
    await sender.flush()

"""The Directory and the deny list over an OpenBao and a bus in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from message_bench import MessageBench
from securetransport.core.base import names
from securetransport.core.base.errors import (
    RejectedDocumentError,
    SecretStoreUnavailableError,
    UnknownKeyError,
)
from securetransport.core.base.names import KeyId, ServiceId
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports import Message
from securetransport.messages.directory import LONGEST_WAIT
from service_scene import PROFILE

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    yield made
    await made.stop()


def key_of(bench: MessageBench) -> KeyId:
    return bench.sender.signing_keys.for_signing().key_id


async def test_listed_keys_are_pulled_with_their_proof(bench: MessageBench) -> None:
    directory = bench.reader.directory
    await directory.reconcile()
    assert key_of(bench) in directory.known_ids()
    assert key_of(bench) in directory.verify_keys


async def test_key_that_is_not_listed_is_unknown(bench: MessageBench) -> None:
    with pytest.raises(UnknownKeyError):
        await bench.reader.directory.pull(KeyId("0" * 32))


async def test_forged_entry_is_not_believed(bench: MessageBench) -> None:
    path = names.kv_directory_entry(key_of(bench))
    held = await bench.authority.store.kv_get(path)
    assert held is not None
    entry = held.value["entry"]
    await bench.authority.put(path, {"entry": entry | {"index": 1 - entry["index"]}})
    with pytest.raises(UnknownKeyError):
        await bench.reader.directory.pull(key_of(bench))
    await bench.authority.put(path, {"other": 1})
    with pytest.raises(RejectedDocumentError):
        await bench.reader.directory.pull(key_of(bench))
    assert len(bench.reader.directory.verify_keys) == 0


async def test_several_who_wait_for_one_key_share_a_pull(bench: MessageBench) -> None:
    bench.authority.store.calls.clear()
    directory = bench.reader.directory
    await asyncio.gather(*(directory.pull(key_of(bench)) for _ in range(10)))
    path = names.kv_directory_entry(key_of(bench))
    assert bench.authority.store.calls.count(("kv_get", path)) == 1


async def answer_for_the_authority(bench: MessageBench, answer: bytes | None = None) -> None:
    """Serve directory entries over the bus, as the authority does."""
    entries = {}
    for key_id in await bench.authority.store.kv_list("directory/keys"):
        held = await bench.authority.store.kv_get(names.kv_directory_entry(KeyId(key_id)))
        assert held is not None
        entries[key_id] = json.dumps(held.value).encode()

    async def respond(message: Message) -> None:
        await message.respond(answer if answer is not None else entries[message.data.decode()])

    connection = await bench.bus.join("metadata")
    await connection.subscribe(names.SUBJECT_DIRECTORY, respond)


async def test_authority_is_asked_while_openbao_is_away(bench: MessageBench) -> None:
    await answer_for_the_authority(bench)
    bench.authority.store.is_available = False
    await bench.reader.directory.pull(key_of(bench))
    assert key_of(bench) in bench.reader.directory.verify_keys


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"7", b'{"error": "unknown"}'])
async def test_answer_that_is_none_is_no_key(bench: MessageBench, answer: bytes) -> None:
    await answer_for_the_authority(bench, answer)
    bench.authority.store.is_available = False
    with pytest.raises((UnknownKeyError, SecretStoreUnavailableError)):
        await bench.reader.directory.pull(key_of(bench))


async def test_nobody_answers_is_said_so(bench: MessageBench) -> None:
    bench.authority.store.is_available = False
    with pytest.raises(SecretStoreUnavailableError):
        await bench.reader.directory.pull(key_of(bench))
    bench.reader.connection, held = None, bench.reader.connection
    with pytest.raises(SecretStoreUnavailableError):
        await bench.reader.directory.pull(key_of(bench))
    bench.reader.connection = held


async def test_refused_deny_list_does_not_hold_up_the_directory(bench: MessageBench) -> None:
    denied = DenyList(services={ServiceId("x"): bench.clock.now()})
    await bench.authority.publish(deny=denied)
    await bench.reader.learn()
    assert bench.reader.directory.deny == denied
    await bench.authority.put(names.KV_DENY_LIST, {"document": "AAAA"})
    before = bench.reader.directory.directory
    await bench.authority.publish_directory()
    for _ in range(2):  # looked at in every round
        with pytest.raises(RejectedDocumentError):
            await bench.reader.directory.refresh()
    assert bench.reader.directory.deny == denied, "refused means: still denied"
    assert bench.reader.directory.directory is not before


async def test_deny_list_that_vanished_or_is_rolled_back_still_denies(bench: MessageBench) -> None:
    old = await bench.authority.store.kv_get(names.KV_DENY_LIST)
    assert old is not None
    denied = DenyList(services={ServiceId("x"): bench.clock.now()})
    await bench.authority.publish(deny=denied)
    await bench.reader.directory.refresh()
    await bench.authority.put(names.KV_DENY_LIST, old.value)
    with pytest.raises(RejectedDocumentError):
        await bench.reader.directory.refresh()
    await bench.authority.store.kv_destroy(names.KV_DENY_LIST)
    await bench.reader.directory.refresh()
    assert bench.reader.directory.deny == denied


async def test_keys_are_forgotten_when_no_message_can_need_them(bench: MessageBench) -> None:
    await bench.reader.directory.reconcile()
    held = key_of(bench)
    await bench.authority.store.kv_destroy(names.KV_DIRECTORY)
    await asyncio.sleep((PROFILE.key_validity + LONGEST_WAIT + timedelta(hours=1)).total_seconds())
    bench.reader.directory._directory.current = None
    await bench.reader.directory.reconcile()
    assert held not in bench.reader.directory.verify_keys

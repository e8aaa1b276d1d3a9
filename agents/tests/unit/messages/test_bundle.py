"""The ServiceBundle: the exchange with the authority over the bus, and the copy in OpenBao."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from message_bench import MessageBench
from securetransport.core.base import names
from securetransport.core.base.errors import (
    NotPermittedError,
    RejectedDocumentError,
    SecretStoreUnavailableError,
    UnknownKeyError,
)
from securetransport.core.base.names import Topic
from securetransport.core.formats import documents, exchange
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.exchange import KeyRequest
from securetransport.core.ports import Message
from service_scene import PROFILE, TOPIC

pytestmark = pytest.mark.virtual_time

REFRESHES = "securetransport_bundle_refreshes_total"


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    yield made
    await made.stop()


class ExchangeDesk:
    """The authority's end of the exchange."""

    def __init__(self, bench: MessageBench) -> None:
        self.bench = bench
        self.requests: list[KeyRequest] = []
        self.spoil: Callable[[bytes], bytes] = lambda answer: answer
        self.audience = "gatekeeper/1"
        self.bundle = b""

    async def open(self) -> None:
        """Give the sender a place to ask, and take what the copy holds as the bundle."""
        authority = self.bench.authority
        entry = await authority.store.kv_get(names.kv_service_bundle(self.bench.sender.service))
        assert entry is not None
        key = names.service_transit_key(self.bench.sender.service)
        self.bundle = await authority.store.transit_decrypt(key, str(entry.value["ciphertext"]))
        connection = await self.bench.bus.join("metadata")
        await connection.subscribe(f"{names.SUBJECT_KEY_EXCHANGE}.*", self._answer)
        asking = self.bench.sender.connection
        assert asking is not None
        self.bench.sender.bundle._connection = lambda: asking

    async def _answer(self, message: Message) -> None:
        request = KeyRequest.from_bytes(documents.decode(message.data).body)
        self.requests.append(request)
        sealed = exchange.seal_bundle(request, message.data, self.bundle, os.urandom)
        answer = self.bench.authority.sign(
            DocumentKind.SEALED_BUNDLE, sealed, self.audience, Version(counter=1)
        )
        await message.respond(self.spoil(answer))


@pytest.fixture
async def desk(bench: MessageBench) -> ExchangeDesk:
    made = ExchangeDesk(bench)
    await made.open()
    return made


async def test_authority_answers_sealed_to_this_request(
    bench: MessageBench, desk: ExchangeDesk
) -> None:
    bundle = bench.sender.bundle
    await bundle.refresh("test")
    await bundle.refresh("test")
    assert bench.sender.count(REFRESHES, source="authority", result="done") == 2
    first, second = desk.requests
    assert first.instance == "gatekeeper/1"
    assert first.known_version == bundle.version
    assert first.nonce != second.nonce
    assert first.kem_public_key != second.kem_public_key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: answer[:-1],
        lambda _answer: b"",
        lambda _answer: b"{",
        lambda _answer: b'{"error": "unavailable"}',
        lambda _answer: b'{"error": "refused", "detail": "no"}',
        lambda answer: answer.replace(b"gatekeeper/1", b"gatekeeper/2"),
    ],
)
async def test_answer_that_is_refused_leaves_the_copy(
    bench: MessageBench, desk: ExchangeDesk, spoil: Callable[[bytes], bytes]
) -> None:
    desk.spoil = spoil
    await bench.sender.bundle.refresh("test")
    assert bench.sender.count(REFRESHES, source="authority", result="done") == 0
    assert bench.sender.count(REFRESHES, source="copy", result="done") >= 2


async def test_answer_for_another_instance_is_refused(
    bench: MessageBench, desk: ExchangeDesk
) -> None:
    desk.audience = "gatekeeper/2"
    await bench.sender.bundle.refresh("test")
    assert bench.sender.count(REFRESHES, source="authority", result="done") == 0
    refused = ("securetransport_documents_total", {"kind": "sealed-bundle", "result": "audience"})
    assert bench.sender.count(refused[0], **refused[1]) == 1


async def test_answer_to_another_request_is_refused(
    bench: MessageBench, desk: ExchangeDesk
) -> None:
    answers: list[bytes] = []
    desk.spoil = lambda answer: answers.append(answer) or answers[0]  # type: ignore[func-returns-value]
    await bench.sender.bundle.refresh("test")
    await bench.sender.bundle.refresh("test")
    assert bench.sender.count(REFRESHES, source="authority", result="done") == 1
    assert bench.sender.count(REFRESHES, source="authority", result="failed") >= 1


async def test_nobody_answers_and_no_copy_is_said_so(bench: MessageBench) -> None:
    before = bench.sender.bundle.bundle
    await bench.authority.store.kv_destroy(names.kv_service_bundle(bench.sender.service))
    with pytest.raises(SecretStoreUnavailableError):
        await bench.sender.bundle.refresh("test")
    await bench.authority.put(names.kv_service_bundle(bench.sender.service), {"other": 1})
    with pytest.raises(RejectedDocumentError):
        await bench.sender.bundle.refresh("test")
    assert bench.sender.bundle.bundle is before
    assert bench.sender.count(REFRESHES, source="copy", result="failed") >= 1


async def test_bundle_of_another_service_is_refused(bench: MessageBench) -> None:
    authority = bench.authority
    other = await authority.store.kv_get(names.kv_service_bundle(bench.reader.service))
    assert other is not None
    plain = await authority.store.transit_decrypt(
        names.service_transit_key(bench.reader.service), str(other.value["ciphertext"])
    )
    key = names.service_transit_key(bench.sender.service)
    sealed = await authority.store.transit_encrypt(key, plain)
    await authority.put(names.kv_service_bundle(bench.sender.service), {"ciphertext": sealed})
    with pytest.raises(RejectedDocumentError):
        await bench.sender.bundle.refresh("test")


async def test_boundary_is_followed_by_one_refresh_with_the_new_keys(bench: MessageBench) -> None:
    bundle = bench.sender.bundle
    await bundle.reconcile()
    done = bench.sender.count(REFRESHES, source="copy", result="done")
    await pass_time(PROFILE.key_period + PROFILE.key_refresh)
    await bench.authority.publish_bundles()
    for _ in range(3):
        await bundle.reconcile()
    assert bench.sender.count(REFRESHES, source="copy", result="done") == done + 1
    assert bundle.topic_keys.missing([Topic(TOPIC)], bench.clock.now()) == []


async def pass_time(span: timedelta) -> None:
    """Let time pass while nothing is done."""
    await asyncio.sleep(span.total_seconds())


async def test_notice_of_a_newer_version_wakes_the_refresh(bench: MessageBench) -> None:
    bundle = bench.sender.bundle
    assert bench.sender.connection is not None
    await bundle.listen(bench.sender.connection)
    admin = await bench.bus.join("metadata")
    subject = names.subject_bundle_push(bench.sender.service)
    await bench.authority.publish_bundles()
    version = Version(counter=9).model_dump()
    for junk in (b"", b"{", b"[]", b'{"version": 1}', json.dumps({"version": {}}).encode()):
        await admin.publish(subject, junk)
    assert not await bundle.wakeup.wait(0.5), "junk and older versions cost nothing"
    await admin.publish(subject, json.dumps({"version": version}).encode())
    assert await bundle.wakeup.wait(0.5)
    before = bundle.version
    await bundle.reconcile()
    assert bundle.version != before


async def test_notice_is_kept_until_a_fetch_has_succeeded(bench: MessageBench) -> None:
    bundle, store = bench.sender.bundle, bench.authority.store
    await bench.authority.publish_bundles()
    before = bundle.version
    store.is_available = False
    bundle.demand()
    for _ in range(10):
        with suppress(SecretStoreUnavailableError):
            await bundle.reconcile()
        await asyncio.sleep(0.5)
    store.is_available = True
    await asyncio.sleep(2)
    await bundle.reconcile()
    assert bundle.version != before


async def test_rule_is_that_of_the_bundle(bench: MessageBench) -> None:
    assert bench.sender.bundle.rule(Topic(TOPIC)).producers == ("gatekeeper",)
    with pytest.raises(NotPermittedError):
        bench.sender.bundle.rule(Topic("auth.others"))
    with pytest.raises(UnknownKeyError):
        bench.another_reader().bundle.rule(Topic(TOPIC))


async def test_copy_is_read_by_this_services_key_only(bench: MessageBench) -> None:
    entry = await bench.authority.store.kv_get(names.kv_service_bundle(bench.sender.service))
    assert entry is not None
    sealed = str(entry.value["ciphertext"]).removeprefix("vault:v1:")
    assert TOPIC.encode() not in base64.b64decode(sealed)

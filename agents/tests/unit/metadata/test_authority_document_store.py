"""Documents in KV: published once, renewed at half their life, versions that only rise."""

from __future__ import annotations

from datetime import timedelta

import pytest
from authority_desk import Desk

from securetransport.core.base import names
from securetransport.core.base.errors import ConflictError, SecureTransportError
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.broker_policy import BrokerPolicy

PATH = "documents/under-test"
LIFE = timedelta(minutes=10)
POLICY = BrokerPolicy(users=(), acl_digest="00" * 32)


async def publish(desk: Desk, body: BrokerPolicy | None = None) -> Version:
    stored = await desk.documents.publish(PATH, DocumentKind.BROKER_POLICY, body or POLICY, LIFE)
    return stored.document.version


async def test_a_published_document_is_signed_for_everybody_until_its_end(desk: Desk) -> None:
    stored = await desk.documents.publish(PATH, DocumentKind.BROKER_POLICY, POLICY, LIFE)
    keys = await desk.authority_keys()
    body = documents.verify_document(
        documents.decode(stored.data),
        keys.lookup,
        kind=DocumentKind.BROKER_POLICY,
        audience=documents.EVERYBODY,
        at=desk.clock.now(),
        newest=None,
    )
    assert body == POLICY.to_bytes()
    assert stored.document.not_after == desk.clock.now() + LIFE
    read = await desk.documents.read(PATH)
    assert read is not None
    assert read.data == stored.data


async def test_the_same_body_is_not_published_twice_before_half_its_life(desk: Desk) -> None:
    first = await publish(desk)
    desk.clock.advance(LIFE / 2 - timedelta(seconds=1))
    assert await publish(desk) == first
    desk.clock.advance(timedelta(seconds=1))
    assert await publish(desk) > first


async def test_versions_go_on_rising_after_a_restart_with_another_store_object(desk: Desk) -> None:
    first = await publish(desk)
    desk.clock.advance(LIFE)
    second = await publish(desk)
    assert (first.counter, second.counter) == (1, 2)


async def test_two_authorities_never_publish_the_same_version(desk: Desk) -> None:
    await publish(desk)
    held = await desk.store.kv_get(PATH)
    assert held is not None
    sign = desk.store.transit_sign

    async def slow(key: str, message: bytes) -> tuple[int, bytes]:
        await desk.store.kv_put(PATH, held.value, cas=held.cas)  # another instance was faster
        desk.store.transit_sign = sign  # type: ignore[method-assign]
        return await sign(key, message)

    desk.store.transit_sign = slow  # type: ignore[method-assign]
    desk.clock.advance(LIFE)
    with pytest.raises(ConflictError):
        await publish(desk)


async def test_a_damaged_document_is_an_alarm_and_no_fresh_start(desk: Desk) -> None:
    await desk.store.kv_put(PATH, {"document": "AAAA"}, cas=0)
    with pytest.raises(SecureTransportError, match="damaged"):
        await publish(desk)


async def test_a_rotated_signing_key_is_named_by_the_document_it_signs(desk: Desk) -> None:
    await publish(desk)
    await desk.store.write(f"{names.TRANSIT_MOUNT}/keys/{names.AUTHORITY_SIGNING_KEY}/rotate", {})
    desk.clock.advance(LIFE)
    stored = await desk.documents.publish(PATH, DocumentKind.BROKER_POLICY, POLICY, LIFE)
    assert stored.document.key_id == f"{names.AUTHORITY_SIGNING_KEY}:v2"
    keys = await desk.authority_keys()
    documents.verify_document(
        stored.document,
        keys.lookup,
        kind=DocumentKind.BROKER_POLICY,
        audience=documents.EVERYBODY,
        at=desk.clock.now(),
        newest=None,
    )


async def test_without_a_signing_key_the_path_is_named(desk: Desk) -> None:
    desk.store._content.signing_keys.clear()
    with pytest.raises(SecureTransportError, match="does not exist"):
        await publish(desk)

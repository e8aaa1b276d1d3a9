"""Whatever lies in OpenBao, a keeper's round ends, and what is in force stays in force."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keeper_bench import HOME, KeeperBench

from securetransport.core.base import names
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from trust_scene import KEY_ID, authority_key, bundle, issuer_names

pytestmark = pytest.mark.long

BUNDLE, POLICY = names.KV_TRUST_BUNDLE, names.KV_BROKER_POLICY
EARLIER = names.kv_keeper_attestation("nats-0")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FIELDS = ("document", "attestation", "server", "digest", "leaf_epoch", "is_served", "attested_at")
VALUES = st.dictionaries(
    st.sampled_from(FIELDS) | st.text(max_size=8),
    st.recursive(
        SCALARS | st.binary(max_size=80).map(lambda data: base64.b64encode(data).decode()),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


async def settled() -> KeeperBench:
    bench = KeeperBench(("nats-0", "nats-1"))
    await bench.settle()
    return bench


async def check_unmoved(bench: KeeperBench) -> None:
    """Run two rounds and a restart; the first trust set must be served all the time."""
    await bench.later()
    bench.start_keeper()
    await bench.later()
    assert bench.listed() == issuer_names(1)
    assert await bench.serves(bundle(1, active=1).digest)
    assert bench.may_start() is None


@settings(max_examples=40)
@example(BUNDLE, {"document": "\u00e4"})
@given(st.sampled_from([BUNDLE, POLICY, EARLIER]), VALUES)
async def test_any_value_in_openbao_is_refused_and_changes_nothing(
    path: str, value: dict[str, Any]
) -> None:
    bench = await settled()
    await bench.put(path, value)
    await check_unmoved(bench)


def signed(kind: DocumentKind, body: bytes, **changes: object) -> bytes:
    """A document that the authority really signed, with absurd fields."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "kind": kind,
        "audience": documents.EVERYBODY,
        "version": Version(counter=9),
        "created_at": now,
        "not_after": now + timedelta(hours=1),
        "body": body,
        "signer": documents.AUTHORITY,
        "key_id": KEY_ID,
        "algorithm": authority_key().algorithm,
        **changes,
    }
    document = documents.unsigned(**fields)
    signature = authority_key().sign(documents.to_be_signed(document))
    return documents.encode(documents.with_signature(document, signature))


GOOD = json.loads(bundle(1, active=1).to_bytes())
TRUST = DocumentKind.TRUST_BUNDLE
LAST = datetime.max.replace(tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)


def changed(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def entry(**fields: object) -> bytes:
    return changed(issuers=[{**GOOD["issuers"][0], **fields}])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        changed(issuers=[]),
        changed(issuers=None),
        changed(active=10**30),
        changed(active=-1),
        changed(digest=""),
        changed(more=1),
        entry(certificate="AAAA"),
        entry(certificate=""),
        entry(epoch=10**30),
        entry(epoch=-1),
        entry(not_after="9999-12-31T23:59:59.999999Z"),
        entry(not_before="0001-01-01T00:00:00Z"),
        entry(common_name="nats-int e99999999999999999999 0000000000000001"),
        entry(fingerprint="x" * 100_000),
    ],
)
async def test_signed_trust_set_with_an_absurd_body_is_refused(body: bytes) -> None:
    bench = await settled()
    await bench.put_document(BUNDLE, signed(TRUST, body))
    await check_unmoved(bench)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"acl_digest": 1}',
        b'{"acl_digest": "x", "users": [{"user": 1}]}',
        b"[" * 99_999,
    ],
)
async def test_signed_policy_with_an_absurd_body_is_refused(body: bytes) -> None:
    bench = await settled()
    await bench.put_document(POLICY, signed(DocumentKind.BROKER_POLICY, body))
    await check_unmoved(bench)


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": FIRST},
        {"created_at": FIRST, "not_after": FIRST},
        {"audience": "somebody"},
        {"signer": "somebody"},
        {"algorithm": "none"},
    ],
)
async def test_signed_document_with_an_absurd_head_is_refused(changes: dict[str, object]) -> None:
    bench = await settled()
    body = bundle(1, active=1).to_bytes()
    await bench.put_document(BUNDLE, signed(TRUST, body, **changes))
    await check_unmoved(bench)
    said = await bench.stated()
    assert said is not None
    assert said.bundle_version == Version(counter=1)


async def test_document_that_never_ends_and_a_version_beyond_all_are_taken_or_refused() -> None:
    bench = await settled()
    body = bundle(1, active=1).to_bytes()
    await bench.put_document(BUNDLE, signed(TRUST, body, created_at=LAST, not_after=LAST))
    await check_unmoved(bench)
    top = Version(incarnation=2**62, counter=2**62)
    await bench.put_document(BUNDLE, signed(TRUST, body, version=top))
    await check_unmoved(bench)


@settings(max_examples=30)
@given(st.data())
async def test_any_byte_of_a_document_may_be_wrong(data: st.DataObject) -> None:
    bench = await settled()
    good = signed(TRUST, bundle(1, active=1).to_bytes())
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    await bench.put_document(BUNDLE, bytes(bad))
    await check_unmoved(bench)


@settings(max_examples=20)
@given(
    st.sampled_from(["trust-bundle", "broker-policy"]),
    st.binary(max_size=200),
)
async def test_damaged_state_of_an_earlier_run_is_no_end(name: str, content: bytes) -> None:
    bench = await settled()
    bench.files.write(HOME / "state" / name, content)
    await check_unmoved(bench)

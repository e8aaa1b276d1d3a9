"""The authority's signatures: made by OpenBao's transit engine, verified by the product.

1. Transit signs the bytes as they are, so its signature over ``to_be_signed`` verifies.
2. ``GET transit/keys/<name>`` gives every version's raw public key, which becomes the pinned file.
3. After a rotation both versions verify, each under its own key id.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from securetransport.core.base.errors import ConfigError, RejectedDocumentError
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.documents import AuthorityKeys, SignedDocument
from servers import OpenBao

KEY: Final = "test-authority-signing"
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _make_key(bao: OpenBao, name: str, type_: str) -> None:
    bao.call("POST", f"transit/keys/{name}", {"type": type_, "exportable": False})


def _pinned(bao: OpenBao, name: str) -> AuthorityKeys:
    """Return the keys as a member reads them from its pinned file."""
    exported = bao.call("GET", f"transit/keys/{name}")["data"]
    return AuthorityKeys.from_json(AuthorityKeys.from_transit(exported).to_json())


async def _signed(bao: OpenBao, version: int, algorithm: str = signing.ML_DSA_65) -> SignedDocument:
    name = KEY if algorithm == signing.ML_DSA_65 else f"{KEY}-87"
    document = documents.unsigned(
        kind=DocumentKind.TRUST_BUNDLE,
        audience=documents.EVERYBODY,
        version=Version(counter=version),
        created_at=NOW,
        not_after=NOW + timedelta(hours=1),
        body=b'{"issuers": []}',
        signer=documents.AUTHORITY,
        key_id=documents.authority_key_id(name, version),
        algorithm=algorithm,
    )
    signed_by, signature = await bao.store().transit_sign(name, documents.to_be_signed(document))
    assert signed_by == version
    return documents.decode(documents.encode(documents.with_signature(document, signature)))


def _verify(document: SignedDocument, keys: AuthorityKeys) -> bytes:
    return documents.verify_document(
        document,
        keys.lookup,
        kind=DocumentKind.TRUST_BUNDLE,
        audience=documents.EVERYBODY,
        at=NOW,
    )


async def test_transits_signature_verifies_before_and_after_a_rotation(bao: OpenBao) -> None:
    _make_key(bao, KEY, "mldsa-65")
    first = await _signed(bao, 1)
    before = _pinned(bao, KEY)
    assert list(before.keys) == [f"{KEY}:v1"]
    assert _verify(first, before) == b'{"issuers": []}'

    bao.call("POST", f"transit/keys/{KEY}/rotate")
    second = await _signed(bao, 2)
    with pytest.raises(RejectedDocumentError, match="unknown_key"):
        _verify(second, before)
    after = _pinned(bao, KEY)
    assert list(after.keys) == [f"{KEY}:v1", f"{KEY}:v2"]
    assert after.keys[f"{KEY}:v1"] == before.keys[f"{KEY}:v1"]
    for document in (first, second):
        assert _verify(document, after) == b'{"issuers": []}'

    swapped = replace(second, key_id=first.key_id)
    for wrong in (swapped, replace(second, body=b"{}")):
        with pytest.raises(RejectedDocumentError, match="reason=signature"):
            _verify(wrong, after)


async def test_the_stronger_algorithm_is_exported_and_verified_too(bao: OpenBao) -> None:
    _make_key(bao, f"{KEY}-87", "mldsa-87")
    document = await _signed(bao, 1, signing.ML_DSA_87)
    assert _verify(document, _pinned(bao, f"{KEY}-87")) == b'{"issuers": []}'


def test_a_transit_key_of_another_type_is_not_pinned(bao: OpenBao) -> None:
    _make_key(bao, "test-other-type", "ed25519")
    with pytest.raises(ConfigError, match="'ed25519', not ML-DSA"):
        _pinned(bao, "test-other-type")


def test_the_private_half_does_not_leave_openbao(bao: OpenBao) -> None:
    _make_key(bao, "test-not-exportable", "mldsa-65")
    with pytest.raises(AssertionError, match="not exportable"):
        bao.call("GET", "transit/export/signing-key/test-not-exportable")

"""The bundle exchange: how a member's request is answered so that only it can read the answer.

::

    member    KeyRequest{fresh ML-KEM public key, nonce, time}      signed by its enrolled key
    authority SealedBundle{KEM ciphertext, ciphertext, request digest}  signed by the authority

The answer's AES key is HKDF-SHA-256 over the KEM's shared secret with the request's digest as
salt, so an answer belongs to one request; the authority's signature covers the whole answer, which
names the request's digest: together, the transcript. Inside is the signed ServiceBundle document,
the same bytes that the KV copy holds.

Rules of the authority, in order: kind and audience; signature by an enrolled key that is not
denied; the request is the signer's own; fresh within the limit; its nonce was never answered.
Rules of the member, in order: the answer is signed by a pinned authority key and for this instance;
it names the digest of the request just sent; it opens; the document inside is for this service.

Source: docs/wire-format.md, "Bundle exchange".
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from annotated_types import MaxLen, MinLen

from securetransport.core.base.entropy import Entropy
from securetransport.core.base.errors import DecryptionError, RejectedDocumentError
from securetransport.core.crypto import aead, kem
from securetransport.core.formats.body import (
    Base64Bytes,
    Document,
    Instance,
    Instant,
    ShortBytes,
    Text,
    Version,
)

_INFO = b"securetransport/v1/bundle-exchange"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class KeyRequest(Document):
    """A member asks for its bundle; signed by its enrolled key.

    Attributes:
        instance: Who asks.
        kem: KEM algorithm, for example ``ML-KEM-768``.
        kem_public_key: Fresh public key; its private half is used once.
        nonce: 32 random bytes.
        requested_at: When; refused outside skew + 5 min, and a nonce is answered once.
        known_version: Version of the bundle it has, if any.
    """

    instance: Instance
    kem: Text
    kem_public_key: ShortBytes
    nonce: Annotated[ShortBytes, MinLen(1), MaxLen(64)]
    requested_at: Instant
    known_version: Version | None = None


class SealedBundle(Document):
    """Answer to a :class:`KeyRequest`.

    Attributes:
        kem_ciphertext: Encapsulation to the request's public key.
        nonce: AES-GCM nonce, 12 bytes.
        ciphertext: The signed ServiceBundle document, encrypted; AAD is the request's SHA-256.
        request_digest: SHA-256 of the request as it was signed, hex.
    """

    kem_ciphertext: ShortBytes
    nonce: ShortBytes
    ciphertext: Base64Bytes
    request_digest: Text


def request_digest(signed_request: bytes) -> bytes:
    """Return SHA-256 over the encoded, signed request."""
    return hashlib.sha256(signed_request).digest()


def seal_bundle(
    request: KeyRequest, signed_request: bytes, document: bytes, entropy: Entropy
) -> SealedBundle:
    """Encrypt a signed ServiceBundle document to the key of a request.

    Args:
        request: The verified request.
        signed_request: Its encoded, signed form; the answer is bound to these bytes.
        document: The encoded ServiceBundle document.
        entropy: Where the nonce is drawn from.
    """
    digest = request_digest(signed_request)
    kem_ciphertext, shared = kem.encapsulate(request.kem, request.kem_public_key)
    key = aead.hkdf(shared, salt=digest, info=_INFO, length=_KEY_BYTES)
    nonce = entropy(_NONCE_BYTES)
    return SealedBundle(
        kem_ciphertext=kem_ciphertext,
        nonce=nonce,
        ciphertext=aead.encrypt(key, nonce, document, digest + kem_ciphertext),
        request_digest=digest.hex(),
    )


def open_bundle(sealed: SealedBundle, signed_request: bytes, key: kem.KemKey) -> bytes:
    """Return the encoded ServiceBundle document of an answer.

    Args:
        sealed: The answer, whose signature was verified by the caller.
        signed_request: The request that was sent.
        key: The private half of the request's KEM key; use it once.

    Raises:
        RejectedDocumentError: The answer belongs to another request, or does not open.
    """
    digest = request_digest(signed_request)
    if sealed.request_digest != digest.hex():
        raise RejectedDocumentError("answer belongs to another key request")
    shared = key.decapsulate(sealed.kem_ciphertext)
    secret = aead.hkdf(shared, salt=digest, info=_INFO, length=_KEY_BYTES)
    try:
        return aead.decrypt(secret, sealed.nonce, sealed.ciphertext, digest + sealed.kem_ciphertext)
    except DecryptionError as err:
        raise RejectedDocumentError("answer to the key request does not open") from err

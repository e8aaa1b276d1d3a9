"""Signed documents: what the authority says, and what instances and administrators state.

One mechanism for all of them. Layout and limits: docs/wire-format.md, "SignedDocument". A document
is accepted by :func:`verify_document` when, in this order:

1. its kind is the one asked for, and this kind may come from its signer (an authority's kind only
   from ``authority``, the ACL only from ``administrator``, a statement only from an instance);
2. its audience is the one asked for;
3. its key is known and of the algorithm the document names;
4. the signature verifies over *all* other fields;
5. its version is not lower than the newest one seen ("rollback");
6. it is not past ``not_after`` ("expired").

Every refusal is a ``RejectedDocumentError`` whose field ``reason`` is one of
:data:`REFUSAL_REASONS`. Nothing of a body is looked at before its signature.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base import codec
from securetransport.core.base.epochs import UNIX_START
from securetransport.core.base.errors import (
    DocumentTooLargeError,
    MalformedMessageError,
    RejectedDocumentError,
    SignatureError,
    UnknownKeyError,
)
from securetransport.core.base.pae import pae
from securetransport.core.crypto import signing
from securetransport.core.formats.authority_keys import AuthorityKeys, authority_key_id
from securetransport.core.formats.body import DocumentKind, Version

__all__ = [
    "ADMINISTRATOR",
    "AUTHORITY",
    "EVERYBODY",
    "MAX_DOCUMENT_BYTES",
    "REFUSAL_REASONS",
    "AuthorityKeys",
    "PublicKeyLookup",
    "SignedDocument",
    "authority_key_id",
    "decode",
    "encode",
    "sign_with_key",
    "to_be_signed",
    "unsigned",
    "verify_document",
    "with_signature",
]

PAE_TYPE: Final = "securetransport/document/v1"
AUTHORITY: Final = "authority"
ADMINISTRATOR: Final = "administrator"
EVERYBODY: Final = "all"

# The bus and OpenBao's storage both end at 1 MiB; base64 in KV costs a third of that.
MAX_DOCUMENT_BYTES: Final = 768 * 1024
_MAX_TEXT: Final = 200
_MAX_LONG: Final = 2**63 - 1
_NUMBER: Final = struct.Struct("<q")
_MICROSECOND: Final = timedelta(microseconds=1)
_STATEMENTS: Final = frozenset(
    {
        DocumentKind.ATTESTATION,
        DocumentKind.DEAD_LETTER,
        DocumentKind.KEY_REQUEST,
        DocumentKind.SERVER_REPORT,
    }
)

REFUSAL_REASONS: Final = (
    "malformed",
    "kind",
    "signer",
    "audience",
    "unknown_key",
    "signature",
    "rollback",
    "expired",
)

PublicKeyLookup = Callable[[str], tuple[str, bytes]]
"""Key id to (algorithm, raw public key); raises ``UnknownKeyError`` or ``KeyError``."""


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document with its signature, as it travels.

    Attributes:
        kind: What it is; part of what is signed.
        audience: For whom: ``all``, a service id, an instance id, or ``authority``.
        version: Rises with every document of its kind and audience.
        created_at: When it was made; whole microseconds.
        not_after: From when on it is refused.
        body: The bytes that its kind defines.
        signer: ``authority``, ``administrator`` or an instance id.
        key_id: Key that signed it.
        algorithm: Signature algorithm.
        signature: Over :func:`to_be_signed`; empty while unsigned.
    """

    kind: DocumentKind
    audience: str
    version: Version
    created_at: datetime
    not_after: datetime
    body: bytes
    signer: str
    key_id: str
    algorithm: str
    signature: bytes


def unsigned(  # noqa: PLR0913  # one argument per field of the format
    *,
    kind: DocumentKind,
    audience: str,
    version: Version,
    created_at: datetime,
    not_after: datetime,
    body: bytes,
    signer: str,
    key_id: str,
    algorithm: str,
) -> SignedDocument:
    """Return a document that lacks only its signature.

    Raises:
        ValueError: An instant has no zone, or a text is empty or longer than 200 characters.
    """
    document = SignedDocument(
        kind=kind,
        audience=audience,
        version=version,
        created_at=created_at,
        not_after=not_after,
        body=body,
        signer=signer,
        key_id=key_id,
        algorithm=algorithm,
        signature=b"",
    )
    problem = _problem(document)
    if problem:
        raise ValueError(problem)
    return document


def to_be_signed(document: SignedDocument) -> bytes:
    """Return the PAE over all fields but the signature."""
    return pae(
        PAE_TYPE,
        document.kind.encode(),
        document.audience.encode(),
        _NUMBER.pack(document.version.incarnation),
        _NUMBER.pack(document.version.counter),
        _NUMBER.pack(_micros(document.created_at)),
        _NUMBER.pack(_micros(document.not_after)),
        document.body,
        document.signer.encode(),
        document.key_id.encode(),
        document.algorithm.encode(),
    )


def with_signature(document: SignedDocument, signature: bytes) -> SignedDocument:
    """Return the document with ``signature``, which is not verified here."""
    return replace(document, signature=signature)


def sign_with_key(  # noqa: PLR0913  # one argument per field of the format
    *,
    kind: DocumentKind,
    audience: str,
    version: Version,
    created_at: datetime,
    not_after: datetime,
    body: bytes,
    signer: str,
    key: signing.SigningKey,
) -> SignedDocument:
    """Return a document signed by a key that the caller holds; for instances and administrators.

    Raises:
        ValueError: As :func:`unsigned`.
    """
    document = unsigned(
        kind=kind,
        audience=audience,
        version=version,
        created_at=created_at,
        not_after=not_after,
        body=body,
        signer=signer,
        key_id=key.key_id,
        algorithm=key.algorithm,
    )
    return with_signature(document, key.sign(to_be_signed(document)))


def encode(document: SignedDocument) -> bytes:
    """Return the document as it travels.

    Raises:
        DocumentTooLargeError: Larger than :data:`MAX_DOCUMENT_BYTES`; nobody would accept it.
    """
    data = codec.encode(
        "document",
        {
            "kind": document.kind.value,
            "audience": document.audience,
            "incarnation": document.version.incarnation,
            "counter": document.version.counter,
            "created_at": _micros(document.created_at),
            "not_after": _micros(document.not_after),
            "body": document.body,
            "signer": document.signer,
            "key_id": document.key_id,
            "algorithm": document.algorithm,
            "signature": document.signature,
        },
    )
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentTooLargeError(
            "document is too large for the bus",
            kind=document.kind.value,
            audience=document.audience,
            size=len(data),
            limit=MAX_DOCUMENT_BYTES,
        )
    return data


def decode(data: bytes) -> SignedDocument:
    """Return the document in ``data``; parsed, *not* verified.

    Raises:
        RejectedDocumentError: Reason ``malformed`` or, for an unknown kind, ``kind``.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _refusal("malformed", "document is too large", size=len(data))
    try:
        record = codec.decode("document", data)
    except MalformedMessageError as err:
        raise _refusal("malformed", "bytes are not a signed document") from err
    try:
        kind = DocumentKind(record["kind"])
    except ValueError as err:
        raise _refusal("kind", "document is of an unknown kind") from err
    try:
        document = SignedDocument(
            kind=kind,
            audience=record["audience"],
            version=Version(incarnation=record["incarnation"], counter=record["counter"]),
            created_at=UNIX_START + record["created_at"] * _MICROSECOND,
            not_after=UNIX_START + record["not_after"] * _MICROSECOND,
            body=record["body"],
            signer=record["signer"],
            key_id=record["key_id"],
            algorithm=record["algorithm"],
            signature=record["signature"],
        )
    except (OverflowError, ValueError) as err:
        raise _refusal(
            "malformed", "document has an impossible date or version", kind=kind.value
        ) from err
    problem = _problem(document)
    if problem:
        raise _refusal("malformed", problem, kind=kind.value)
    return document


def verify_document(  # noqa: PLR0913  # each argument is one rule of the list above
    document: SignedDocument,
    public_key_lookup: PublicKeyLookup,
    *,
    kind: DocumentKind,
    audience: str,
    at: datetime,
    signer: str | None = None,
    newest: Version | None = None,
    skew: timedelta = timedelta(0),
) -> bytes:
    """Return the body of a document that passes every rule of this module.

    Args:
        document: What arrived.
        public_key_lookup: The keys that may have signed it. For statements of instances the caller
            gives ``signer``, or compares the key's owner with ``document.signer`` itself.
        kind: What it must be.
        audience: For whom it must be.
        at: Now, aware.
        signer: Who must have signed it; ``None`` accepts any signer that this kind allows.
        newest: Highest version seen so far of this kind and audience; the same one is accepted.
        skew: How far past ``not_after`` is still accepted, for disagreeing clocks.

    Raises:
        RejectedDocumentError: The field ``reason`` says which rule refused it.
    """
    _check_role(document, kind, audience, signer)
    try:
        algorithm, public_key = public_key_lookup(document.key_id)
    except (KeyError, UnknownKeyError) as err:
        raise _refusal(
            "unknown_key",
            "no such verify key is pinned or enrolled",
            kind=kind.value,
            key_id=document.key_id,
        ) from err
    if algorithm != document.algorithm:
        raise _refusal(
            "signature",
            "document names another algorithm than its key",
            kind=kind.value,
            algorithm=document.algorithm,
        )
    try:
        signing.verify(algorithm, public_key, to_be_signed(document), document.signature)
    except SignatureError as err:
        raise _refusal("signature", "signature does not verify", kind=kind.value) from err
    if newest is not None and document.version < newest:
        raise _refusal(
            "rollback",
            "document is older than one already seen",
            kind=kind.value,
            version=str(document.version),
            newest=str(newest),
        )
    if at - skew >= document.not_after:  # the other sum may lie past the last of all instants
        raise _refusal(
            "expired",
            "document is past its end",
            kind=kind.value,
            not_after=document.not_after.isoformat(),
        )
    return document.body


def _check_role(
    document: SignedDocument, kind: DocumentKind, audience: str, signer: str | None
) -> None:
    if document.kind != kind:
        raise _refusal(
            "kind", "document is of another kind", kind=document.kind.value, expected=kind.value
        )
    if kind in _STATEMENTS:
        is_allowed = "/" in document.signer
    else:
        is_allowed = document.signer == (ADMINISTRATOR if kind is DocumentKind.ACL else AUTHORITY)
    if not is_allowed or (signer is not None and document.signer != signer):
        raise _refusal(
            "signer", "document is from another signer", kind=kind.value, signer=document.signer
        )
    if document.audience != audience:
        raise _refusal(
            "audience",
            "document is for another audience",
            kind=kind.value,
            audience=document.audience,
            expected=audience,
        )


def _refusal(reason: str, message: str, **fields: object) -> RejectedDocumentError:
    return RejectedDocumentError(message, reason=reason, **fields)


def _micros(at: datetime) -> int:
    return (at - UNIX_START) // _MICROSECOND


def _problem(document: SignedDocument) -> str | None:
    """Return what makes a document's fields impossible, ``None`` when nothing does."""
    for name in ("audience", "signer", "key_id", "algorithm"):
        if not 0 < len(getattr(document, name)) <= _MAX_TEXT:
            return f"{name} is empty or longer than {_MAX_TEXT} characters"
    version = document.version
    if not (0 <= version.incarnation <= _MAX_LONG and 0 <= version.counter <= _MAX_LONG):
        return "version is out of range"
    for name in ("created_at", "not_after"):
        if getattr(document, name).tzinfo is None:
            return f"{name} has no time zone"
    return None

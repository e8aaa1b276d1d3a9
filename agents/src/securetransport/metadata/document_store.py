"""Signed documents in KV, each published only when it changed or grew old.

A document's version continues from the one that lies in KV, so that it rises through restarts and
through changes of the acting instance; the write is a compare-and-swap, so two instances can never
publish the same version.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from securetransport.core.base import names
from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.documents import SignedDocument
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it lies in KV.

    Attributes:
        document: Parsed; its signature is not verified here, it is the authority's own mount.
        data: Encoded.
        cas: For the next write.
    """

    document: SignedDocument
    data: bytes
    cas: int


class Signer:
    """Signs documents with the authority's transit key, which never leaves OpenBao."""

    def __init__(self, store: SecretStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._key_version: int | None = None

    async def sign(  # one argument per field of the document
        self,
        kind: DocumentKind,
        audience: str,
        version: Version,
        body: bytes,
        lifetime: timedelta,
    ) -> SignedDocument:
        """Return a signed document that is accepted for ``lifetime`` from now.

        Raises:
            SecretStoreUnavailableError: OpenBao did not sign.
        """
        if self._key_version is None:
            self._key_version = await self._newest_version()
        document = self._unsigned(kind, audience, version, body, lifetime, self._key_version)
        used, signature = await self._sign(document)
        if used != self._key_version:  # the key was rotated since; its version is part of the text
            self._key_version = used
            document = self._unsigned(kind, audience, version, body, lifetime, used)
            _, signature = await self._sign(document)
        return documents.with_signature(document, signature)

    def _unsigned(  # noqa: PLR0913, PLR0917  # one argument per field of the document
        self,
        kind: DocumentKind,
        audience: str,
        version: Version,
        body: bytes,
        lifetime: timedelta,
        key_version: int,
    ) -> SignedDocument:
        now = self._clock.now()
        return documents.unsigned(
            kind=kind,
            audience=audience,
            version=version,
            created_at=now,
            not_after=now + lifetime,
            body=body,
            signer=documents.AUTHORITY,
            key_id=f"{names.AUTHORITY_SIGNING_KEY}:v{key_version}",
            algorithm=signing.ML_DSA_65,
        )

    async def _sign(self, document: SignedDocument) -> tuple[int, bytes]:
        message = documents.to_be_signed(document)
        return await self._store.transit_sign(names.AUTHORITY_SIGNING_KEY, message)

    async def _newest_version(self) -> int:
        path = f"{names.TRANSIT_MOUNT}/keys/{names.AUTHORITY_SIGNING_KEY}"
        data = await self._store.read(path)
        if data is None:
            raise SecureTransportError("the authority's signing key does not exist", path=path)
        return int(data["latest_version"])


class DocumentStore:
    """Reads and publishes signed documents at KV paths."""

    def __init__(self, store: SecretStore, signer: Signer, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock

    async def read(self, path: str) -> StoredDocument | None:
        """Return what lies at ``path``.

        Raises:
            RejectedDocumentError: It is not an encoded document.
        """
        entry = await self._store.kv_get(path)
        if entry is None:
            return None
        try:
            data = base64.b64decode(str(entry.value.get("document", "")), validate=True)
        except ValueError as err:
            raise RejectedDocumentError(
                "document is not base64 text", reason="malformed", path=path
            ) from err
        return StoredDocument(document=documents.decode(data), data=data, cas=entry.cas)

    async def publish(
        self,
        path: str,
        kind: DocumentKind,
        body: Document,
        lifetime: timedelta,
        audience: str = documents.EVERYBODY,
    ) -> StoredDocument:
        """Publish ``body`` unless exactly it lies there already and is not half through its life.

        Raises:
            ConflictError: Another instance published in between; look again.
        """
        held = await self._read_own(path)
        return await self.renew(path, kind, body, lifetime, held, audience=audience)

    async def renew(  # noqa: PLR0913  # one argument per field of the document
        self,
        path: str,
        kind: DocumentKind,
        body: Document,
        lifetime: timedelta,
        held: StoredDocument | None,
        *,
        audience: str = documents.EVERYBODY,
        after: Version | None = None,
    ) -> StoredDocument:
        """Publish like :meth:`publish` in the place of what was read there before.

        Args:
            path: Where.
            kind: Of the document.
            body: What it says.
            lifetime: How long it is accepted.
            held: What was read there; ``None`` when nothing lies there.
            audience: For whom it is.
            after: A version that was seen; the new one is above it, too.

        Raises:
            ConflictError: Something else lies there by now, or what lay there was deleted.
        """
        wanted = body.to_bytes()
        now = self._clock.now()
        if held and held.document.body == wanted and not _is_old(held.document, now, lifetime):
            return held
        seen = [each for each in (held.document.version if held else None, after) if each]
        version = max(seen).next() if seen else Version(counter=1)
        document = await self._signer.sign(kind, audience, version, wanted, lifetime)
        data = documents.encode(document)
        value = {"document": base64.b64encode(data).decode("ascii")}
        cas = await self._store.kv_put(path, value, cas=held.cas if held else 0)
        return StoredDocument(document=document, data=data, cas=cas)

    async def _read_own(self, path: str) -> StoredDocument | None:
        """Read what the authority wrote itself; a damaged one is an alarm, not a fresh start.

        Starting again at version 1 would be refused by every receiver as a rollback.
        """
        try:
            return await self.read(path)
        except RejectedDocumentError as err:
            raise SecureTransportError("the published document is damaged", path=path) from err


def _is_old(document: SignedDocument, now: datetime, lifetime: timedelta) -> bool:
    return now - document.created_at >= lifetime / 2

"""Accepting the authority's documents other than the TrustBundle: one rule set for all of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError

from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.ports import KvEntry
from securetransport.core.ports.clock import Clock
from securetransport.member.telemetry import SessionTelemetry
from securetransport.member.versions import VersionStore

D = TypeVar("D", bound=Document)
T = TypeVar("T")


def stored_document(entry: KvEntry, path: str) -> bytes:
    """Return the encoded document of a KV value ``{"document": base64}``.

    Raises:
        RejectedDocumentError: The value has another shape.
    """
    try:
        return base64.b64decode(str(entry.value["document"]), validate=True)
    except (KeyError, ValueError) as error:  # binascii.Error, or a letter that is not ASCII
        raise RejectedDocumentError("stored document is malformed", path=path) from error


@dataclass(frozen=True, slots=True)
class DocumentGate:
    """Verifies documents against the pinned keys and the highest version ever seen.

    Attributes:
        keys: The pinned keys of the authority.
        clock: Judges ``not_after``.
        versions: Highest versions, kept across restarts.
        skew: Accepted disagreement of clocks.
        telemetry: Counts accepted and refused documents.
    """

    keys: AuthorityKeys
    clock: Clock
    versions: VersionStore
    skew: timedelta
    telemetry: SessionTelemetry

    async def accept(
        self, data: bytes, kind: DocumentKind, body: type[D], *, audience: str
    ) -> tuple[D, Version]:
        """Return body and version of a document that passes every rule.

        Raises:
            RejectedDocumentError: A rule is broken; the document in force stays.
        """

        def judge() -> tuple[D, Version]:
            document = documents.decode(data)
            text = self.verify(document, kind, audience, self.versions.newest(kind))
            return parsed(body, text), document.version

        accepted, version = self.counted(kind, judge)
        await self.versions.accept(kind, version)
        return accepted, version

    def verify(
        self,
        document: documents.SignedDocument,
        kind: DocumentKind,
        audience: str,
        newest: Version | None = None,
    ) -> bytes:
        """Return the body of a document of the authority that passes every rule.

        Raises:
            RejectedDocumentError: A rule is broken.
        """
        return documents.verify_document(
            document,
            self.keys.lookup,
            kind=kind,
            audience=audience,
            at=self.clock.now(),
            newest=newest,
            skew=self.skew,
        )

    def counted(self, kind: DocumentKind, judge: Callable[[], T]) -> T:
        """Return what ``judge`` returns, counting whether it refused."""
        try:
            result = judge()
        except RejectedDocumentError as error:
            reason = str(error.fields.get("reason", "malformed"))
            self.telemetry.documents.labels(kind.value, reason).inc()
            raise
        self.telemetry.documents.labels(kind.value, "accepted").inc()
        return result


def parsed(body: type[D], text: bytes) -> D:
    """Return a body of the wanted shape.

    Raises:
        RejectedDocumentError: It has another shape.
    """
    try:
        return body.from_bytes(text)
    except ValidationError as error:
        raise RejectedDocumentError("document has an invalid body", reason="malformed") from error

"""Judging the authority's documents by this process's keys, clock and memory."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.documents import PublicKeyLookup
from securetransport.core.ports import Clock, KvEntry
from securetransport.core.trust import documents as rules
from securetransport.core.trust.documents import Accepted, DocumentType, Question
from securetransport.documents.versions import VersionStore

D = TypeVar("D", bound=Document)

OnResult = Callable[[DocumentKind, str], None]
"""Told each judgement: the kind, and ``accepted`` or the reason of the refusal."""


@dataclass(frozen=True, slots=True)
class DocumentGate:
    """Judges documents.

    Attributes:
        keys: The pinned keys of the authority.
        clock: Judges ``not_after``.
        versions: Highest versions, kept across restarts.
        skew: Accepted disagreement of clocks.
        on_result: For counters.
    """

    keys: PublicKeyLookup
    clock: Clock
    versions: VersionStore
    skew: timedelta
    on_result: OnResult

    def judge(
        self, data: bytes, wanted: DocumentType[D], audience: str, newest: Version | None = None
    ) -> Accepted[D]:
        """Return a document that passes every rule; its version is not remembered.

        Raises:
            RejectedDocumentError: A rule is broken.
        """
        question = Question(audience, self.keys, self.clock.now(), newest, self.skew)
        try:
            found = rules.accept(data, wanted, question)
        except RejectedDocumentError as error:
            self.on_result(wanted.kind, str(error.fields.get("reason", "malformed")))
            raise
        self.on_result(wanted.kind, "accepted")
        return found


def stored_document(entry: KvEntry, path: str) -> bytes:
    """Return the encoded document of a KV value ``{"document": base64}``.

    Raises:
        RejectedDocumentError: The value has another shape.
    """
    text = entry.value.get("document")
    if not isinstance(text, str):
        raise RejectedDocumentError("stored value has no field 'document' with text", path=path)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error, or a letter that is not ASCII
        raise RejectedDocumentError("stored document is not base64", path=path) from error

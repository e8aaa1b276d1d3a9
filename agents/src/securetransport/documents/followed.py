"""One document that a process follows: in force, and never lower than it was.

1. What is offered comes into force when every rule accepts it and it is newer than the one in
   force; what is refused is counted, logged once, and changes nothing.
2. Its version is on the disk before it takes effect, so a restart does not forget it. A document
   that is kept lies there too, so a restart does not need OpenBao.
3. A document that vanishes from where it was read changes nothing.
4. The deny list is the other way round: it takes effect at once, and a disk that does not take its
   version is told and tried again. Until then a restart may take an older one; a full disk must not
   keep a denial from coming into force.

Writing is short and rare (a document changes once per epoch), so it is done in the caller's turn:
whoever offers at the same time finds either the old document in force or the new one on the disk.
"""

from __future__ import annotations

import hashlib
from typing import Generic, TypeVar

from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.formats.body import Document, Version
from securetransport.core.trust.documents import Accepted, DocumentType
from securetransport.documents.gate import DocumentGate
from securetransport.runtime.logs import get_logger

D = TypeVar("D", bound=Document)


class FollowedDocument(Generic[D]):
    """One document.

    Args:
        gate: Judges what is offered.
        wanted: Its kind and body.
        audience: For whom it must be.
        is_kept: Whether its content is to be at hand after a restart.
        is_urgent: Whether it takes effect before its version is on the disk (rule 4).

    Attributes:
        current: The one in force; ``None`` before the first.
    """

    def __init__(
        self,
        gate: DocumentGate,
        wanted: DocumentType[D],
        audience: str,
        *,
        is_kept: bool = False,
        is_urgent: bool = False,
    ) -> None:
        self._gate = gate
        self._wanted = wanted
        self._audience = audience
        self._is_kept = is_kept
        self._is_urgent = is_urgent
        self._is_unwritten = False
        self._log = get_logger(kind=wanted.kind.value)
        self._seen = b""
        self._refused = ""
        self.current: Accepted[D] | None = None

    def restore(self) -> None:
        """Take up what an earlier run kept: its version always, its content if still valid."""
        try:
            data = self._gate.versions.kept(self._wanted.kind)
            if data is not None:
                self.current = self._judge(data)
                self._seen = data
        except RejectedDocumentError as error:
            self._log.warning("kept_document_not_usable", error=str(error))

    def offer(self, data: bytes, *, may_lag: bool = False) -> bool:
        """Take encoded bytes; returns whether something new came into force.

        Args:
            data: The signed document.
            may_lag: Where it was read only repeats what was told elsewhere, so an older version is
                no refusal.

        Raises:
            RejectedDocumentError: They are refused; the one in force stays.
            SecureTransportError: The disk did not take it; the one in force stays. Never for an
                urgent one.
        """
        if data == self._seen:
            return False
        try:
            found = self._judge(data)
        except RejectedDocumentError as error:
            if may_lag and error.fields.get("reason") == "rollback":
                return False
            self._note_refusal(data, error)
            raise
        held = self.current
        is_newer = held is None or found.version > held.version
        if self._is_urgent and is_newer:
            self.current = found
        if is_newer or self._is_unwritten:
            self._write(found.version, data)
        self.current = found if is_newer else held
        if not self._is_unwritten:
            self._seen = data
        self._refused = ""
        return is_newer

    def _write(self, version: Version, data: bytes) -> None:
        content = data if self._is_kept else None
        try:
            self._gate.versions.accept(self._wanted.kind, version, content)
            self._is_unwritten = False
        except SecureTransportError as error:
            if not self._is_urgent:
                raise
            if not self._is_unwritten:
                self._log.error("version_not_written", version=str(version), error=str(error))
            self._is_unwritten = True

    def _judge(self, data: bytes) -> Accepted[D]:
        newest = self._gate.versions.newest(self._wanted.kind)
        if self.current is not None and (newest is None or newest < self.current.version):
            newest = self.current.version  # in force, and not on the disk yet
        return self._gate.judge(data, self._wanted, self._audience, newest)

    def _note_refusal(self, data: bytes, error: RejectedDocumentError) -> None:
        digest = hashlib.sha256(data).hexdigest()
        if digest != self._refused:
            self._refused = digest
            self._log.error("document_refused", error=str(error))

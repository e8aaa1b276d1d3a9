"""Which signed document is accepted: one procedure for every kind of body.

Rules, in this order:

1. The bytes are a signed document of the kind asked for, from a signer who may make this kind, for
   the audience asked for, by a known key; the signature verifies; it is no rollback and not past
   its end (:func:`securetransport.core.formats.documents.verify_document`).
2. Its body is one of this kind: strict, no unknown field.
3. Its body keeps the rules of its kind: :attr:`DocumentType.check`.

A document in force that passes its end later stays in force, because what it holds carries its own
end; it is reported as stale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from pydantic import ValidationError

from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.formats.dead_letter import DeadLetter
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import Directory
from securetransport.core.formats.documents import PublicKeyLookup, decode, verify_document
from securetransport.core.formats.exchange import KeyRequest, SealedBundle
from securetransport.core.formats.server_report import ServerReport
from securetransport.core.formats.service_bundle import ServiceBundle

D = TypeVar("D", bound=Document)


def _no_more_rules(_body: Document, _audience: str) -> None:
    """Accept every body of the right shape."""


@dataclass(frozen=True, slots=True)
class DocumentType(Generic[D]):
    """A kind of document with its body.

    Attributes:
        kind: The kind that is signed.
        body: What its body is.
        check: Rule 3: raises ``RejectedDocumentError`` for a body that its audience must not use.
    """

    kind: DocumentKind
    body: type[D]
    check: Callable[[D, str], None] = _no_more_rules


@dataclass(frozen=True, slots=True)
class Accepted(Generic[D]):
    """A document that passed every rule.

    Attributes:
        body: What it says.
        version: Its version.
        not_after: When the document, not what it holds, ends.
    """

    body: D
    version: Version
    not_after: datetime

    def is_stale(self, at: datetime) -> bool:
        """Tell whether the authority should have sent a newer document by ``at``."""
        return at >= self.not_after


@dataclass(frozen=True, slots=True)
class Question:
    """By what a document is judged.

    Attributes:
        audience: For whom it must be.
        keys: The keys that may have signed it.
        at: Now.
        newest: Highest version ever accepted; an equal one is accepted again.
        skew: Accepted disagreement of clocks.
    """

    audience: str
    keys: PublicKeyLookup
    at: datetime
    newest: Version | None = None
    skew: timedelta = timedelta(0)


def accept(data: bytes, wanted: DocumentType[D], question: Question) -> Accepted[D]:
    """Return an encoded document that passes the rules above.

    Raises:
        RejectedDocumentError: A rule is broken; the field ``reason`` says which.
    """
    document = decode(data)
    text = verify_document(
        document,
        question.keys,
        kind=wanted.kind,
        audience=question.audience,
        at=question.at,
        newest=question.newest,
        skew=question.skew,
    )
    try:
        body = wanted.body.from_bytes(text)
    except ValidationError as error:
        raise RejectedDocumentError(
            "document has an invalid body",
            reason="malformed",
            kind=wanted.kind.value,
            problem=str(error),
        ) from error
    wanted.check(body, question.audience)
    return Accepted(body, document.version, document.not_after)


def _is_for_its_service(bundle: ServiceBundle, audience: str) -> None:
    if bundle.service != audience:
        raise RejectedDocumentError(
            "bundle is for another service", reason="audience", service=bundle.service
        )


BROKER_POLICY: Final = DocumentType(DocumentKind.BROKER_POLICY, BrokerPolicy)
DIRECTORY: Final = DocumentType(DocumentKind.DIRECTORY, Directory)
DENY_LIST: Final = DocumentType(DocumentKind.DENY_LIST, DenyList)
SERVICE_BUNDLE: Final = DocumentType(
    DocumentKind.SERVICE_BUNDLE, ServiceBundle, _is_for_its_service
)
SEALED_BUNDLE: Final = DocumentType(DocumentKind.SEALED_BUNDLE, SealedBundle)
KEY_REQUEST: Final = DocumentType(DocumentKind.KEY_REQUEST, KeyRequest)
ATTESTATION: Final = DocumentType(DocumentKind.ATTESTATION, Attestation)
DEAD_LETTER: Final = DocumentType(DocumentKind.DEAD_LETTER, DeadLetter)
SERVER_REPORT: Final = DocumentType(DocumentKind.SERVER_REPORT, ServerReport)

AcceptedPolicy = Accepted[BrokerPolicy]

"""The authority's documents that a keeper follows, and the highest version of each ever accepted.

Rules:

1. A document is accepted by :mod:`securetransport.core.trust.bundle` (trust bundle) or by the same
   checks of signature, kind, audience, version and time (broker policy); what is refused is
   counted and the one in force stays.
2. What was accepted is kept on disk before it is used, so a restart neither forgets the highest
   version nor needs OpenBao.
3. A document that vanishes from OpenBao changes nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.formats.documents import (
    EVERYBODY,
    PublicKeyLookup,
    decode,
    verify_document,
)
from securetransport.core.ports import Files
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.runtime.logs import get_logger

_FIELD = "document"


@dataclass(frozen=True, slots=True)
class AcceptedPolicy:
    """A BrokerPolicy that passed every rule.

    Attributes:
        policy: Its body.
        version: Its version.
        not_after: When the document expires.
    """

    policy: BrokerPolicy
    version: Version
    not_after: datetime

    def is_stale(self, at: datetime) -> bool:
        """Tell whether the authority should have sent a newer document by ``at``."""
        return at >= self.not_after


def accept_policy(
    data: bytes,
    keys: PublicKeyLookup,
    *,
    at: datetime,
    newest: Version | None,
    skew: timedelta = timedelta(0),
) -> AcceptedPolicy:
    """Check an encoded BrokerPolicy document; arguments as of ``accept_trust``.

    Raises:
        RejectedDocumentError: A rule is broken; the message says which.
    """
    document = decode(data)
    body = verify_document(
        document,
        keys,
        kind=DocumentKind.BROKER_POLICY,
        audience=EVERYBODY,
        at=at,
        newest=newest,
        skew=skew,
    )
    try:
        policy = BrokerPolicy.from_bytes(body)
    except ValidationError as err:
        raise RejectedDocumentError("broker policy has an invalid body", problem=str(err)) from err
    return AcceptedPolicy(policy, document.version, document.not_after)


class Accepted(Protocol):
    """What every accepted document has."""

    @property
    def version(self) -> Version:
        """Its version."""
        ...

    def is_stale(self, at: datetime) -> bool:
        """Tell whether a newer one is overdue."""
        ...


T = TypeVar("T", bound=Accepted)
Accept = Callable[[bytes, datetime, Version | None], T]
"""Checks encoded bytes at an instant against the highest version; raises RejectedDocumentError."""


class KeptDocument(Generic[T]):
    """One document: in force, on disk, and never lower than it was.

    Attributes:
        current: The one in force; ``None`` before the first.
    """

    def __init__(
        self,
        kind: DocumentKind,
        path: Path,
        files: Files,
        accept: Accept[T],
        telemetry: KeeperTelemetry,
    ) -> None:
        self._kind = kind
        self._path = path
        self._files = files
        self._accept = accept
        self._telemetry = telemetry
        self._log = get_logger(kind=kind.value)
        self._bytes = b""
        self._refused = b""
        self._newest: Version | None = None
        self.current: T | None = None

    def restore(self, at: datetime) -> None:
        """Take up what an earlier run kept: its version always, its content if still valid."""
        data = self._files.read(self._path)
        if data is None:
            return
        try:
            self._newest = decode(data).version
            self.current = self._accept(data, at, self._newest)
            self._bytes = data
        except RejectedDocumentError as err:
            self._log.warning("kept_document_not_usable", error=str(err))

    def offer(self, value: object, at: datetime) -> bool:
        """Take a value from OpenBao; returns whether something new came into force.

        A refused one is logged once, not in every round.

        Args:
            value: The KV entry's data, ``None`` when there is none.
            at: Now.
        """
        if value is None:
            return False
        try:
            data = _bytes_of(value)
            if data == self._bytes:
                return False
            accepted = self._accept(data, at, self._newest)
        except RejectedDocumentError as err:
            self._refuse(value, err)
            return False
        self._files.write(self._path, data)
        self._bytes, self._newest, self.current = data, accepted.version, accepted
        self._refused = b""
        self._log.info("document_accepted", version=str(accepted.version))
        return True

    def _refuse(self, value: object, err: RejectedDocumentError) -> None:
        self._telemetry.documents_refused.labels(self._kind.value).inc()
        seen = repr(value).encode()
        if seen != self._refused:
            self._refused = seen
            self._log.error("document_refused", error=str(err), newest=str(self._newest))


def _bytes_of(value: object) -> bytes:
    text = value.get(_FIELD) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise RejectedDocumentError(f"value in OpenBao has no field {_FIELD!r} with text")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as err:  # binascii.Error, or a letter that is not ASCII
        raise RejectedDocumentError(f"field {_FIELD!r} in OpenBao is not base64") from err

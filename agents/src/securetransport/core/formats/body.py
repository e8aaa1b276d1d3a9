"""What every document's body is: strict JSON, immutable, with a version and a kind.

Bodies of the authority's signed documents are strict JSON (unknown fields are refused), so that a
person can read them with ``bao kv get``; :mod:`securetransport.core.formats.documents` wraps them
in a signed envelope. Business messages are Avro: :mod:`securetransport.core.formats.envelope`.
There is one module per document: what each field means stands there, how it travels does not.
"""

from __future__ import annotations

import base64
from enum import StrEnum
from functools import total_ordering
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from securetransport.core.base.epochs import MAX_EPOCH, EpochNumber


def _to_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    raise ValueError("expected base64 text")


Epoch = Annotated[EpochNumber, Field(ge=0, le=MAX_EPOCH)]
"""An epoch in a document: one that cannot exist is refused with the document."""

Base64Bytes = Annotated[
    bytes,
    PlainValidator(_to_bytes),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]
"""Bytes in memory, standard base64 in JSON."""


class Document(BaseModel):
    """Base of every body: immutable, and an unknown field is an error.

    A field may have another name on the wire (its alias) than in code: bytes that are signed and
    stored keep the name they had when the format was fixed.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True
    )

    def to_bytes(self) -> bytes:
        """Return the body as UTF-8 JSON; these bytes are what gets signed."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse a body.

        Raises:
            ValueError: Not JSON of this document (pydantic's ``ValidationError`` is one).
        """
        return cls.model_validate_json(data)


class DocumentKind(StrEnum):
    """Kinds of signed documents; the kind is part of what is signed, so none passes as another."""

    TRUST_BUNDLE = "trust-bundle"
    BROKER_POLICY = "broker-policy"
    SERVICE_BUNDLE = "service-bundle"
    DIRECTORY = "directory"
    DENY_LIST = "deny-list"
    ACL = "acl"
    ATTESTATION = "attestation"
    SERVER_REPORT = "server-report"
    KEY_REQUEST = "key-request"
    SEALED_BUNDLE = "sealed-bundle"


@total_ordering
class Version(Document):
    """Version of a document: compared by incarnation, then by counter.

    Attributes:
        incarnation: Rises only after a restore from a snapshot.
        counter: Rises with every new document of its kind.
    """

    incarnation: int = 0
    counter: int = 0

    def __lt__(self, other: Version) -> bool:
        """Order by incarnation, then counter."""
        return (self.incarnation, self.counter) < (other.incarnation, other.counter)

    def next(self) -> Version:
        """Return the following version of the same incarnation."""
        return Version(incarnation=self.incarnation, counter=self.counter + 1)

    def __str__(self) -> str:
        """Return ``incarnation.counter``."""
        return f"{self.incarnation}.{self.counter}"

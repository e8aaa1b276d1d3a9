"""What every document's body is: strict JSON, immutable, with a version and a kind.

Bodies of the authority's signed documents are strict JSON (unknown fields are refused), so that a
person can read them with ``bao kv get``; :mod:`securetransport.core.formats.documents` wraps them
in a signed envelope. Business messages are Avro: :mod:`securetransport.core.formats.envelope`.
There is one module per document: what each field means stands there, how it travels does not.

Whoever may write a document may write anything into it, so every field has a type with bounds:
texts, numbers, instants, bytes and lists alike, and none takes a value of another kind for its own
(``true`` for 1, 1.0 for 1, a number for an instant). What is beyond is refused with the document,
and the refusal names the field.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import total_ordering
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
)

from securetransport.core.base.epochs import MAX_EPOCH, EpochNumber
from securetransport.core.base.names import (
    Fingerprint,
    InstanceId,
    ServiceId,
    parse_replica,
    parse_service,
)

_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_MOST_BYTES: Final = 1024 * 1024
_LONGEST_PROBLEM: Final = 200
_LONGEST_PLACE: Final = 80

Epoch = Annotated[EpochNumber, Field(strict=True, ge=0, le=MAX_EPOCH)]
"""An epoch in a document: one that cannot exist is refused with the document."""

Counter = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
"""A number that counts something, or orders it."""

Flag = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``."""

Text = Annotated[
    str, StringConstraints(strict=True, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")
]
"""A name or a word: one line, no control characters, at most 256 characters."""


Sha256 = Annotated[Fingerprint, StringConstraints(strict=True, pattern=r"^[!-~]*$", max_length=128)]
"""What stands for a SHA-256; it is compared with one, so more than its size needs no check."""


def _checked_instance(text: str) -> str:
    service, _, replica = text.partition("/")
    parse_service(service)
    parse_replica(replica)
    return text


Instance = Annotated[InstanceId, Field(strict=True), AfterValidator(_checked_instance)]
"""``<service>/<instance>``."""

Service = Annotated[ServiceId, Field(strict=True), AfterValidator(parse_service)]
"""The name of a service."""


def _written_instant(value: object) -> object:
    if isinstance(value, str | datetime):
        return value
    raise ValueError("an instant is text such as 2026-01-31T12:00:00Z")


def _of_our_time(at: datetime) -> datetime:
    if not _EARLIEST <= at < _LATEST:
        raise ValueError("an instant lies between the years 1900 and 2200")
    return at


Instant = Annotated[AwareDatetime, BeforeValidator(_written_instant), AfterValidator(_of_our_time)]
"""An instant with its zone, within three centuries: sums with durations cannot overflow."""


def _bytes_up_to(most: int) -> Callable[[object], bytes]:
    longest = 4 * -(-most // 3)

    def to_bytes(value: object) -> bytes:
        is_short = isinstance(value, str | bytes) and len(value) <= longest
        data = (
            base64.b64decode(value, validate=True) if isinstance(value, str) and is_short else value
        )
        if isinstance(data, bytes) and len(data) <= most:
            return data
        raise ValueError(f"expected base64 text of at most {most} bytes")

    return to_bytes


Base64Bytes = Annotated[
    bytes,
    PlainValidator(_bytes_up_to(_MOST_BYTES)),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]
"""Bytes in memory, standard base64 in JSON; no more than the bus carries."""

ShortBytes = Annotated[
    bytes,
    PlainValidator(_bytes_up_to(16 * 1024)),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]
"""A key, a hash, a nonce, a signature or a certificate: at most 16 KiB."""


def problem_of(error: ValueError) -> str:
    """Return which field of a document is wrong and why, in one short line without its value."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())[:_LONGEST_PROBLEM]
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:_LONGEST_PLACE]
    text = f"{place or 'the body'}: {first['msg']}"
    more = error.error_count() - 1
    text = f"{text} (and {more} more)" if more else text
    return text.encode("ascii", "backslashreplace").decode("ascii")[:_LONGEST_PROBLEM]


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
    DEAD_LETTER = "dead-letter"


@total_ordering
class Version(Document):
    """Version of a document: compared by incarnation, then by counter.

    Attributes:
        incarnation: Rises only after a restore from a snapshot.
        counter: Rises with every new document of its kind.
    """

    incarnation: Counter = 0
    counter: Counter = 0

    def __lt__(self, other: Version) -> bool:
        """Order by incarnation, then counter."""
        return (self.incarnation, self.counter) < (other.incarnation, other.counter)

    def next(self) -> Version:
        """Return the following version of the same incarnation."""
        return Version(incarnation=self.incarnation, counter=self.counter + 1)

    def __str__(self) -> str:
        """Return ``incarnation.counter``."""
        return f"{self.incarnation}.{self.counter}"

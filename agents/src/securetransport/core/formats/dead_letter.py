"""Dead letters: the headers that a parked message has, and the statement that vouches for them.

The bytes of a parked message are those that its producer signed. The headers say what became of
them, for people and tools; the statement says the same for the receivers of a replay, signed by the
instance that parked it.

Layout: docs/wire-format.md, "Dead letters".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, Field

from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.formats.body import Document

REASON: Final = "St-Reason"
CODE: Final = "St-Code"
SIGNER: Final = "St-Signer"
SUBJECT: Final = "St-Subject"
MESSAGE_ID: Final = "St-Message-Id"
STREAM: Final = "St-Stream"
DURABLE: Final = "St-Durable"
SEQUENCE: Final = "St-Sequence"
STORED_AT: Final = "St-Stored-At"
DELIVERIES: Final = "St-Deliveries"
STATEMENT: Final = "St-Statement"
"""Base64 of a SignedDocument of kind ``dead-letter``."""

PARKING_ROOM_BYTES: Final = 8192
"""What a message must leave free of a server's ``max_payload``, so that it can be parked and given
out again: every header above at its longest, the statement among them, is below it."""

LONGEST_STATEMENT: Final = 6500
"""Characters of the longest statement, so that it fits that room."""

SMALL_LETTER_BYTES: Final = 32 * 1024
"""Largest dead letter, headers included, that lies among the small ones."""


def is_large(message_bytes: int) -> bool:
    """Tell whether a parked message lies among the large ones."""
    return message_bytes + PARKING_ROOM_BYTES > SMALL_LETTER_BYTES


class DeadLetter(Document):
    """What an instance states of a message that it parked.

    Attributes:
        digest: SHA-256 of the message's bytes, hex.
        stream: Where it was stored.
        durable: By which durable it was read.
        subject: On which subject it was published.
        message_id: Its ``Nats-Msg-Id``; empty when it had none.
        sequence: Its number in the stream.
        stored_at: When the stream stored it, by the broker's clock.
        code: Why it was parked.
    """

    digest: str = Field(pattern=r"[0-9a-f]{64}", max_length=64)
    stream: str
    durable: str
    subject: str
    message_id: str
    sequence: int
    stored_at: AwareDatetime
    code: str


@dataclass(frozen=True, slots=True)
class LetterHeaders:
    """The headers of a parked message; nothing of it is verified.

    Attributes:
        reason: Family of the code; few fixed words.
        code: Why it was parked.
        signer: The service that signed it, or the account it was put to.
        subject: On which subject it was published.
        message_id: Its ``Nats-Msg-Id``; empty when it had none.
        stream: Where it was stored.
        durable: By which durable it was read.
        sequence: Its number in the stream.
        stored_at: When the stream stored it.
        deliveries: How often it was delivered.
        statement: Base64 of the signed statement.
    """

    reason: str
    code: str
    signer: str
    subject: str
    message_id: str
    stream: str
    durable: str
    sequence: int
    stored_at: datetime
    deliveries: int
    statement: str

    @property
    def own_id(self) -> str:
        """The ``Nats-Msg-Id`` of the dead letter: parking twice stores once."""
        return f"dlq-{self.stream}-{self.durable}-{self.sequence}"

    def to_headers(self) -> dict[str, str]:
        """Return the headers to publish, without the dead letter's own id."""
        return {
            REASON: self.reason,
            CODE: self.code,
            SIGNER: self.signer,
            SUBJECT: self.subject,
            MESSAGE_ID: self.message_id,
            STREAM: self.stream,
            DURABLE: self.durable,
            SEQUENCE: str(self.sequence),
            STORED_AT: self.stored_at.isoformat(),
            DELIVERIES: str(self.deliveries),
            STATEMENT: self.statement,
        }


def read_headers(headers: Mapping[str, str]) -> LetterHeaders:
    """Return the headers of a parked message; what is missing is empty.

    Raises:
        MalformedMessageError: A number or the instant cannot be read.
    """

    def text(name: str) -> str:
        return headers.get(name, "")

    try:
        stored_at = datetime.fromisoformat(text(STORED_AT))
        sequence, deliveries = int(text(SEQUENCE)), int(text(DELIVERIES))
    except ValueError as error:
        raise MalformedMessageError("no headers of a dead letter", problem=str(error)) from error
    return LetterHeaders(
        reason=text(REASON),
        code=text(CODE) or text(REASON),
        signer=text(SIGNER),
        subject=text(SUBJECT),
        message_id=text(MESSAGE_ID),
        stream=text(STREAM),
        durable=text(DURABLE),
        sequence=sequence,
        stored_at=stored_at,
        deliveries=deliveries,
        statement=text(STATEMENT),
    )

"""What the two say to each other: strict JSON; the header names type and version."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeVar

from pydantic import ValidationError

from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.formats.body import Document
from securetransport.core.trust.opening import OpenedMessage, Refusal

TOPIC_REQUESTS: Final = "auth.requests"
TOPIC_RESPONSES: Final = "gatekeeper.responses"
TYPE_REQUEST: Final = "auth.request"
TYPE_RESPONSE: Final = "auth.response"

D = TypeVar("D", bound=Document)


class RequestKind(StrEnum):
    """What a user presents."""

    OTP = "otp"
    PASSWORD = "password"  # noqa: S105  # the name of a kind, not a secret
    DEVICE = "device"


class Outcome(StrEnum):
    """What the controller decides."""

    ALLOWED = "allowed"
    DENIED = "denied"


class AuthRequest(Document):
    """May this user in?

    Attributes:
        kind: What the user presents.
        user: Who.
        evidence: What was presented; an invented code here.
    """

    kind: RequestKind
    user: str
    evidence: str


class AuthResponse(Document):
    """The decision on one request.

    Attributes:
        request_id: Message id of the request.
        outcome: The decision.
        reason: Why, a fixed word.
    """

    request_id: str
    outcome: Outcome
    reason: str


def read_payload(message: OpenedMessage, type_name: str, body: type[D]) -> D:
    """Return the payload of an accepted message.

    Raises:
        MalformedMessageError: Another type or version, or not that type's fields.
    """
    header = message.header
    if (header.type, header.schema) != (type_name, f"{type_name}/1"):
        raise MalformedMessageError(
            "payload schema is not accepted", code=Refusal.SCHEMA.value, schema=header.schema
        )
    try:
        return body.from_bytes(message.payload)
    except ValidationError as error:
        raise MalformedMessageError(
            "payload has other fields than its schema", code=Refusal.SCHEMA.value
        ) from error

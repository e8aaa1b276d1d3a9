"""A message before it is sealed: whether it can be one, and whether it is small enough."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Final

from securetransport.core.base.epochs import MAX_EPOCH, UNIX_START, EpochNumber
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import InstanceId, KeyId, Topic, parse_topic, service_of
from securetransport.core.formats.envelope import MessageHeader
from securetransport.core.formats.envelope.size import largest_sealed, sealed_at_most

# With its version behind it, it must fit a header.
_TYPE: Final = re.compile(r"[A-Za-z0-9._/:-]{1,90}")
_MAX_SCHEMA_VERSION: Final = 999_999
# Far more than header, signature and path of a batch take.
_CLEARLY_FITS_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent.

    Attributes:
        topic: Where.
        payload: What; encrypted.
        type: What the payload is; also its schema name.
        message_id: UUID 7, or derived.
        schema_version: Version of the payload's schema.
    """

    topic: Topic
    payload: bytes
    type: str
    message_id: str
    schema_version: int = 1

    @property
    def schema(self) -> str:
        """Name and version of the payload's schema."""
        return f"{self.type}/{self.schema_version}"


def problem_of(message: Outgoing) -> str | None:
    """Return what keeps this from being a message, ``None`` when nothing does.

    Its fields come from a service's code and may be of any type.
    """
    payload: object = message.payload
    kind: object = message.type
    version: object = message.schema_version
    if not isinstance(payload, bytes):
        return "payload is not bytes"
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        return "type is not 1 to 90 letters, digits and . _ / : -"
    is_number = isinstance(version, int) and not isinstance(version, bool)
    if not is_number or not 1 <= message.schema_version <= _MAX_SCHEMA_VERSION:
        return f"schema_version is not a number from 1 to {_MAX_SCHEMA_VERSION}"
    try:
        parse_topic(str(message.topic))
        uuid.UUID(str(message.message_id))
    except ValueError as error:
        return f"topic or message_id: {error}"
    return None


def check_size(
    message: Outgoing, instance: InstanceId, *, max_payload_bytes: int, largest_batch: int
) -> None:
    """Refuse a message that could not be delivered and parked.

    A server answers one that is too large by closing the connection, with everything else on it.

    Args:
        message: What is to be sent.
        instance: By whom.
        max_payload_bytes: Most bytes of body and headers that the server takes.
        largest_batch: Messages that may share its signature.

    Raises:
        SecureTransportError: It is too large; the fields have the numbers.
    """
    limit = largest_sealed(max_payload_bytes)
    payload_bytes = len(message.payload)
    if payload_bytes <= limit - _CLEARLY_FITS_BYTES:
        return
    sealed = sealed_at_most(payload_bytes, _longest_header(message, instance), largest_batch)
    if sealed > limit:
        raise SecureTransportError(
            "message is too large",
            topic=message.topic,
            payload_bytes=payload_bytes,
            largest_payload_bytes=payload_bytes - (sealed - limit),
            sealed_bytes=sealed,
            largest_sealed_bytes=limit,
            server_max_payload_bytes=max_payload_bytes,
        )


def _longest_header(message: Outgoing, instance: InstanceId) -> MessageHeader:
    """Return a header that is as long as the message's can become."""
    return MessageHeader(
        message_id=message.message_id,
        type=message.type,
        schema=message.schema,
        topic=message.topic,
        signer=service_of(instance),
        instance=instance,
        key_id=KeyId("0" * 32),
        boot_id="0" * 32,
        sequence=0,
        key_epoch=EpochNumber(MAX_EPOCH),
        generation=0,
        ca_epoch=EpochNumber(MAX_EPOCH),
        policy_digest="0" * 64,
        sent_at=UNIX_START.replace(year=9000),
    )

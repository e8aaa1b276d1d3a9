"""The header of a message: what it says of itself, signed and readable by everybody.

Layout and field rules: docs/wire-format.md, "Message".
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from securetransport.core.base import codec
from securetransport.core.base.entropy import Entropy
from securetransport.core.base.epochs import MAX_EPOCH, UNIX_START, EpochNumber
from securetransport.core.base.names import (
    InstanceId,
    KeyId,
    ServiceId,
    Topic,
    instance_id,
    parse_service,
    parse_topic,
)
from securetransport.core.base.pae import pae
from securetransport.core.formats.envelope.suites import SUITE_DEFAULT

DERIVED_ID_PAE_TYPE: Final = "securetransport/derived-id/v1"
SALT_BYTES: Final = 32
_MAX_LONG: Final = 2**63 - 1
_TOKEN: Final = re.compile(r"[A-Za-z0-9._/:-]{1,100}")
_MILLISECOND: Final = timedelta(milliseconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_ID_VERSIONS: Final = frozenset({7, 8})  # time-ordered; derived from another id


@dataclass(frozen=True, slots=True)
class MessageHeader:
    """What a message says of itself.

    Attributes:
        message_id: UUID version 7 as text, or 8 when derived; also the ``Nats-Msg-Id``.
        type: What the payload is, for example ``auth.request``.
        schema: Schema of the payload with its version, for example ``auth.request/1``.
        topic: Topic, equal to the NATS subject.
        signer: Service that signs.
        instance: Its replica, ``<signer>/<replica>``.
        key_id: Its signing key.
        boot_id: 32 hex digits, random per process.
        sequence: Counts the messages of one boot id.
        key_epoch: Epoch of the topic key.
        generation: Generation of the topic key.
        ca_epoch: CA epoch of the sender's leaf; for audit, not judged.
        policy_digest: Digest of the topic's rule, 64 hex digits.
        sent_at: When it was sealed, by the sender's clock.
        suite: Number of the suite.
        salt: Drawn by ``seal``; empty before.
    """

    message_id: str
    type: str
    schema: str
    topic: Topic
    signer: ServiceId
    instance: InstanceId
    key_id: KeyId
    boot_id: str
    sequence: int
    key_epoch: EpochNumber
    generation: int
    ca_epoch: EpochNumber
    policy_digest: str
    sent_at: datetime
    suite: int = SUITE_DEFAULT
    salt: bytes = b""


def new_message_id(at: datetime, entropy: Entropy) -> str:
    """Return a fresh UUID version 7: milliseconds of ``at``, then 74 random bits.

    Its time only sorts; receivers judge ``sent_at``.
    """
    milliseconds = (at - UNIX_START) // _MILLISECOND
    return _as_uuid(milliseconds.to_bytes(6, "big") + entropy(10), 7)


def derive_message_id(parent: str, topic: Topic, index: int = 0) -> str:
    """Return the id of a message that a handler publishes because of another one.

    The same call gives the same id, so a handler that runs twice publishes once.

    Args:
        parent: Id of the message that is handled.
        topic: Where the new message goes.
        index: Which one of several on this topic.

    Raises:
        ValueError: ``parent`` is not a UUID, or ``index`` is negative.
    """
    if index < 0:
        raise ValueError(f"index {index} is negative")
    parts = (uuid.UUID(parent).bytes, topic.encode(), index.to_bytes(8, "little"))
    return _as_uuid(sha256(pae(DERIVED_ID_PAE_TYPE, *parts)).digest()[:16], 8)


def _as_uuid(data: bytes, version: int) -> str:
    number = int.from_bytes(data, "big")
    number = number & ~(0xF << 76) | version << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=number))


def encode_header(header: MessageHeader) -> bytes:
    """Return the framed header; these bytes are hashed, authenticated and signed.

    Raises:
        ValueError: A field breaks its rule; receivers would refuse it.
    """
    problem = field_problem(header)
    if problem:
        raise ValueError(problem)
    return codec.encode(
        "header",
        {
            "message_id": uuid.UUID(header.message_id).bytes,
            "type": header.type,
            "schema": header.schema,
            "topic": header.topic,
            "signer": header.signer,
            "instance": header.instance,
            "key_id": bytes.fromhex(header.key_id),
            "boot_id": bytes.fromhex(header.boot_id),
            "sequence": header.sequence,
            "key_epoch": header.key_epoch,
            "generation": header.generation,
            "ca_epoch": header.ca_epoch,
            "policy_digest": bytes.fromhex(header.policy_digest),
            "sent_at": (header.sent_at - UNIX_START) // _MICROSECOND,
            "suite": header.suite,
            "salt": header.salt,
        },
    )


def decode_header(data: bytes) -> MessageHeader:
    """Return the header in ``data``, its field rules checked, nothing verified.

    Raises:
        MalformedMessageError: Not a header.
        ValueError: A field breaks its rule; the text names it.
    """
    record = codec.decode("header", data)
    try:
        sent_at = UNIX_START + record["sent_at"] * _MICROSECOND
    except OverflowError as err:
        raise ValueError("sent_at is an impossible date") from err
    header = MessageHeader(
        message_id=str(uuid.UUID(bytes=record["message_id"])),
        type=record["type"],
        schema=record["schema"],
        topic=Topic(record["topic"]),
        signer=ServiceId(record["signer"]),
        instance=InstanceId(record["instance"]),
        key_id=KeyId(record["key_id"].hex()),
        boot_id=record["boot_id"].hex(),
        sequence=record["sequence"],
        key_epoch=EpochNumber(record["key_epoch"]),
        generation=record["generation"],
        ca_epoch=EpochNumber(record["ca_epoch"]),
        policy_digest=record["policy_digest"].hex(),
        sent_at=sent_at,
        suite=record["suite"],
        salt=record["salt"],
    )
    problem = field_problem(header)
    if problem:
        raise ValueError(problem)
    return header


def field_problem(header: MessageHeader) -> str | None:
    """Return which field rule a header breaks, ``None`` when it breaks none."""
    identity = uuid.UUID(header.message_id)
    if identity.version not in _ID_VERSIONS or str(identity) != header.message_id:
        return "message_id is not a lower-case uuid of version 7 or 8"
    for name in ("type", "schema"):
        if not _TOKEN.fullmatch(getattr(header, name)):
            return f"{name} is not 1 to 100 letters, digits and . _ / : -"
    bounds = (("sequence", _MAX_LONG), ("generation", _MAX_LONG))
    for name, most in (*bounds, ("key_epoch", MAX_EPOCH), ("ca_epoch", MAX_EPOCH)):
        if not 0 <= getattr(header, name) <= most:
            return f"{name} is out of range"
    if header.sent_at.tzinfo is None:
        return "sent_at has no time zone"
    return _name_problem(header)


def _name_problem(header: MessageHeader) -> str | None:
    service, _, replica = header.instance.partition("/")
    try:
        parse_topic(header.topic)
        instance_id(parse_service(service), replica)
    except ValueError as err:
        return str(err)
    return None if service == header.signer else "instance is not one of the signer"

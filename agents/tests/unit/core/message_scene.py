"""A sender, a receiver and a message between them, each part of which a test may spoil."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from securetransport.core.base import codec
from securetransport.core.base.epochs import EpochNumber, EpochSchedule
from securetransport.core.base.names import InstanceId, ServiceId, Topic
from securetransport.core.crypto import signing
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.envelope import MessageHeader, new_message_id, seal
from securetransport.core.formats.envelope.sealing import signed_bytes
from securetransport.core.formats.service_bundle import TopicKey, TopicRule
from securetransport.core.trust.keyring import TopicKeyring, VerifyKeyring
from securetransport.core.trust.opening import Acceptance, OpenedMessage, Received, open_message

NOW: Final = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
SCHEDULE: Final = EpochSchedule(timedelta(minutes=15), timedelta(hours=1))
EPOCH: Final = SCHEDULE.number_at(NOW)
OLD_EPOCH: Final = EpochNumber(EPOCH - 10)
SKEW: Final = timedelta(seconds=5)
RETRY: Final = timedelta(seconds=20)
TOPIC: Final = Topic("auth.requests")
SENDER: Final = ServiceId("gatekeeper")
INSTANCE: Final = InstanceId("gatekeeper/1")
DIGEST: Final = "ab" * 32
PAYLOAD: Final = b"may alice enter?"

# Making ML-DSA keys costs little, but the tests need only these few.
KEY: Final = signing.generate_signing_key()
OTHER_KEY: Final = signing.generate_signing_key()

Record = dict[str, Any]


def fresh_id() -> str:
    """Return an id for a message of now."""
    return new_message_id(NOW, os.urandom)


def topic_key(
    epoch: EpochNumber = EPOCH, generation: int = 0, *, topic: Topic = TOPIC, fill: int = 7
) -> TopicKey:
    secret = bytes((fill,)) * 32
    return TopicKey(topic=topic, epoch=epoch, generation=generation, secret=secret)


def verify_key(
    key: signing.SigningKey = KEY,
    *,
    epoch: EpochNumber = EPOCH,
    service: ServiceId = SENDER,
    instance: InstanceId = INSTANCE,
) -> VerifyKey:
    return VerifyKey(
        key_id=key.key_id,
        service=service,
        instance=instance,
        epoch=epoch,
        algorithm=key.algorithm,
        public_key=key.public_key,
        created_at=NOW,
    )


def verify_ring(*keys: VerifyKey) -> VerifyKeyring:
    ring = VerifyKeyring()
    for key in keys:
        ring.add(key)
    return ring


def topic_ring(*keys: TopicKey) -> TopicKeyring:
    ring = TopicKeyring(SCHEDULE)
    ring.replace(keys)
    return ring


def header(**changes: Any) -> MessageHeader:
    plain = MessageHeader(
        message_id=fresh_id(),
        type="auth.request",
        schema="auth.request/1",
        topic=TOPIC,
        signer=SENDER,
        instance=INSTANCE,
        key_id=KEY.key_id,
        boot_id="0123456789abcdef" * 2,
        sequence=4,
        key_epoch=EPOCH,
        generation=0,
        ca_epoch=EpochNumber(77),
        policy_digest=DIGEST,
        sent_at=NOW,
    )
    return replace(plain, **changes)


def acceptance(**changes: Any) -> Acceptance:
    rule = TopicRule(
        topic=TOPIC,
        stream="AUTH_STREAM",
        producers=(SENDER,),
        consumers={ServiceId("auth-controller"): "auth-controller"},
        digest=DIGEST,
    )
    plain = Acceptance(
        verify_keys=verify_ring(verify_key()),
        topic_keys=topic_ring(topic_key(), topic_key(OLD_EPOCH)),
        rules={TOPIC: rule},
        accepted_policy_digests={TOPIC: (DIGEST,)},
        deny=DenyList(),
        schedule=SCHEDULE,
        skew=SKEW,
        retry_limit=RETRY,
    )
    return replace(plain, **changes)


def received(data: bytes, message_id: str | None) -> Received:
    return Received(subject=TOPIC, message_id=message_id, broker_time=NOW, data=data)


def resign(record: Record, key: signing.SigningKey = KEY) -> None:
    """Sign a changed record as a dishonest sender would."""
    record["signature"] = key.sign(
        signed_bytes(record["header"], record["commitment"], record["ciphertext"])
    )


def flip(data: bytes, position: int = 0) -> bytes:
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


@dataclass
class Scene:
    """What a test spoils before the message is opened."""

    header: dict[str, Any] = field(default_factory=dict)
    acceptance: dict[str, Any] = field(default_factory=dict)
    received: dict[str, Any] = field(default_factory=dict)
    record: list[Callable[[Record], None]] = field(default_factory=list)
    prefix: bytes = b""
    suffix: bytes = b""

    def data(self) -> bytes:
        """Return the bytes that are received."""
        return self._made()[0]

    def open(self) -> OpenedMessage:
        data, message_id = self._made()
        return open_message(
            replace(received(data, message_id), **self.received),
            acceptance(**self.acceptance),
        )

    def _made(self) -> tuple[bytes, str]:
        sent = header(**self.header)
        key = topic_key(sent.key_epoch, sent.generation)
        record = codec.decode("message", seal(PAYLOAD, sent, key, KEY, os.urandom))
        for change in self.record:
            change(record)
        data = codec.encode("message", record) + self.suffix
        return self.prefix + data[len(self.prefix) :], sent.message_id

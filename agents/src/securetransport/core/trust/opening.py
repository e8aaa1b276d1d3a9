"""Opening: which messages a receiver accepts.

The order of the checks is the rule list of docs/wire-format.md, "Receiver"; the comments name its
numbers. The first check that fails refuses the message with an error of the
``RejectedMessageError`` family whose field ``code`` is a :class:`Refusal`. What a header says is
believed only after check 16; the checks before it are cheap and only ever refuse.

Who is answerable for a message that was refused before that says :func:`signer_of`: whoever signed
it with a key of the Directory, whatever else is wrong with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from securetransport.core.base import codec, merkle
from securetransport.core.base.epochs import EpochNumber, EpochSchedule
from securetransport.core.base.errors import (
    DecryptionError,
    EpochOutOfWindowError,
    MalformedMessageError,
    NotPermittedError,
    RejectedMessageError,
    ReplayError,
    SignatureError,
    UnknownKeyError,
)
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.crypto import aead, signing
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.envelope.header import MessageHeader, decode_header
from securetransport.core.formats.envelope.sealing import (
    MAX_BATCH,
    batch_root_bytes,
    derive_keys,
    signed_bytes,
)
from securetransport.core.formats.envelope.size import MAX_MESSAGE_BYTES
from securetransport.core.formats.envelope.suites import SUITE_DEFAULT, SUITES
from securetransport.core.formats.service_bundle import TopicKey, TopicRule
from securetransport.core.trust.keyring import TopicKeyring, VerifyKeyring

# One entry holds about 6 kB; a consumer sees few batches at a time.
_VERIFIED_ROOTS: Final = 256


class Refusal(StrEnum):
    """Which check refused a message."""

    SIZE = "size"
    VERSION = "version"
    PARSE = "parse"
    SUITE = "suite"
    STATEMENT = "statement"
    MESSAGE_ID = "message_id"
    SUBJECT = "subject"
    FRESHNESS = "freshness"
    EPOCH = "epoch"
    POLICY = "policy"
    PRODUCER = "producer"
    DENIED = "denied"
    VERIFY_KEY = "verify_key"
    KEY_OWNER = "key_owner"
    KEY_EPOCH = "key_epoch"
    SIGNATURE = "signature"
    TOPIC_KEY = "topic_key"
    COMMITMENT = "commitment"
    DECRYPT = "decrypt"
    SCHEMA = "schema"
    STATEMENT_KEY = "statement_key"


_ERRORS: Final[dict[Refusal, type[RejectedMessageError]]] = {
    Refusal.SIZE: MalformedMessageError,
    Refusal.VERSION: MalformedMessageError,
    Refusal.PARSE: MalformedMessageError,
    Refusal.SUITE: MalformedMessageError,
    Refusal.STATEMENT: ReplayError,
    Refusal.MESSAGE_ID: ReplayError,
    Refusal.SUBJECT: NotPermittedError,
    Refusal.FRESHNESS: EpochOutOfWindowError,
    Refusal.EPOCH: EpochOutOfWindowError,
    Refusal.POLICY: NotPermittedError,
    Refusal.PRODUCER: NotPermittedError,
    Refusal.DENIED: NotPermittedError,
    Refusal.VERIFY_KEY: UnknownKeyError,
    Refusal.KEY_OWNER: NotPermittedError,
    Refusal.KEY_EPOCH: EpochOutOfWindowError,
    Refusal.SIGNATURE: SignatureError,
    Refusal.TOPIC_KEY: UnknownKeyError,
    Refusal.COMMITMENT: DecryptionError,
    Refusal.DECRYPT: DecryptionError,
    Refusal.SCHEMA: MalformedMessageError,
    Refusal.STATEMENT_KEY: UnknownKeyError,
}


@dataclass(frozen=True, slots=True)
class Received:
    """A message as the broker delivered it.

    Attributes:
        subject: NATS subject.
        message_id: ``Nats-Msg-Id``, ``None`` when it has none.
        broker_time: When the stream stored it, aware.
        data: The bytes.
        is_replay: It was parked and is given out again; id and time are those of the original, as
            a verified statement of its consumer group says, and its age is no reason to refuse it.
        statement_problem: Why the statement that came with it is false, if it is.
        unverified_statement: The statement that came with it, if the key that it names is not held;
            nothing is known of it.
        is_statement_current: The newest Directory was read for that key.
    """

    subject: str
    message_id: str | None
    broker_time: datetime
    data: bytes
    is_replay: bool = False
    statement_problem: str | None = None
    unverified_statement: str = ""
    is_statement_current: bool = False


@dataclass(slots=True)
class Acceptance:
    """What a receiver judges with; the owner replaces parts when newer documents arrive.

    Attributes:
        verify_keys: Public keys held.
        topic_keys: Topic keys held.
        rules: The rule of each topic it may consume.
        accepted_policy_digests: Per topic the digests that the Directory lists.
        deny: What is revoked.
        schedule: Epochs of topic and signing keys.
        skew: Accepted disagreement of clocks.
        retry_limit: How late after sealing a sender may still publish.
        max_bytes: Largest message.
        accepted_suites: Numbers of the suites it accepts.
        accepted_schemas: Payload schemas it accepts, by topic; a topic that is not there leaves
            that to its handler.
    """

    verify_keys: VerifyKeyring
    topic_keys: TopicKeyring
    rules: Mapping[Topic, TopicRule]
    accepted_policy_digests: Mapping[Topic, Collection[str]]
    deny: DenyList
    schedule: EpochSchedule
    skew: timedelta
    retry_limit: timedelta
    max_bytes: int = MAX_MESSAGE_BYTES
    accepted_suites: Collection[int] = frozenset({SUITE_DEFAULT})
    accepted_schemas: Mapping[Topic, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A message that passed every check.

    Attributes:
        header: Verified.
        payload: Decrypted.
    """

    header: MessageHeader
    payload: bytes


def refusal_code(error: RejectedMessageError) -> str:
    """Return which check refused, for dead letters; the counter's word when it is not known."""
    return str(error.fields.get("code", error.reason))


def open_message(received: Received, acceptance: Acceptance) -> OpenedMessage:
    """Return header and payload of a message that passes every check.

    Raises:
        RejectedMessageError: Of the family's class for the check that failed; the field ``code``
            names the check.
    """
    record, header = _parse(received, acceptance)
    _check_transport(received, header)
    _check_time(received, header, acceptance)
    _check_rights(received, header, acceptance)
    _check_signature(record, header, _verify_key(received, header, acceptance))
    payload = _decrypt(record, header, _topic_key(header, acceptance))
    schemas = acceptance.accepted_schemas.get(header.topic)
    if schemas is not None and header.schema not in schemas:
        raise _refuse(
            Refusal.SCHEMA, "payload schema is not accepted", header, schema=header.schema
        )
    return OpenedMessage(header, payload)


def signer_of(data: bytes, acceptance: Acceptance) -> ServiceId | None:
    """Return which service is answerable for a message that was refused.

    It signed these bytes with a key that the Directory gives to it. Neither rights nor times are
    judged here; ``None`` when nobody can be named.
    """
    if len(data) > acceptance.max_bytes:
        return None
    try:
        record, header = _read(data)
        key = acceptance.verify_keys.get(header.key_id)
        if (key.service, key.instance) != (header.signer, header.instance):
            return None
        _check_signature(record, header, key)
    except RejectedMessageError:
        return None
    return header.signer


def _refuse(
    code: Refusal, message: str, header: MessageHeader | None = None, **fields: object
) -> RejectedMessageError:
    if header is not None:
        fields["message_id"] = header.message_id
    return _ERRORS[code](message, code=code.value, **fields)


def _parse(received: Received, acceptance: Acceptance) -> tuple[dict[str, Any], MessageHeader]:
    """Checks 1 to 5, and 21: size, version, parse, suite, statement of a replay."""
    size = len(received.data)
    if size > acceptance.max_bytes:
        raise _refuse(
            Refusal.SIZE, "message is too large", size_bytes=size, max_bytes=acceptance.max_bytes
        )
    record, header = _read(received.data)
    if header.suite not in acceptance.accepted_suites:
        raise _refuse(Refusal.SUITE, "suite is not accepted", header, suite=header.suite)
    if received.statement_problem is not None:
        raise _refuse(Refusal.STATEMENT, received.statement_problem, header)
    if received.unverified_statement:
        raise _refuse(
            Refusal.STATEMENT_KEY,
            "key of the statement is not held",
            header,
            is_current=received.is_statement_current,
        )
    return record, header


def _read(data: bytes) -> tuple[dict[str, Any], MessageHeader]:
    """Checks 2 and 3: a version and a suite that this code can read, and the record."""
    if codec.is_newer("message", data):
        raise _refuse(Refusal.VERSION, "message is of a later version", frame=data[:4].hex())
    try:
        record = codec.decode("message", data)
        if codec.is_newer("header", record["header"]):
            raise _refuse(Refusal.VERSION, "header is of a later version")
        header = decode_header(record["header"])
    except (MalformedMessageError, ValueError) as err:
        if isinstance(err, MalformedMessageError) and err.fields.get("code") == Refusal.VERSION:
            raise
        raise _refuse(Refusal.PARSE, f"not a message: {err}") from err
    batch = record["batch"]
    if batch is not None:
        is_possible = 0 <= batch["index"] < batch["size"] <= MAX_BATCH
        if not is_possible or len(batch["path"]) % merkle.HASH_BYTES:
            raise _refuse(Refusal.PARSE, "batch path is impossible", header)
    if header.suite > max(SUITES):
        raise _refuse(Refusal.VERSION, "suite is of a later version", header, suite=header.suite)
    return record, header


def _check_transport(received: Received, header: MessageHeader) -> None:
    """Checks 6 and 7: what the broker deduplicates and routes by is what was signed."""
    if received.message_id != header.message_id:
        raise _refuse(Refusal.MESSAGE_ID, "Nats-Msg-Id is not the signed id", header)
    if received.subject != header.topic:
        raise _refuse(
            Refusal.SUBJECT, "subject is not the signed topic", header, subject=received.subject
        )


def _check_time(received: Received, header: MessageHeader, acceptance: Acceptance) -> None:
    """Checks 8 and 9: freshness and topic key epoch, at the broker's time."""
    delay = received.broker_time - header.sent_at
    is_fresh = received.is_replay or -acceptance.skew <= delay <= (
        acceptance.skew + acceptance.retry_limit
    )
    if not is_fresh:
        raise _refuse(
            Refusal.FRESHNESS,
            "signed time does not fit the broker's",
            header,
            delay_seconds=delay.total_seconds(),
        )
    if not _is_in_window(header.key_epoch, received.broker_time, acceptance):
        raise _refuse(
            Refusal.EPOCH, "topic key epoch is not valid then", header, epoch=header.key_epoch
        )


def _is_in_window(epoch: EpochNumber, at: datetime, acceptance: Acceptance) -> bool:
    """Tell whether an epoch was valid at ``at`` by some clock within the accepted skew.

    The end is later by the retry limit too: what was sealed just before it may be stored after it.
    """
    current = acceptance.schedule.number_at(at + acceptance.skew)
    # Compared as numbers first, because the start of an absurd epoch is no date.
    if not 0 <= epoch <= current:
        return False
    expiry = acceptance.schedule.expiry_of(epoch)
    return at < expiry + acceptance.skew + acceptance.retry_limit


def _check_rights(received: Received, header: MessageHeader, acceptance: Acceptance) -> None:
    """Checks 10 to 12: the signer may produce here and was not denied then."""
    if header.policy_digest not in acceptance.accepted_policy_digests.get(header.topic, ()):
        raise _refuse(Refusal.POLICY, "topic policy is not in force", header, topic=header.topic)
    rule = acceptance.rules.get(header.topic)
    if rule is None or header.signer not in rule.producers:
        raise _refuse(
            Refusal.PRODUCER,
            "signer may not produce on this topic",
            header,
            signer=header.signer,
            topic=header.topic,
        )
    for denied_at in (
        acceptance.deny.services.get(header.signer),
        acceptance.deny.key_ids.get(header.key_id),
    ):
        if denied_at is not None and received.broker_time >= denied_at:
            raise _refuse(Refusal.DENIED, "signer is denied", header, instance=header.instance)


def _verify_key(received: Received, header: MessageHeader, acceptance: Acceptance) -> VerifyKey:
    """Checks 13 to 15: the key is held, the signer's own, and of a valid epoch."""
    try:
        key = acceptance.verify_keys.get(header.key_id)
    except UnknownKeyError as err:
        raise _refuse(
            Refusal.VERIFY_KEY, "verify key is not held", header, key_id=header.key_id
        ) from err
    if (key.service, key.instance) != (header.signer, header.instance):
        raise _refuse(
            Refusal.KEY_OWNER, "key belongs to another instance", header, instance=header.instance
        )
    if not _is_in_window(key.epoch, received.broker_time, acceptance):
        raise _refuse(
            Refusal.KEY_EPOCH, "signing key epoch is not valid then", header, epoch=key.epoch
        )
    return key


def _check_signature(record: dict[str, Any], header: MessageHeader, key: VerifyKey) -> None:
    """Check 16: single signature, or root signature and path."""
    if key.algorithm != SUITES[header.suite].signature:
        raise _refuse(Refusal.SIGNATURE, "key is not of the suite's algorithm", header)
    signed = signed_bytes(record["header"], record["commitment"], record["ciphertext"])
    batch = record["batch"]
    try:
        if batch is None:
            signing.verify(key.algorithm, key.public_key, signed, record["signature"])
            return
        path = batch["path"]
        step = merkle.HASH_BYTES
        proof = [path[start : start + step] for start in range(0, len(path), step)]
        root = merkle.root_from_proof(
            merkle.leaf_hash(signed), batch["index"], batch["size"], proof
        )
        root_bytes = batch_root_bytes(header, batch["size"], root)
        _verify_root(key.algorithm, key.public_key, root_bytes, record["signature"])
    except (SignatureError, ValueError) as err:
        raise _refuse(Refusal.SIGNATURE, "signature does not verify", header) from err


@lru_cache(maxsize=_VERIFIED_ROOTS)
def _verify_root(algorithm: str, public_key: bytes, root_bytes: bytes, signature: bytes) -> None:
    """Verify a root once for all messages of its batch; a failure is not remembered."""
    signing.verify(algorithm, public_key, root_bytes, signature)


def _topic_key(header: MessageHeader, acceptance: Acceptance) -> TopicKey:
    """Check 17: the topic key is held."""
    try:
        return acceptance.topic_keys.key(header.topic, header.key_epoch, header.generation)
    except UnknownKeyError as err:
        raise _refuse(
            Refusal.TOPIC_KEY,
            "topic key is not held",
            header,
            topic=header.topic,
            epoch=header.key_epoch,
            generation=header.generation,
        ) from err


def _decrypt(record: dict[str, Any], header: MessageHeader, topic_key: TopicKey) -> bytes:
    """Checks 18 and 19: commitment in constant time, then the tag."""
    encoded = record["header"]
    keys = derive_keys(SUITES[header.suite], topic_key.secret, header.salt, encoded)
    if not aead.constant_time_equal(keys.commitment, record["commitment"]):
        raise _refuse(Refusal.COMMITMENT, "commitment does not match the topic key", header)
    try:
        return aead.decrypt(keys.key, keys.nonce, record["ciphertext"], encoded)
    except DecryptionError as err:
        raise _refuse(Refusal.DECRYPT, "authentication tag does not match", header) from err

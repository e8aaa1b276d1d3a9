"""Which messages are accepted, in which order they are checked, and what each refusal says."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from message_scene import (
    DIGEST,
    EPOCH,
    INSTANCE,
    KEY,
    NOW,
    OLD_EPOCH,
    OTHER_KEY,
    PAYLOAD,
    RETRY,
    SCHEDULE,
    SENDER,
    SKEW,
    TOPIC,
    Record,
    Scene,
    acceptance,
    flip,
    fresh_id,
    header,
    received,
    resign,
    topic_key,
    topic_ring,
    verify_key,
    verify_ring,
)

from securetransport.core.base import codec
from securetransport.core.base.errors import RejectedMessageError
from securetransport.core.base.names import InstanceId, KeyId, ServiceId
from securetransport.core.crypto import signing
from securetransport.core.formats import envelope
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.envelope import seal, seal_batch
from securetransport.core.formats.envelope.header import MessageHeader, decode_header, encode_header
from securetransport.core.trust.opening import (
    _ERRORS,
    Refusal,
    open_message,
    refusal_code,
    signer_of,
)

_US = timedelta(microseconds=1)


def _refused(scene: Scene) -> RejectedMessageError:
    with pytest.raises(RejectedMessageError) as caught:
        scene.open()
    return caught.value


def _code(data: bytes, message_id: str | None) -> str:
    with pytest.raises(RejectedMessageError) as caught:
        open_message(received(data, message_id), acceptance())
    return refusal_code(caught.value)


def test_a_right_message_is_opened() -> None:
    opened = Scene().open()
    assert opened.payload == PAYLOAD
    assert (opened.header.signer, opened.header.sequence) == (SENDER, 4)
    assert len(opened.header.salt) == 32


# --- one way to fail per check, in the order of docs/wire-format.md -----------------------------


def _spoil_signature(record: Record) -> None:
    record["signature"] = flip(record["signature"])


def _spoil_tag(record: Record) -> None:
    record["ciphertext"] = flip(record["ciphertext"], len(record["ciphertext"]) - 1)
    resign(record)


def _stranger() -> Any:
    return verify_ring(verify_key(instance=InstanceId("gatekeeper/2")))


def _rules_of_another_producer() -> Any:
    rule = acceptance().rules[TOPIC]
    return {TOPIC: rule.model_copy(update={"producers": (ServiceId("auth-controller"),)})}


Spoil = Callable[[Scene], None]
SPOILED: dict[Refusal, Spoil] = {
    Refusal.SIZE: lambda s: s.acceptance.update(max_bytes=100),
    Refusal.VERSION: lambda s: setattr(s, "prefix", b"ST\x02\x02"),
    Refusal.PARSE: lambda s: setattr(s, "suffix", b"\x00"),
    Refusal.SUITE: lambda s: s.acceptance.update(accepted_suites={envelope.SUITE_CNSA2}),
    Refusal.STATEMENT: lambda s: s.received.update(statement_problem="of another message"),
    Refusal.MESSAGE_ID: lambda s: s.received.update(message_id=None),
    Refusal.SUBJECT: lambda s: s.received.update(subject="auth.other"),
    Refusal.FRESHNESS: lambda s: s.header.update(sent_at=NOW - timedelta(hours=1)),
    Refusal.EPOCH: lambda s: s.header.update(key_epoch=OLD_EPOCH),
    Refusal.POLICY: lambda s: s.acceptance.update(accepted_policy_digests={TOPIC: ("cd" * 32,)}),
    Refusal.PRODUCER: lambda s: s.acceptance.update(rules=_rules_of_another_producer()),
    Refusal.DENIED: lambda s: s.acceptance.update(deny=DenyList(services={SENDER: NOW})),
    Refusal.VERIFY_KEY: lambda s: s.acceptance.update(verify_keys=verify_ring()),
    Refusal.KEY_OWNER: lambda s: s.acceptance.update(verify_keys=_stranger()),
    Refusal.KEY_EPOCH: lambda s: s.acceptance.update(
        verify_keys=verify_ring(verify_key(epoch=OLD_EPOCH))
    ),
    Refusal.SIGNATURE: lambda s: s.record.append(_spoil_signature),
    Refusal.TOPIC_KEY: lambda s: s.acceptance.update(topic_keys=topic_ring()),
    Refusal.COMMITMENT: lambda s: s.acceptance.update(
        topic_keys=topic_ring(topic_key(fill=8), topic_key(OLD_EPOCH, fill=8))
    ),
    Refusal.DECRYPT: lambda s: s.record.append(_spoil_tag),
    Refusal.SCHEMA: lambda s: s.acceptance.update(accepted_schemas={TOPIC: {"auth.request/2"}}),
    Refusal.STATEMENT_KEY: lambda s: s.received.update(unverified_statement="AAAA"),
}


def test_every_check_has_a_case_in_this_order() -> None:
    assert list(SPOILED) == list(Refusal) == list(_ERRORS)


@pytest.mark.parametrize("code", Refusal)
def test_a_message_that_fails_one_check_is_refused_with_its_code(code: Refusal) -> None:
    scene = Scene()
    SPOILED[code](scene)
    error = _refused(scene)
    assert refusal_code(error) == code
    assert type(error) is _ERRORS[code]


def in_order() -> list[Refusal]:
    """Return the checks as they are made: 21 follows 5."""
    checks = [code for code in Refusal if code != Refusal.STATEMENT_KEY]
    checks.insert(checks.index(Refusal.STATEMENT) + 1, Refusal.STATEMENT_KEY)
    return checks


@pytest.mark.parametrize("code", Refusal)
def test_the_first_failing_check_decides(code: Refusal) -> None:
    scene = Scene()
    for later in reversed(in_order()[in_order().index(code) :]):
        SPOILED[later](scene)
    assert refusal_code(_refused(scene)) == code


def test_a_topic_without_a_rule_has_no_producers() -> None:
    error = _refused(Scene(acceptance={"rules": {}}))
    assert refusal_code(error) == Refusal.PRODUCER
    error = _refused(Scene(acceptance={"accepted_policy_digests": {}}))
    assert refusal_code(error) == Refusal.POLICY


# --- tampering: every field of the header is protected ------------------------------------------

TAMPERED: list[tuple[str, object, Refusal]] = [
    ("message_id", fresh_id(), Refusal.MESSAGE_ID),
    ("type", "auth.grant", Refusal.SIGNATURE),
    ("schema", "auth.request/2", Refusal.SIGNATURE),
    ("topic", "auth.grants", Refusal.SUBJECT),
    ("signer", "metadata", Refusal.PARSE),
    ("instance", "gatekeeper/2", Refusal.KEY_OWNER),
    ("key_id", OTHER_KEY.key_id, Refusal.VERIFY_KEY),
    ("boot_id", "00" * 16, Refusal.SIGNATURE),
    ("sequence", 5, Refusal.SIGNATURE),
    ("key_epoch", EPOCH - 1, Refusal.SIGNATURE),
    ("key_epoch", EPOCH + 1, Refusal.EPOCH),
    ("generation", 1, Refusal.SIGNATURE),
    ("ca_epoch", 78, Refusal.SIGNATURE),
    ("policy_digest", "cd" * 32, Refusal.POLICY),
    ("sent_at", NOW + _US, Refusal.SIGNATURE),
    ("sent_at", NOW - timedelta(days=1), Refusal.FRESHNESS),
    ("suite", 2, Refusal.SUITE),
    ("suite", 0, Refusal.SUITE),
    ("suite", 3, Refusal.VERSION),
    ("salt", b"\x00" * 32, Refusal.SIGNATURE),
]


def test_every_header_field_is_tampered_with() -> None:
    assert {name for name, _, _ in TAMPERED} == set(MessageHeader.__dataclass_fields__)


def _raw_header(changed: MessageHeader) -> bytes:
    """Encode a header without the rules that an honest sender keeps."""
    honest = codec.decode("header", encode_header(replace(changed, signer=SENDER)))
    return codec.encode("header", {**honest, "signer": changed.signer})


@pytest.mark.parametrize(("name", "value", "code"), TAMPERED, ids=[name for name, _, _ in TAMPERED])
def test_a_tampered_header_field_is_refused(name: str, value: object, code: Refusal) -> None:
    def tamper(record: Record) -> None:
        changed: dict[str, Any] = {name: value}
        record["header"] = _raw_header(replace(decode_header(record["header"]), **changed))

    assert refusal_code(_refused(Scene(record=[tamper]))) == code


@pytest.mark.parametrize("part", ["commitment", "ciphertext", "signature"])
def test_tampered_parts_are_refused_by_the_signature(part: str) -> None:
    def tamper(record: Record) -> None:
        record[part] = flip(record[part], 3)

    assert refusal_code(_refused(Scene(record=[tamper]))) == Refusal.SIGNATURE


def test_a_message_signed_by_another_enrolled_instance_is_refused() -> None:
    ring = verify_ring(verify_key(), verify_key(OTHER_KEY, instance=InstanceId("gatekeeper/2")))
    scene = Scene(acceptance={"verify_keys": ring}, record=[lambda r: resign(r, OTHER_KEY)])
    assert refusal_code(_refused(scene)) == Refusal.SIGNATURE


def test_a_signer_who_changes_the_commitment_himself_is_refused() -> None:
    def tamper(record: Record) -> None:
        record["commitment"] = flip(record["commitment"])
        resign(record)

    assert refusal_code(_refused(Scene(record=[tamper]))) == Refusal.COMMITMENT


def test_unknown_schema_versions_are_refused() -> None:
    data = seal(PAYLOAD, header(), topic_key(), KEY, os.urandom)
    for frame in (b"ST\x02\x00", b"ST\x01\x01", b"ST\x01\x02", b"XX\x02\x02", b""):
        assert _code(frame + data[4:], None) == Refusal.PARSE


def test_later_versions_of_message_and_header_are_told_from_what_is_no_message() -> None:
    data = seal(PAYLOAD, header(), topic_key(), KEY, os.urandom)
    for frame in (b"ST\x02\x02", b"ST\x02\xff"):
        assert _code(frame + b"whatever comes", None) == Refusal.VERSION

    def later(record: Record) -> None:
        record["header"] = b"ST\x03\x02" + record["header"][4:]

    assert refusal_code(_refused(Scene(record=[later]))) == Refusal.VERSION
    assert _code(data[:3], None) == Refusal.PARSE


# --- who is answerable for what is refused --------------------------------------------------------


def test_signer_of_a_refused_message_is_whose_key_signed_it() -> None:
    data = Scene(header={"sent_at": NOW - timedelta(hours=1)}).data()
    late = acceptance()
    assert signer_of(data, late) == SENDER
    assert signer_of(data, acceptance(rules={}, deny=DenyList(services={SENDER: NOW}))) == SENDER
    assert signer_of(data, acceptance(accepted_suites={envelope.SUITE_CNSA2})) == SENDER


def test_nobody_is_answerable_for_what_no_key_of_the_directory_signed() -> None:
    data = Scene().data()
    assert signer_of(data, acceptance(verify_keys=verify_ring())) is None
    assert signer_of(data, acceptance(verify_keys=_stranger())) is None
    assert signer_of(data, acceptance(max_bytes=100)) is None
    assert signer_of(b"", acceptance()) is None
    assert signer_of(Scene(record=[_spoil_signature]).data(), acceptance()) is None
    assert signer_of(b"ST\x02\x02" + data[4:], acceptance()) is None


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent_at", "is_accepted"),
    [
        (NOW + SKEW, True),
        (NOW + SKEW + _US, False),
        (NOW - SKEW - RETRY, True),
        (NOW - SKEW - RETRY - _US, False),
    ],
)
def test_freshness_ends_at_skew_and_retry_limit(sent_at: datetime, is_accepted: bool) -> None:
    scene = Scene(header={"sent_at": sent_at})
    if is_accepted:
        scene.open()
    else:
        assert refusal_code(_refused(scene)) == Refusal.FRESHNESS


@pytest.mark.parametrize(
    ("broker_time", "is_accepted"),
    [
        (SCHEDULE.start_of(EPOCH) - SKEW, True),
        (SCHEDULE.start_of(EPOCH) - SKEW - _US, False),
        (SCHEDULE.expiry_of(EPOCH) + SKEW + RETRY - _US, True),
        (SCHEDULE.expiry_of(EPOCH) + SKEW + RETRY, False),
    ],
)
def test_epochs_are_judged_at_the_brokers_time(broker_time: datetime, is_accepted: bool) -> None:
    scene = Scene(header={"sent_at": broker_time}, received={"broker_time": broker_time})
    if is_accepted:
        scene.open()
    else:
        assert refusal_code(_refused(scene)) == Refusal.EPOCH


def test_a_late_reader_opens_what_was_right_when_it_was_stored() -> None:
    # Nothing in the receiver knows what time it is now.
    assert Scene(header={"key_epoch": EPOCH}).open().payload == PAYLOAD


def test_stored_before_the_revocation_is_delivered_and_after_is_refused() -> None:
    for deny in (
        DenyList(services={SENDER: NOW + _US}),
        DenyList(key_ids={KEY.key_id: NOW + _US}),
        DenyList(key_ids={KeyId("00" * 16): NOW}),
    ):
        Scene(acceptance={"deny": deny}).open()
    for deny in (DenyList(services={SENDER: NOW}), DenyList(key_ids={KEY.key_id: NOW - _US})):
        assert refusal_code(_refused(Scene(acceptance={"deny": deny}))) == Refusal.DENIED


# --- suites and batches -------------------------------------------------------------------------


def test_both_suites_live_side_by_side_during_a_migration() -> None:
    strong = signing.generate_signing_key(signing.ML_DSA_87)
    sent = header(suite=envelope.SUITE_CNSA2, key_id=strong.key_id)
    data = seal(PAYLOAD, sent, topic_key(), strong, os.urandom)
    both = acceptance(
        verify_keys=verify_ring(verify_key(), verify_key(strong)), accepted_suites={1, 2}
    )
    assert open_message(received(data, sent.message_id), both).payload == PAYLOAD
    assert _code(data, sent.message_id) == Refusal.SUITE


def test_a_suite_with_the_key_of_another_algorithm_is_refused() -> None:
    def claim_other_suite(record: Record) -> None:
        record["header"] = encode_header(replace(decode_header(record["header"]), suite=2))
        resign(record)

    scene = Scene(acceptance={"accepted_suites": {1, 2}}, record=[claim_other_suite])
    assert refusal_code(_refused(scene)) == Refusal.SIGNATURE


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
def test_every_message_of_a_batch_stands_alone(size: int) -> None:
    headers = [header(sequence=number) for number in range(size)]
    sealed = seal_batch([(b"%d" % h.sequence, h) for h in headers], topic_key(), KEY, os.urandom)
    for sent, data in zip(headers, sealed, strict=True):
        opened = open_message(received(data, sent.message_id), acceptance())
        assert opened.payload == b"%d" % sent.sequence


def _batch_of_four() -> tuple[list[MessageHeader], list[Record]]:
    headers = [header(sequence=number) for number in range(4)]
    sealed = seal_batch([(PAYLOAD, h) for h in headers], topic_key(), KEY, os.urandom)
    return headers, [codec.decode("message", data) for data in sealed]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"index": 1}, Refusal.SIGNATURE),
        ({"size": 5}, Refusal.SIGNATURE),
        ({"size": 3}, Refusal.SIGNATURE),
        ({"path": b""}, Refusal.SIGNATURE),
        ({"path": b"\x00" * 64}, Refusal.SIGNATURE),
        ({"path": b"\x00" * 63}, Refusal.PARSE),
        ({"index": 4}, Refusal.PARSE),
        ({"index": -1}, Refusal.PARSE),
        ({"size": 0}, Refusal.PARSE),
        ({"size": 1025}, Refusal.PARSE),
    ],
)
def test_a_tampered_batch_path_is_refused(change: dict[str, Any], code: Refusal) -> None:
    headers, records = _batch_of_four()
    records[0]["batch"].update(change)
    assert _code(codec.encode("message", records[0]), headers[0].message_id) == code


def test_a_batch_signature_does_not_pass_as_a_single_one() -> None:
    headers, records = _batch_of_four()
    records[0]["batch"] = None
    assert _code(codec.encode("message", records[0]), headers[0].message_id) == Refusal.SIGNATURE


def test_a_verified_batch_does_not_lend_its_signature_to_another_message() -> None:
    headers, records = _batch_of_four()
    data = codec.encode("message", records[0])
    open_message(received(data, headers[0].message_id), acceptance())  # the root is remembered
    records[0]["ciphertext"] = flip(records[0]["ciphertext"])
    assert _code(codec.encode("message", records[0]), headers[0].message_id) == Refusal.SIGNATURE


# --- sealing ------------------------------------------------------------------------------------


def test_sealing_twice_never_repeats_salt_or_ciphertext() -> None:
    sent = header()
    records = [
        codec.decode("message", seal(PAYLOAD, sent, topic_key(), KEY, os.urandom))
        for _ in range(20)
    ]
    assert len({decode_header(record["header"]).salt for record in records}) == 20
    assert len({record["ciphertext"] for record in records}) == 20


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": b"\x01" * 32},
        {"suite": 2},
        {"suite": 9},
        {"key_id": OTHER_KEY.key_id},
        {"topic": "auth.grants"},
        {"key_epoch": EPOCH - 1},
        {"generation": 1},
        {"instance": "metadata/1"},
        {"message_id": str(uuid.UUID(int=5))},
        {"type": "with space"},
        {"schema": ""},
        {"sequence": -1},
        {"sequence": 2**63},
        {"policy_digest": "ab"},
        {"boot_id": "xyz"},
        {"sent_at": NOW.replace(tzinfo=None)},
    ],
)
def test_what_receivers_would_refuse_is_not_sealed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        seal(PAYLOAD, header(**changes), topic_key(), KEY, os.urandom)


def test_a_batch_of_two_signers_or_none_is_not_sealed() -> None:
    other = header(signer="keeper", instance="keeper/1")
    for batch in ([], [(PAYLOAD, header()), (PAYLOAD, other)], [(PAYLOAD, header())] * 1025):
        with pytest.raises(ValueError, match="batch"):
            seal_batch(batch, topic_key(), KEY, os.urandom)


def test_message_ids_are_time_ordered_uuids() -> None:
    first = fresh_id()
    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).int >> 80 == int(NOW.timestamp() * 1000)
    later = envelope.new_message_id(NOW + timedelta(milliseconds=1), bytes)
    assert first < later
    assert len({fresh_id() for _ in range(1000)}) == 1000


def test_equal_entropy_seals_equal_bytes() -> None:
    """Nothing else is drawn: a simulation with a seed repeats itself."""
    zeros = bytes  # bytes(12) is twelve zeros
    sent = header(message_id=envelope.new_message_id(NOW, zeros))
    parts = [codec.decode("message", seal(PAYLOAD, sent, topic_key(), KEY, zeros)) for _ in "ab"]
    for name in ("header", "commitment", "ciphertext"):  # an ML-DSA signature is randomised
        assert parts[0][name] == parts[1][name]


def test_derived_ids_are_the_same_for_the_same_cause_and_accepted() -> None:
    parent = fresh_id()
    derived = envelope.derive_message_id(parent, TOPIC)
    assert derived == envelope.derive_message_id(parent, TOPIC, 0)
    others = {envelope.derive_message_id(parent, TOPIC, 1), parent}
    others.add(envelope.derive_message_id(fresh_id(), TOPIC))
    assert derived not in others
    assert Scene(header={"message_id": derived}).open().header.message_id == derived


def test_no_secret_is_printed() -> None:
    shown = f"{topic_key()!r} {topic_key()} {KEY!r} {_refused(Scene(suffix=b'x'))}"
    assert "07070707" not in shown
    assert r"\x07" not in shown
    assert INSTANCE not in shown
    assert DIGEST not in shown

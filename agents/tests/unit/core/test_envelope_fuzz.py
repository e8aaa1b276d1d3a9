"""Random and mutated bytes: nothing crashes, nothing gets through.

The seed is fixed, so a failure is found again; raise ``ROUNDS`` to search longer.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import Any, Final

from message_scene import KEY, NOW, PAYLOAD, acceptance, header, received, topic_key

from securetransport.core.base import codec
from securetransport.core.base.errors import (
    MalformedMessageError,
    RejectedDocumentError,
    RejectedMessageError,
)
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.envelope import seal, seal_batch
from securetransport.core.formats.envelope.header import decode_header
from securetransport.core.trust.opening import open_message, refusal_code

ROUNDS: Final = 10_000
_INTERESTING: Final = (b"", b"\x00", b"\xff", b"\x80" * 11, b"\xff" * 9 + b"\x01", b"\x01" * 40)


def _mutated(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """Return ``data`` with one to three random changes."""
    result = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        # Half of the changes hit the small fields in front, where parsers fail.
        limit = len(result) if dice.random() < 0.5 else min(len(result), 300)
        at = dice.randrange(limit + 1)
        match dice.randrange(6):
            case 0:
                result[at : at + 1] = bytes((dice.randrange(256),))
            case 1:
                del result[at : at + dice.randint(1, 40)]
            case 2:
                result[at:at] = dice.choice(_INTERESTING)
            case 3:
                result[at : at + 9] = dice.choice(_INTERESTING)
            case 4:
                result[at:] = other[at:]
            case _:
                end = at + dice.randint(1, 64)
                result[at:end] = other[at:end]
    return bytes(result)


def _reshaped(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a well-formed message put together from parts of two, or with one part mutated."""
    record, donor = codec.decode("message", data), codec.decode("message", other)
    name = dice.choice(list(record))
    record[name] = donor[name]
    if isinstance(record[name], bytes) and name != "commitment" and dice.random() < 0.5:
        record[name] = _mutated(dice, record[name], data)
    return codec.encode("message", record)


def _claimed_id(data: bytes, fallback: str) -> str:
    """Return the id that the bytes claim, as an attacker would publish them."""
    try:
        return decode_header(codec.decode("message", data)["header"]).message_id
    except (MalformedMessageError, ValueError):
        return fallback


def test_random_and_mutated_messages_neither_crash_nor_get_through() -> None:
    dice = random.Random(20260301)  # noqa: S311  # repeatable, not secret
    headers = [header(sequence=number) for number in range(8)]
    originals = [seal(PAYLOAD, sent, topic_key(), KEY, os.urandom) for sent in headers[:4]]
    originals += seal_batch([(PAYLOAD, sent) for sent in headers[4:]], topic_key(), KEY, os.urandom)
    known, judge = set(originals), acceptance()
    for sent, data in zip(headers, originals, strict=True):
        assert open_message(received(data, sent.message_id), judge).payload == PAYLOAD
    seen: dict[str, int] = {}
    for number in range(ROUNDS):
        data, other = dice.choice(originals), dice.choice(originals)
        kind = number % 10
        if kind == 0:
            data = dice.randbytes(dice.randrange(400))
        elif kind == 1:
            data = b"ST\x02\x01" + dice.randbytes(dice.randrange(400))
        elif kind < 4:
            data = _reshaped(dice, data, other)
        else:
            data = _mutated(dice, data, other)
        if data in known:
            continue
        message_id = _claimed_id(data, headers[0].message_id)
        try:
            open_message(received(data, message_id), judge)
        except RejectedMessageError as error:
            seen[refusal_code(error)] = seen.get(refusal_code(error), 0) + 1
        else:
            raise AssertionError(f"round {number} got through: {data.hex()}")
    assert sum(seen.values()) > 0.9 * ROUNDS
    # The fuzzing is worth something only if it reaches past the parser.
    assert {"parse", "signature", "verify_key", "subject", "suite"} <= set(seen)


def _document() -> documents.SignedDocument:
    return documents.sign_with_key(
        kind=DocumentKind.TRUST_BUNDLE,
        audience=documents.EVERYBODY,
        version=Version(counter=3),
        created_at=NOW,
        not_after=NOW + timedelta(hours=1),
        body=b'{"issuers": []}',
        signer=documents.AUTHORITY,
        key=KEY,
    )


def test_random_and_mutated_documents_neither_crash_nor_get_through() -> None:
    dice = random.Random(20260302)  # noqa: S311  # repeatable, not secret
    originals = [documents.encode(_document()) for _ in range(2)]
    keys = documents.AuthorityKeys({KEY.key_id: (KEY.algorithm, KEY.public_key)})
    question: dict[str, Any] = {
        "kind": DocumentKind.TRUST_BUNDLE,
        "audience": documents.EVERYBODY,
        "at": NOW,
    }
    seen: set[object] = set()
    refused = 0
    for number in range(ROUNDS // 4):
        data = _mutated(dice, originals[0], originals[1])
        if number % 5 == 0:
            data = b"ST\x01\x01" + dice.randbytes(dice.randrange(200))
        if data in originals:
            continue
        try:
            documents.verify_document(documents.decode(data), keys.lookup, **question)
        except RejectedDocumentError as error:
            seen.add(error.fields["reason"])
            refused += 1
        else:
            raise AssertionError(f"round {number} got through: {data.hex()}")
    assert refused > 0.9 * ROUNDS / 4
    assert {"malformed", "kind", "signature"} <= seen <= set(documents.REFUSAL_REASONS)

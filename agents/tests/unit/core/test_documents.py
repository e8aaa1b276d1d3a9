"""Signed documents: each rule of ``core.formats.documents`` refuses with its own reason."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest

from securetransport.core.base.errors import (
    ConfigError,
    DocumentTooLargeError,
    RejectedDocumentError,
    UnknownKeyError,
)
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.documents import AuthorityKeys, SignedDocument

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY: Final = signing.generate_signing_key()
OTHER: Final = signing.generate_signing_key()
KEYS: Final = AuthorityKeys({KEY.key_id: (KEY.algorithm, KEY.public_key)})
STATEMENTS: Final = {
    DocumentKind.ATTESTATION,
    DocumentKind.DEAD_LETTER,
    DocumentKind.KEY_REQUEST,
    DocumentKind.SERVER_REPORT,
}
KIND: Final = DocumentKind.TRUST_BUNDLE


def signer_of(kind: DocumentKind) -> str:
    if kind in STATEMENTS:
        return "gatekeeper/1"
    return documents.ADMINISTRATOR if kind is DocumentKind.ACL else documents.AUTHORITY


def make(key: signing.SigningKey = KEY, **changes: Any) -> SignedDocument:
    kind = changes.get("kind", KIND)
    plain: dict[str, Any] = {
        "kind": kind,
        "audience": documents.EVERYBODY,
        "version": Version(incarnation=1, counter=7),
        "created_at": NOW,
        "not_after": NOW + timedelta(hours=1),
        "body": b"{}",
        "signer": signer_of(kind),
    }
    return documents.sign_with_key(**{**plain, **changes}, key=key)


def check(document: SignedDocument, **changes: Any) -> bytes:
    question: dict[str, Any] = {"kind": KIND, "audience": documents.EVERYBODY, "at": NOW}
    return documents.verify_document(document, KEYS.lookup, **{**question, **changes})


def reason(document: SignedDocument, **changes: Any) -> object:
    with pytest.raises(RejectedDocumentError) as caught:
        check(document, **changes)
    return caught.value.fields["reason"]


def test_a_right_document_gives_its_body_after_a_journey() -> None:
    document = make(body=b'{"a": 1}')
    assert check(documents.decode(documents.encode(document))) == b'{"a": 1}'
    assert documents.decode(documents.encode(document)) == document


def test_instants_of_another_zone_are_the_same_document() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    document = make(created_at=there)
    assert documents.decode(documents.encode(document)) == document
    assert documents.to_be_signed(document) == documents.to_be_signed(make())


@pytest.mark.parametrize("kind", DocumentKind)
@pytest.mark.parametrize("asked", DocumentKind)
def test_each_kind_is_refused_as_every_other(kind: DocumentKind, asked: DocumentKind) -> None:
    document = make(kind=kind)
    if kind is asked:
        assert check(document, kind=asked) == b"{}"
        return
    assert reason(document, kind=asked) == "kind"
    # Even with the kind rewritten, because the signature covers it; and the signer to match.
    renamed = replace(document, kind=asked, signer=signer_of(asked))
    assert reason(renamed, kind=asked) == "signature"


TAMPERED: Final[dict[str, tuple[object, str]]] = {
    "kind": (DocumentKind.DIRECTORY, "kind"),
    "audience": ("gatekeeper", "audience"),
    "version": (Version(incarnation=2, counter=7), "signature"),
    "created_at": (NOW + timedelta(microseconds=1), "signature"),
    "not_after": (NOW + timedelta(days=300), "signature"),
    "body": (b"{} ", "signature"),
    "signer": (documents.ADMINISTRATOR, "signer"),
    "key_id": (OTHER.key_id, "unknown_key"),
    "algorithm": (signing.ML_DSA_87, "signature"),
    "signature": (b"", "signature"),
}


def test_every_field_is_tampered_with() -> None:
    assert list(TAMPERED) == [field.name for field in fields(SignedDocument)]


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_field_is_refused(name: str) -> None:
    value, expected = TAMPERED[name]
    change: dict[str, Any] = {name: value}
    assert reason(replace(make(), **change)) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audience", "gatekeeper"),
        ("version", Version(incarnation=1, counter=8)),
        ("version", Version(incarnation=7, counter=1)),
    ],
)
def test_what_is_asked_for_is_covered_by_the_signature(name: str, value: Any) -> None:
    changed = replace(make(), **{name: value})
    assert reason(changed, audience=changed.audience) == "signature"


@pytest.mark.parametrize(
    ("kind", "signer"),
    [
        (DocumentKind.TRUST_BUNDLE, "gatekeeper/1"),
        (DocumentKind.TRUST_BUNDLE, documents.ADMINISTRATOR),
        (DocumentKind.ACL, documents.AUTHORITY),
        (DocumentKind.ATTESTATION, documents.AUTHORITY),
    ],
)
def test_a_kind_from_a_signer_without_that_right_is_refused(kind: Any, signer: str) -> None:
    assert reason(make(kind=kind, signer=signer), kind=kind) == "signer"


def test_a_statement_in_the_name_of_another_instance_is_refused() -> None:
    statement = make(kind=DocumentKind.ATTESTATION)
    assert check(statement, kind=statement.kind, signer="gatekeeper/1") == b"{}"
    assert reason(statement, kind=statement.kind, signer="gatekeeper/2") == "signer"


def test_a_signature_by_an_unpinned_key_is_refused() -> None:
    assert reason(make(OTHER)) == "unknown_key"
    stolen_name = replace(make(OTHER), key_id=KEY.key_id)
    assert reason(stolen_name) == "signature"


def test_a_document_that_names_another_algorithm_than_its_key_is_refused() -> None:
    # The signature itself is right: only the name of the algorithm is not.
    lying = replace(make(), algorithm=signing.ML_DSA_87)
    lying = documents.with_signature(lying, KEY.sign(documents.to_be_signed(lying)))
    assert reason(lying) == "signature"


@pytest.mark.parametrize(
    ("newest", "is_accepted"),
    [
        (Version(incarnation=1, counter=7), True),
        (Version(incarnation=0, counter=99), True),
        (Version(incarnation=1, counter=8), False),
        (Version(incarnation=2, counter=0), False),
    ],
)
def test_versions_only_rise(newest: Version, is_accepted: bool) -> None:
    if is_accepted:
        assert check(make(), newest=newest) == b"{}"
    else:
        assert reason(make(), newest=newest) == "rollback"


def test_a_document_is_refused_from_its_end_on() -> None:
    end, little = NOW + timedelta(hours=1), timedelta(microseconds=1)
    skew = timedelta(seconds=5)
    assert check(make(), at=end - little) == b"{}"
    assert reason(make(), at=end) == "expired"
    assert check(make(), at=end + skew - little, skew=skew) == b"{}"
    assert reason(make(), at=end + skew, skew=skew) == "expired"


@pytest.mark.parametrize("data", [b"", b"ST\x01\x01", b"ST\x02\x01abc", b"x" * 800_000])
def test_bytes_that_are_no_document_are_refused(data: bytes) -> None:
    with pytest.raises(RejectedDocumentError) as caught:
        documents.decode(data)
    assert caught.value.fields["reason"] == "malformed"


def test_an_unknown_kind_is_refused() -> None:
    data = documents.encode(make()).replace(b"trust-bundle", b"trust-bungle")
    with pytest.raises(RejectedDocumentError) as caught:
        documents.decode(data)
    assert caught.value.fields["reason"] == "kind"


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": ""},
        {"signer": "x" * 201},
        {"version": Version.model_construct(incarnation=-1, counter=0)},
        {"version": Version.model_construct(incarnation=0, counter=2**63)},
        {"created_at": NOW.replace(tzinfo=None)},
    ],
)
def test_what_receivers_would_refuse_is_not_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make(**changes)
    with pytest.raises(DocumentTooLargeError, match=r"kind=trust-bundle, .*limit=786432"):
        documents.encode(make(body=b"x" * documents.MAX_DOCUMENT_BYTES))


# --- pinned keys --------------------------------------------------------------------------------


def test_pinned_keys_survive_their_file() -> None:
    both = KEYS.merged(AuthorityKeys({"authority-root:v2": (OTHER.algorithm, OTHER.public_key)}))
    assert AuthorityKeys.from_json(both.to_json()) == both
    with pytest.raises(UnknownKeyError):
        both.lookup("authority-signing:v9")
    with pytest.raises(ConfigError, match="twice"):
        KEYS.merged(AuthorityKeys({KEY.key_id: (OTHER.algorithm, OTHER.public_key)}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"algorithm": "ML-DSA-44"}, "keys.0.algorithm: 'ML-DSA-44' is unknown"),
        ({"algorithm": signing.ML_DSA_87}, "keys.0.public_key: has 1952 bytes"),
        ({"public_key": "%%%"}, "keys.0.public_key"),
        ({"public_key": "AAAA"}, "has 3 bytes"),
        ({"key": 1}, "keys.0.key: Extra inputs"),
    ],
)
def test_a_wrong_pinned_key_names_its_field(change: dict[str, object], expected: str) -> None:
    content = json.loads(KEYS.to_json())
    content["keys"][0].update(change)
    with pytest.raises(ConfigError) as caught:
        AuthorityKeys.from_json(json.dumps(content))
    assert any(expected in problem for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["", "[]", '{"keys": []}', '{"keys": 1}'])
def test_a_file_without_keys_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="authority keys"):
        AuthorityKeys.from_json(text)


def test_the_same_key_id_twice_is_refused() -> None:
    content = json.loads(KEYS.to_json())
    content["keys"] *= 2
    with pytest.raises(ConfigError, match="appears twice"):
        AuthorityKeys.from_json(json.dumps(content))


def test_a_document_that_never_ends_is_judged_too() -> None:
    document = make(not_after=datetime.max.replace(tzinfo=UTC))
    assert check(document, skew=timedelta(hours=1)) == b"{}"

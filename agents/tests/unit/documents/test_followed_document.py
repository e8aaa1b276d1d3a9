"""Rules of ``documents.followed`` and ``documents.versions`` over files in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from securetransport.core.base.errors import (
    ConfigError,
    RejectedDocumentError,
    SecureTransportError,
)
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.ports import KvEntry
from securetransport.core.trust.bundle import TRUST_BUNDLE
from securetransport.core.trust.documents import BROKER_POLICY
from securetransport.documents.followed import FollowedDocument
from securetransport.documents.gate import DocumentGate, stored_document
from securetransport.documents.versions import FILE_NAME, VersionStore
from securetransport.testing import FakeClock, FakeFiles

KEY_ID = "authority-signing:v1"
KEY = signing.generate_signing_key()
HOME = Path("/state")
FIRST_EDITION = Path(__file__).parent / "first_edition"
WRITTEN_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
KIND = DocumentKind.BROKER_POLICY


class Process:
    """One run of a process; ``again`` is the next one on the same disk."""

    def __init__(self, files: FakeFiles | None = None, clock: FakeClock | None = None) -> None:
        self.files = files or FakeFiles()
        self.clock = clock or FakeClock()
        self.results: list[tuple[str, str]] = []
        self.keys = AuthorityKeys({KEY_ID: (KEY.algorithm, KEY.public_key)})
        self.gate = self._gate()
        self.policy = self.follow()

    def _gate(self) -> DocumentGate:
        return DocumentGate(
            keys=self.keys.lookup,
            clock=self.clock,
            versions=VersionStore(self.files, HOME),
            skew=timedelta(0),
            on_result=lambda kind, result: self.results.append((kind.value, result)),
        )

    def follow(self, *, is_kept: bool = True) -> FollowedDocument[BrokerPolicy]:
        return FollowedDocument(self.gate, BROKER_POLICY, documents.EVERYBODY, is_kept=is_kept)

    def again(self) -> Process:
        return Process(self.files.after_crash(), self.clock)

    def document(self, counter: int, *, life: int = 60, digest: str = "a") -> bytes:
        unsigned = documents.unsigned(
            kind=KIND,
            audience=documents.EVERYBODY,
            version=Version(counter=counter),
            created_at=self.clock.now(),
            not_after=self.clock.now() + timedelta(seconds=life),
            body=BrokerPolicy(acl_digest=digest, users=()).to_bytes(),
            signer=documents.AUTHORITY,
            key_id=KEY_ID,
            algorithm=KEY.algorithm,
        )
        signature = KEY.sign(documents.to_be_signed(unsigned))
        return documents.encode(documents.with_signature(unsigned, signature))


def refusal(document: FollowedDocument[BrokerPolicy], data: bytes) -> str:
    with pytest.raises(RejectedDocumentError) as caught:
        document.offer(data)
    return str(caught.value.fields["reason"])


def test_newer_document_comes_into_force_and_the_same_one_changes_nothing() -> None:
    process = Process()
    data = process.document(1)
    assert process.policy.offer(data)
    assert not process.policy.offer(data)
    assert process.policy.current is not None
    assert process.policy.current.version == Version(counter=1)
    assert process.results == [(KIND.value, "accepted")]


def test_older_document_is_refused_and_counted() -> None:
    process = Process()
    old = process.document(1)
    process.policy.offer(process.document(2))
    assert refusal(process.policy, old) == "rollback"
    assert process.results[-1] == (KIND.value, "rollback")
    assert process.policy.current is not None
    assert process.policy.current.version == Version(counter=2)


def test_older_document_from_a_place_that_lags_is_no_refusal() -> None:
    process = Process()
    old = process.document(1)
    process.policy.offer(process.document(2))
    assert not process.policy.offer(old, may_lag=True)


def test_older_document_is_refused_also_after_a_restart() -> None:
    process = Process()
    old = process.document(1)
    process.policy.offer(process.document(2))
    assert refusal(process.again().policy, old) == "rollback"


def test_expired_document_is_refused() -> None:
    process = Process()
    data = process.document(1, life=10)
    process.clock.advance(10)
    assert refusal(process.policy, data) == "expired"


def test_document_that_expires_in_force_stays_and_is_stale() -> None:
    process = Process()
    process.policy.offer(process.document(1, life=10))
    process.clock.advance(10)
    assert process.policy.current is not None
    assert process.policy.current.is_stale(process.clock.now())


def test_kept_document_is_in_force_after_a_restart_without_openbao() -> None:
    process = Process()
    process.policy.offer(process.document(1, digest="kept"))
    again = process.again()
    again.policy.restore()
    assert again.policy.current is not None
    assert again.policy.current.body.acl_digest == "kept"


def test_kept_document_that_expired_meanwhile_still_bars_older_ones() -> None:
    process = Process()
    old = process.document(1, life=1000)
    process.policy.offer(process.document(2, life=10))
    process.clock.advance(10)
    again = process.again()
    again.policy.restore()
    assert again.policy.current is None
    assert refusal(again.policy, old) == "rollback"


def test_damaged_kept_document_is_no_end_and_its_version_is_known() -> None:
    process = Process()
    old = process.document(1)
    process.policy.offer(process.document(2))
    process.files.write(HOME / KIND.value, b"junk")
    again = process.again()
    again.policy.restore()
    assert again.policy.current is None
    assert refusal(again.policy, old) == "rollback"


def test_document_takes_no_effect_when_the_disk_does_not_take_its_version() -> None:
    process = Process()
    data = process.document(1)
    process.files.is_full = True
    for _ in range(2):  # the second time, too: nothing was remembered
        with pytest.raises(SecureTransportError):
            process.policy.offer(data)
        assert process.policy.current is None
    process.files.is_full = False
    assert process.policy.offer(data)
    assert process.again().gate.versions.newest(KIND) == Version(counter=1)


@pytest.mark.parametrize("value", [{}, {"document": 1}, {"document": "%"}, {"other": "YQ=="}])
def test_stored_value_of_another_shape_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(RejectedDocumentError):
        stored_document(KvEntry(value, 1), "path")


@pytest.mark.parametrize("text", ["{", "[]", '{"trust-bundle": 3}', '{"nothing": {}}'])
def test_damaged_version_file_is_refused_not_forgotten(text: str) -> None:
    files = FakeFiles()
    files.make_dir(HOME, mode=0o700)
    files.write(HOME / FILE_NAME, text)
    with pytest.raises(ConfigError, match=r"paths\.state_dir"):
        VersionStore(files, HOME)


# --- what processes of the first edition left on disk (make_first_edition.py) -----------------


def first_edition(*names: str) -> Process:
    files = FakeFiles()
    files.make_dir(HOME, mode=0o700)
    for name in names:
        files.write(HOME / name, (FIRST_EDITION / name).read_bytes())
    process = Process(files, FakeClock(WRITTEN_AT))
    text = (FIRST_EDITION / "authority-keys.json").read_text()
    process.keys = AuthorityKeys.from_json(text)
    process.gate = process._gate()
    process.policy = process.follow()
    return process


def test_keeper_takes_up_the_documents_of_the_first_edition() -> None:
    process = first_edition("trust-bundle", "broker-policy")
    trust = FollowedDocument(process.gate, TRUST_BUNDLE, documents.EVERYBODY, is_kept=True)
    for document in (trust, process.policy):
        document.restore()
        assert document.current is not None
        assert document.current.version == Version(incarnation=1, counter=7)
    assert trust.current is not None
    assert trust.current.body.active == 29454480


def test_keeper_refuses_what_is_older_than_a_document_of_the_first_edition() -> None:
    process = first_edition("broker-policy")
    process.clock.advance(timedelta(hours=2))  # what was kept is past its end
    process.policy.restore()
    assert process.policy.current is None
    process.keys = AuthorityKeys({KEY_ID: (KEY.algorithm, KEY.public_key)})
    process.gate = process._gate()
    again = process.follow()
    again.restore()
    assert refusal(again, process.document(6)) == "rollback"


def test_member_reads_the_versions_of_the_first_edition() -> None:
    versions = first_edition(FILE_NAME).gate.versions
    assert versions.newest(DocumentKind.TRUST_BUNDLE) == Version(incarnation=1, counter=7)
    assert versions.newest(DocumentKind.DIRECTORY) == Version(counter=3)
    assert versions.newest(DocumentKind.BROKER_POLICY) is None


def test_versions_of_other_kinds_survive_a_new_one() -> None:
    process = first_edition(FILE_NAME)
    process.gate.versions.accept(KIND, Version(counter=1))
    stored = json.loads(process.files.read(HOME / FILE_NAME) or b"")
    assert stored["directory"] == {"incarnation": 0, "counter": 3}
    assert stored[KIND.value] == {"incarnation": 0, "counter": 1}


def test_an_urgent_document_takes_effect_on_a_full_disk_and_is_written_later() -> None:
    """A full disk kept a new deny list from coming into force."""
    process = Process()
    urgent = FollowedDocument(process.gate, BROKER_POLICY, documents.EVERYBODY, is_urgent=True)
    urgent.offer(process.document(1))
    old, new = process.document(1), process.document(2, digest="b")
    process.files.is_full = True
    assert urgent.offer(new)
    assert urgent.current is not None
    assert urgent.current.body.acl_digest == "b"
    assert not urgent.offer(new), "told once"
    assert refusal(urgent, old) == "rollback"
    process.files.is_full = False
    assert not urgent.offer(new)
    assert process.again().gate.versions.newest(KIND) == Version(counter=2)

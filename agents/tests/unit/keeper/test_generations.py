"""Files that a server reads are replaced as a whole."""

from __future__ import annotations

import itertools
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certificates import Issuer
from securetransport.adapters.files import LocalFiles
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.base.names import Fingerprint
from securetransport.core.crypto import x509
from securetransport.core.decisions.server_files import FilesInForce, LeafFacts
from securetransport.core.formats.body import Version
from securetransport.keeper.generations import MATERIAL, Generation, Generations, content_digest
from securetransport.keeper.material import renewal_fraction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILES = LocalFiles()


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer.root("root").intermediate("nats-int e1 0000000000000001")


def new_files(issuer: Issuer) -> tuple[dict[str, bytes], FilesInForce]:
    leaf = issuer.leaf("nats/nats-1")
    files = {
        "tls.crt": (leaf.certificate + issuer.pem).encode(),
        "tls.key": leaf.private_key.encode(),
        "ca.crt": issuer.pem.encode(),
        "broker.conf": b"accounts {}\n",
    }
    facts = LeafFacts(
        fingerprint=Fingerprint(leaf.fingerprint),
        epoch=EpochNumber(1),
        issuer=issuer.common_name,
        not_after=NOW + timedelta(hours=1),
        renew_at=NOW,
        proves_broker="b",
    )
    names = frozenset({issuer.common_name})
    version = Version(counter=1)
    return files, FilesInForce(content_digest(files), "d", names, "b", version, version, facts)


def put(generations: Generations, issuer: Issuer) -> Generation:
    files, facts = new_files(issuer)
    generation = generations.prepare(files, facts)
    generations.switch(generation)
    return generation


def test_prepared_files_are_not_in_force_before_the_switch(tmp_path: Path, issuer: Issuer) -> None:
    generations = Generations(tmp_path / "managed", FILES)
    assert generations.current() is None
    first = put(generations, issuer)
    second = generations.prepare(*new_files(issuer))
    current = generations.current()
    assert current is not None
    assert current.facts == first.facts
    generations.switch(second)
    assert (tmp_path / "managed" / "tls.key").read_bytes() == second.files["tls.key"]


def test_discarded_files_leave_the_ones_in_force(tmp_path: Path, issuer: Issuer) -> None:
    generations = Generations(tmp_path / "managed", FILES)
    first = put(generations, issuer)
    generations.discard(generations.prepare(*new_files(issuer)))
    current = generations.current()
    assert current is not None
    assert current.facts == first.facts


def test_what_was_noted_survives_a_restart(tmp_path: Path, issuer: Issuer) -> None:
    generation = put(Generations(tmp_path / "managed", FILES), issuer)
    current = Generations(tmp_path / "managed", FILES).current()
    assert current == generation


@pytest.mark.parametrize("name", [*MATERIAL, "tls.conf", "generation.json"])
def test_damaged_set_counts_as_none(tmp_path: Path, issuer: Issuer, name: str) -> None:
    generation = put(Generations(tmp_path / "managed", FILES), issuer)
    (generation.path / name).write_bytes(b"damaged")
    assert Generations(tmp_path / "managed", FILES).current() is None


def test_old_and_unfinished_sets_are_removed_and_the_former_one_is_kept(
    tmp_path: Path, issuer: Issuer
) -> None:
    generations = Generations(tmp_path / "managed", FILES)
    for _ in range(4):
        put(generations, issuer)
    generations.prepare(*new_files(issuer))  # a crash before the switch
    put(generations, issuer)
    left = sorted(int(path.name) for path in (tmp_path / "managed" / "generations").iterdir())
    assert left == [3, 4, 5]


def test_foreign_file_in_place_of_a_link_is_replaced(tmp_path: Path, issuer: Issuer) -> None:
    managed = tmp_path / "managed"
    managed.mkdir()
    (managed / "tls.crt").write_text("somebody put this here")
    generation = put(Generations(managed, FILES), issuer)
    assert (managed / "tls.crt").read_bytes() == generation.files["tls.crt"]


def test_files_are_private(tmp_path: Path, issuer: Issuer) -> None:
    generation = put(Generations(tmp_path / "managed", FILES), issuer)
    for path in (tmp_path / "managed", generation.path.parent, generation.path):
        assert path.stat().st_mode & 0o077 == 0
    for path in generation.path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_certificate_and_key_read_through_tls_conf_always_match(
    tmp_path: Path, issuer: Issuer
) -> None:
    """A server reads ``tls.conf`` once, then the files it names, at any instant."""
    managed = tmp_path / "managed"
    generations = Generations(managed, FILES)
    put(generations, issuer)
    is_over = threading.Event()
    mismatches: list[str] = []
    reads = itertools.count()

    def read_for_ever() -> None:
        while not is_over.is_set():
            paths = dict(re.findall(r'(\w+): "([^"]+)"', (managed / "tls.conf").read_text()))
            try:
                certificate = Path(paths["cert_file"]).read_text()
                key = Path(paths["key_file"]).read_text()
            except FileNotFoundError:
                continue  # two switches between two reads: refused by a server, never mixed up
            try:
                x509.tls_identity(certificate, key)
            except MalformedMessageError as error:
                mismatches.append(str(error))
            next(reads)

    reader = threading.Thread(target=read_for_ever)
    reader.start()
    try:
        for _ in range(60):
            put(generations, issuer)
    finally:
        is_over.set()
        reader.join()
    assert mismatches == []
    assert next(reads) > 60


def test_renewal_lies_between_a_third_and_half_of_the_life_and_is_spread() -> None:
    fractions = {renewal_fraction(f"nats-{number}") for number in range(50)}
    assert all(1 / 3 <= fraction <= 1 / 2 for fraction in fractions)
    assert len(fractions) == 50


def test_content_digest_depends_on_names_and_bytes() -> None:
    digest = content_digest
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"})
    assert digest({"a": b"1", "b": b"2"}) != digest({"a": b"2", "b": b"1"})
    assert digest({"a": b"12"}) != digest({"a1": b"2"})

"""The files a server reads, replaced as a whole: a folder per set, one symlink names that in force.

::

    managed/
      generations/41/  tls.crt tls.key ca.crt broker.conf tls.conf generation.json
      generations/42/  …
      current      -> generations/42
      tls.crt      -> current/tls.crt      (tls.key, ca.crt, broker.conf, tls.conf likewise)
      ready.json      what ``exec-server`` looks at

A rename of ``current`` replaces everything in one instant. A reader that opens certificate and key
through ``managed/`` one after the other could still get them from two sets, when the rename falls
between its two opens. So ``tls.conf`` exists: it names the three files *inside its own set* by
absolute path, and a server that includes it gets one set with one open::

    tls { include ./managed/tls.conf, verify_and_map: true }

The set before the current one is kept for readers that opened the older ``tls.conf``; what is older
or was never finished is removed at the next write.

Source: docs/decisions/0006-server-files.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, ValidationError

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import Fingerprint
from securetransport.core.decisions.server_files import FilesInForce, LeafFacts
from securetransport.core.formats.body import Document, Version
from securetransport.core.ports import Files

CERTIFICATE: Final = "tls.crt"
PRIVATE_KEY: Final = "tls.key"
ANCHORS: Final = "ca.crt"
BROKER: Final = "broker.conf"
TLS_PATHS: Final = "tls.conf"
READY: Final = "ready.json"
MATERIAL: Final = (CERTIFICATE, PRIVATE_KEY, ANCHORS, BROKER)
LINKED: Final = (*MATERIAL, TLS_PATHS)
_FACTS: Final = "generation.json"
_CURRENT: Final = "current"
_FOLDER: Final = "generations"
_KEPT: Final = 2


class _StoredLeaf(Document):
    """:class:`LeafFacts` on disk."""

    fingerprint: Fingerprint
    epoch: EpochNumber
    issuer: str
    not_after: AwareDatetime
    renew_at: AwareDatetime
    proves_broker: str


class _StoredFacts(Document):
    """:class:`FilesInForce` on disk."""

    content: str
    digest: str
    names: tuple[str, ...]
    broker: str
    bundle_version: Version
    policy_version: Version
    leaf: _StoredLeaf


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete set.

    Attributes:
        number: Rises with every set written.
        path: Its folder.
        facts: What it holds.
        files: Name to bytes of the four files in :data:`MATERIAL`.
    """

    number: int
    path: Path
    facts: FilesInForce
    files: Mapping[str, bytes]

    def __repr__(self) -> str:
        """Return number and leaf; the private key stays out of logs."""
        return f"Generation({self.number}, {self.facts.leaf.fingerprint[:16]})"


class Generations:
    """The folder ``managed/`` of one server; only its keeper writes there."""

    def __init__(self, managed: Path, files: Files) -> None:
        self._managed = managed
        self._folder = managed / _FOLDER
        self._files = files

    def current(self) -> Generation | None:
        """Return the set in force; ``None`` when there is none or it, or a link to it, is damaged.

        A foreign file in place of a link would be what the server reads.
        """
        try:
            target = self._files.link_target(self._managed / _CURRENT)
            if target is None or not all(self._is_linked(name) for name in LINKED):
                return None
            number = int(target.name)
            path = self._folder / target.name
            files = {name: self._read(path / name) for name in MATERIAL}
            stored = _StoredFacts.from_bytes(self._read(path / _FACTS))
            paths = self._read(path / TLS_PATHS)
        except (SecureTransportError, ValueError, ValidationError):
            return None
        is_whole = stored.content == content_digest(files) and paths == _tls_conf(path)
        return Generation(number, path, _from_stored(stored), files) if is_whole else None

    def prepare(self, files: Mapping[str, bytes], facts: FilesInForce) -> Generation:
        """Write a new set beside the one in force, to be checked and then switched to.

        Args:
            files: The four files of :data:`MATERIAL`; ``facts.content`` must be their digest.
            facts: What they hold.

        Raises:
            SecureTransportError: The disk is full, or the folder may not be written to.
        """
        self._files.private_dir(self._managed)
        self._files.private_dir(self._folder)
        self._remove_old()
        number = max(self._numbers(), default=0) + 1
        path = self._files.private_dir(self._folder / str(number))
        for name in MATERIAL:
            self._files.write(path / name, files[name])
        self._files.write(path / TLS_PATHS, _tls_conf(path))
        self._files.write(path / _FACTS, _to_stored(facts).to_bytes())
        return Generation(number, path, facts, files)

    def switch(self, generation: Generation) -> None:
        """Put a prepared set in force, in one rename.

        Raises:
            SecureTransportError: A link cannot be made; the former set stays in force if it is the
                first of them.
        """
        self._files.link(self._managed / _CURRENT, Path(_FOLDER) / generation.path.name)
        for name in LINKED:
            if not self._is_linked(name):
                self._files.link(self._managed / name, Path(_CURRENT) / name)

    def note(self, generation: Generation, facts: FilesInForce) -> None:
        """Replace what is remembered of a set, whose files stay as they are."""
        self._files.write(generation.path / _FACTS, _to_stored(facts).to_bytes())

    def discard(self, generation: Generation) -> None:
        """Remove a prepared set that failed its check."""
        self._files.remove(generation.path)

    def _is_linked(self, name: str) -> bool:
        """Tell whether a server that includes ``name`` gets the one of the current set."""
        return self._files.link_target(self._managed / name) == Path(_CURRENT) / name

    def _read(self, path: Path) -> bytes:
        data = self._files.read(path)
        if data is None:
            raise SecureTransportError("file of a set is missing", path=str(path))
        return data

    def _numbers(self) -> list[int]:
        names = self._files.entries(self._folder)
        return [int(name) for name in names if name.isascii() and name.isdecimal()]

    def _remove_old(self) -> None:
        current = self.current()
        used = current.number if current else max(self._numbers(), default=0)
        for number in self._numbers():
            if not used - _KEPT < number <= used:
                self._files.remove(self._folder / str(number))


def content_digest(files: Mapping[str, bytes]) -> str:
    """Return SHA-256, in hex, over names and contents of a set of files."""
    digest = hashlib.sha256()
    for name in sorted(files):
        part = hashlib.sha256(files[name]).digest()
        digest.update(len(name).to_bytes(2, "big") + name.encode() + part)
    return digest.hexdigest()


def _tls_conf(path: Path) -> bytes:
    folder = path.absolute()
    return (
        f'cert_file: "{folder / CERTIFICATE}"\n'
        f'key_file: "{folder / PRIVATE_KEY}"\n'
        f'ca_file: "{folder / ANCHORS}"\n'
    ).encode()


def _from_stored(stored: _StoredFacts) -> FilesInForce:
    leaf = stored.leaf
    return FilesInForce(
        content=stored.content,
        digest=stored.digest,
        names=frozenset(stored.names),
        broker=stored.broker,
        bundle_version=stored.bundle_version,
        policy_version=stored.policy_version,
        leaf=LeafFacts(
            fingerprint=leaf.fingerprint,
            epoch=leaf.epoch,
            issuer=leaf.issuer,
            not_after=leaf.not_after,
            renew_at=leaf.renew_at,
            proves_broker=leaf.proves_broker,
        ),
    )


def _to_stored(facts: FilesInForce) -> _StoredFacts:
    leaf = facts.leaf
    return _StoredFacts(
        content=facts.content,
        digest=facts.digest,
        names=tuple(sorted(facts.names)),
        broker=facts.broker,
        bundle_version=facts.bundle_version,
        policy_version=facts.policy_version,
        leaf=_StoredLeaf(
            fingerprint=leaf.fingerprint,
            epoch=leaf.epoch,
            issuer=leaf.issuer,
            not_after=leaf.not_after,
            renew_at=leaf.renew_at,
            proves_broker=leaf.proves_broker,
        ),
    )

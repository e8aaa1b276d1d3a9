"""The highest version of each document ever accepted, kept across restarts.

Without it a restart would forget what it saw, and an attacker who holds back new documents could
bring back an old trust set. In the state directory of a process:

1. ``versions.json``: the highest version by kind, for every kind.
2. A file named like its kind (``trust-bundle``, ``broker-policy``) for each document that is to be
   at hand without OpenBao, as it was signed. It is written before the version is, so the higher of
   both counts; a directory of the first edition may hold only one of the two.

Files are replaced atomically and flushed before a document takes effect.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from securetransport.core.base.errors import ConfigError
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.documents import decode
from securetransport.core.ports import Files

FILE_NAME: Final = "versions.json"


class VersionStore:
    """Newest versions by document kind, and the documents that are kept.

    Args:
        files: Where they lie.
        directory: State directory of this process alone.

    Raises:
        ConfigError: ``versions.json`` is there and cannot be read as versions. Deleting it makes
            the process accept any version once.
    """

    def __init__(self, files: Files, directory: Path) -> None:
        self._files = files
        self._directory = files.private_dir(directory)
        self._stored = _load(files, self._directory / FILE_NAME)

    def newest(self, kind: DocumentKind) -> Version | None:
        """Return the highest version accepted so far."""
        return self._stored.get(kind)

    def accept(self, kind: DocumentKind, version: Version, content: bytes | None = None) -> None:
        """Remember ``version``, durably, unless a higher one is known.

        Args:
            kind: Of the document.
            version: Its version.
            content: Its encoded bytes, if it is to be at hand after a restart.

        Raises:
            SecureTransportError: It was not written; the document must not take effect.
        """
        if content is not None:
            self._files.write(self._directory / kind.value, content)
        known = self._stored.get(kind)
        if known is not None and version <= known:
            return
        stored = {**self._stored, kind: version}
        text = json.dumps({name: entry.model_dump() for name, entry in stored.items()})
        self._files.write(self._directory / FILE_NAME, text)
        self._stored = stored

    def kept(self, kind: DocumentKind) -> bytes | None:
        """Return the document of an earlier run, and count its version as accepted.

        Raises:
            RejectedDocumentError: What lies there is no signed document.
        """
        data = self._files.read(self._directory / kind.value)
        if data is None:
            return None
        version, known = decode(data).version, self._stored.get(kind)
        if known is None or known < version:
            self._stored = {**self._stored, kind: version}
        return data


def _load(files: Files, path: Path) -> dict[DocumentKind, Version]:
    data = files.read(path)
    if data is None:
        return {}
    try:
        found = json.loads(data)
        return {DocumentKind(name): Version.model_validate(value) for name, value in found.items()}
    except (ValueError, AttributeError, ValidationError) as error:
        raise ConfigError(
            [f"paths.state_dir: {path} is damaged; restore or delete it: {error}"]
        ) from error

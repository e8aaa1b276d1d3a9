"""The highest version of each document ever accepted, kept across restarts.

Without it a restart would forget what it saw, and an attacker who holds back new documents could
bring back an old trust set. One small file, replaced atomically and flushed before a document takes
effect.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from securetransport.adapters.files import ensure_private_dir, read_optional, write_atomic
from securetransport.core.base.errors import ConfigError
from securetransport.core.formats.body import DocumentKind, Version

FILE_NAME: Final = "versions.json"


class VersionStore:
    """Newest versions by document kind.

    Args:
        directory: State directory of this process alone.

    Raises:
        ConfigError: The file is there and cannot be read as versions. Deleting it makes the process
            accept any version once.
    """

    def __init__(self, directory: Path) -> None:
        self._path = ensure_private_dir(directory) / FILE_NAME
        self._newest = _load(self._path)

    def newest(self, kind: DocumentKind) -> Version | None:
        """Return the highest version accepted so far."""
        return self._newest.get(kind)

    async def accept(self, kind: DocumentKind, version: Version) -> None:
        """Remember ``version``, durably, unless a higher one is known."""
        known = self._newest.get(kind)
        if known is not None and version <= known:
            return
        self._newest[kind] = version
        text = json.dumps({name: entry.model_dump() for name, entry in self._newest.items()})
        await asyncio.to_thread(write_atomic, self._path, text)


def _load(path: Path) -> dict[DocumentKind, Version]:
    data = read_optional(path)
    if data is None:
        return {}
    try:
        found = json.loads(data)
        return {DocumentKind(name): Version.model_validate(value) for name, value in found.items()}
    except (ValueError, AttributeError, ValidationError) as error:
        raise ConfigError(
            [f"paths.state_dir: {path} is damaged; restore or delete it: {error}"]
        ) from error

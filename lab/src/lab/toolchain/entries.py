"""Entries of the tool cache: a folder for each family and key, complete or not there.

The key is the digest of what an entry is made from. ``made-from.json`` is written last and lists
what the entry holds, so a folder without it, or with less than it lists, does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.paths import Cache
from lab.toolchain.families import Family, family_of

_KEY_LENGTH = 16
_MADE_FROM = "made-from.json"


def sources(family: Family) -> str:
    """Return the digest of all that decides what a family becomes, the Go compiler apart."""
    digest = hashlib.sha256()
    for file in sorted(file for file in family.folder.rglob("*") if file.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(family.folder)} {content}\n".encode())
    more = [family.flags(), dict(family.programs), list(family.libraries), repr(family.data)]
    digest.update(json.dumps(more, sort_keys=True).encode())
    return digest.hexdigest()


def key(family: Family, go_version: str) -> str:
    """Return the key of what this ``go`` would build."""
    text = f"{sources(family)} {go_version}"
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


@dataclass(frozen=True)
class Entry:
    """One folder of the tool cache."""

    folder: Path

    @property
    def programs(self) -> Path:
        """Its programs."""
        return self.folder / "bin"

    @property
    def data(self) -> Path:
        """Its files from modules."""
        return self.folder / "data"

    def made_from(self) -> dict[str, Any]:
        """Return what it is made from; empty where that cannot be read."""
        try:
            told = json.loads((self.folder / _MADE_FROM).read_text())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def lack(self, family: Family) -> str:
        """Return what is wrong with it, empty when it is complete."""
        told = self.made_from()
        if not told:
            return f"no {_MADE_FROM}"
        sizes = told.get("files", {})
        for name in family.programs:
            if f"bin/{name}" not in sizes:
                return f"no program {name}"
        for name, size in sizes.items():
            file = self.folder / name
            if not file.is_file() or file.stat().st_size != size:
                return f"{name} is not what was built"
        return ""

    def seal(self, facts: Mapping[str, Any]) -> int:
        """List what it holds, which makes it complete; return its size in bytes."""
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        sizes = {str(file.relative_to(self.folder)): file.stat().st_size for file in files}
        text = json.dumps({**facts, "files": sizes}, indent=2) + "\n"
        (self.folder / _MADE_FROM).write_text(text)
        return sum(sizes.values())


def of(cache: Cache, family: Family, go_version: str) -> Entry:
    """Return where the entry of a family is, or would be."""
    return Entry(cache.tools / f"{family.name}-{key(family, go_version)}")


def made_by_any(cache: Cache, family: Family) -> Entry | None:
    """Return a complete entry from these sources, whichever Go built it; the newest first."""
    wanted = sources(family)
    found = [Entry(folder) for folder in cache.tools.glob(f"{family.name}-*")]
    fitting = [entry for entry in found if entry.made_from().get("sources") == wanted]
    complete = [entry for entry in fitting if not entry.lack(family)]
    return max(complete, key=lambda entry: entry.folder.stat().st_mtime, default=None)


@dataclass(frozen=True)
class Tools:
    """Complete families.

    Attributes:
        entries: By family, its entry.
    """

    entries: Mapping[str, Entry]

    def program(self, name: str) -> Path:
        """Return the file of a program.

        Raises:
            LabError: No family has it, or its family is not among these.
        """
        return self._entry(family_of(name).name).programs / name

    def folder(self, family: str) -> Path:
        """Return the folder with a family's programs.

        Raises:
            LabError: It is not among these families.
        """
        return self._entry(family).programs

    def data(self, family: str) -> Path:
        """Return the folder with a family's files, such as its custom resource definitions.

        Raises:
            LabError: It is not among these families.
        """
        return self._entry(family).data

    def _entry(self, family: str) -> Entry:
        if family not in self.entries:
            raise LabError(f"the tool family {family} was not built", f"run `lab build {family}`")
        return self.entries[family]

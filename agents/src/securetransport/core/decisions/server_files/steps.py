"""The steps towards the wanted files."""

from __future__ import annotations

from dataclasses import dataclass

from securetransport.core.decisions.server_files.leaf import LeafNeed


@dataclass(frozen=True, slots=True)
class IssueLeaf:
    """Get a new server leaf from the active issuer."""

    need: LeafNeed


@dataclass(frozen=True, slots=True)
class WriteFiles:
    """Write a new generation of the files and switch to it."""


@dataclass(frozen=True, slots=True)
class NoteVersions:
    """Remember that newer documents ask for the very files in force."""


@dataclass(frozen=True, slots=True)
class ReloadServer:
    """Tell the server to read its files, and look whether it did."""


@dataclass(frozen=True, slots=True)
class Attest:
    """State in OpenBao what is in force."""

    is_served: bool


Step = IssueLeaf | WriteFiles | NoteVersions | ReloadServer | Attest

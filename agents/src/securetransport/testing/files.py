"""A file system in memory: whole files, modes, links; it can be full, and it can lose its process.

::

    files = FakeFiles()
    files.make_dir(Path("/srv"))                     # as an administrator made it
    files.is_full = True                             # every write: SecureTransportError
    files.crash_before(3)                            # the third change raises ProcessDied instead
    files = files.after_crash()                      # the same content for the next process
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports.files import PRIVATE_DIR, PRIVATE_FILE

_DIR_MODE: Final = 0o755
_MOST_LINKS: Final = 40
_PERMISSION_BITS: Final = 0o777


class ProcessDied(BaseException):
    """The process ended before this call took effect; nothing in the product catches it."""


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class _Dir:
    mode: int
    owner: str = ""


@dataclass(frozen=True, slots=True)
class _Link:
    target: Path


class FakeFiles:
    """Implements ``Files`` in memory.

    Attributes:
        is_full: While ``True`` whatever needs space is refused; the old content stays.
        failures: Errors to raise, one per call, before anything else happens.
        changes: Name and path of every call that changed something, for assertions.
    """

    def __init__(self) -> None:
        self._nodes: dict[Path, _File | _Dir | _Link] = {Path("/"): _Dir(_DIR_MODE)}
        self._until_crash: int | None = None
        self.is_full = False
        self.failures: list[SecureTransportError] = []
        self.changes: list[tuple[str, Path]] = []

    # --- what a test does to it ---------------------------------------------------------------

    def make_dir(self, path: Path, *, mode: int = _DIR_MODE, owner: str = "") -> None:
        """Make a directory and its parents; ``owner`` is another user's name."""
        for parent in reversed(_absolute(path).parents):
            self._nodes.setdefault(parent, _Dir(_DIR_MODE))
        self._nodes[_absolute(path)] = _Dir(mode, owner)

    def crash_before(self, change: int) -> None:
        """Let the ``change``-th change from now, 1 or more, end the process instead."""
        self._until_crash = change

    def after_crash(self) -> FakeFiles:
        """Return the same file system for the next process: its content, none of its faults."""
        found = FakeFiles()
        found._nodes = self._nodes
        return found

    def mode(self, path: Path) -> int:
        """Return the permission bits of a file or directory."""
        node = self._nodes[self._resolved(path, "stat")]
        assert not isinstance(node, _Link)  # noqa: S101  # links are resolved
        return node.mode

    # --- the port -----------------------------------------------------------------------------

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file, links followed; ``None`` when it does not exist."""
        self._enter()
        where = self._resolved(path, "cannot read file")
        node = self._nodes.get(where)
        if node is None and not self._is_below_file(where):
            return None
        if isinstance(node, _File):
            return node.data
        raise _refused("cannot read file", path, "Is a directory" if node else "Not a directory")

    def write(self, path: Path, data: bytes | str, mode: int = PRIVATE_FILE) -> None:
        """Replace ``path`` by a file with ``data``, durably."""
        self._enter()
        where = self._place(path, "cannot write file")
        if self.is_full:
            raise _refused("cannot write file", path, "No space left on device")
        self._change("write", path)
        content = data.encode() if isinstance(data, str) else bytes(data)
        self._nodes[where] = _File(content, mode & _PERMISSION_BITS)

    def private_dir(self, path: Path) -> Path:
        """Make ``path`` (and its parents) unless it exists; return it, open to its owner only."""
        self._enter()
        message = "cannot make private directory"
        where = self._resolved(path, message)
        node = self._nodes.get(where)
        if isinstance(node, _File) or (node is None and self._is_below_file(where)):
            raise _refused(message, path, "File exists" if node else "Not a directory")
        if isinstance(node, _Dir) and node.owner:
            raise SecureTransportError(
                "directory belongs to another user", path=str(path), owner=node.owner
            )
        if node == _Dir(PRIVATE_DIR):
            return path
        if node is None and self.is_full:
            raise _refused(message, path, "No space left on device")
        self._change("private_dir", path)
        for parent in reversed(where.parents):
            self._nodes.setdefault(parent, _Dir(_DIR_MODE))
        self._nodes[where] = _Dir(PRIVATE_DIR)
        return path

    def entries(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted; an absent one has none."""
        self._enter()
        where = self._resolved(path, "cannot list directory")
        node = self._nodes.get(where)
        if isinstance(node, _File) or (node is None and self._is_below_file(where)):
            raise _refused("cannot list directory", path, "Not a directory")
        return sorted(known.name for known in self._below(where) if known.parent == where)

    def link(self, path: Path, target: Path) -> None:
        """Make ``path`` a symbolic link to ``target``, in place of a file or link there."""
        self._enter()
        where = self._place(path, "cannot make link")
        if self.is_full:
            raise _refused("cannot make link", path, "No space left on device")
        self._change("link", path)
        self._nodes[where] = _Link(target)

    def link_target(self, path: Path) -> Path | None:
        """Return what a link names; ``None`` when ``path`` is absent or no link."""
        self._enter()
        parent = self._resolved(path.parent, "cannot read link")
        node = self._nodes.get(parent / path.name)
        return node.target if isinstance(node, _Link) else None

    def remove(self, path: Path) -> None:
        """Remove a file, a link (not its target) or a directory with all in it."""
        self._enter()
        where = self._resolved(path.parent, "cannot remove") / path.name
        if where not in self._nodes:
            if self._is_below_file(where):
                raise _refused("cannot remove", path, "Not a directory")
            return
        self._change("remove", path)
        for known in [*self._below(where), where]:
            del self._nodes[known]

    # --- inside -------------------------------------------------------------------------------

    def _enter(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def _change(self, what: str, path: Path) -> None:
        if self._until_crash is not None:
            self._until_crash -= 1
            if self._until_crash <= 0:
                self._until_crash = 1  # a dead process does nothing more
                raise ProcessDied
        self.changes.append((what, path))

    def _below(self, folder: Path) -> Iterator[Path]:
        return (known for known in list(self._nodes) if folder in known.parents)

    def _is_below_file(self, path: Path) -> bool:
        return any(isinstance(self._nodes.get(parent), _File) for parent in path.parents)

    def _place(self, path: Path, message: str) -> Path:
        """Return where a file or link of this path lies; its own link is not followed."""
        parent = self._resolved(path.parent, message)
        node = self._nodes.get(parent)
        if node is None:
            is_file = self._is_below_file(parent)
            reason = "Not a directory" if is_file else "No such file or directory"
            raise _refused(message, path, reason)
        if not isinstance(node, _Dir):
            raise _refused(message, path, "Not a directory")
        where = parent / path.name
        if isinstance(self._nodes.get(where), _Dir):
            raise _refused(message, path, "Is a directory")
        return where

    def _resolved(self, path: Path, message: str) -> Path:
        """Follow every link on the way, as the system does."""
        links = 0
        left, where = list(_absolute(path).parts[1:]), Path("/")
        while left:
            where /= left.pop(0)
            node = self._nodes.get(where)
            if isinstance(node, _Link):
                links += 1
                if links > _MOST_LINKS:
                    raise _refused(message, path, "Too many levels of symbolic links")
                target = Path(os.path.normpath(where.parent / node.target))
                left, where = [*target.parts[1:], *left], Path("/")
        return where


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path if path.is_absolute() else Path("/") / path))


def _refused(message: str, path: Path, reason: str) -> SecureTransportError:
    return SecureTransportError(message, path=str(path), reason=reason)

"""Files of this machine as :class:`securetransport.core.ports.Files`.

A reader of a file written by :func:`write_atomic` sees the old bytes or the new ones, also after a
power loss, and a secret is never readable by others, not even for a moment.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports.files import PRIVATE_DIR, PRIVATE_FILE

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class LocalFiles:
    """Implements ``Files`` on the file system of this machine."""

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file, links followed; ``None`` when it does not exist."""
        return read_optional(path)

    def write(self, path: Path, data: bytes | str, mode: int = PRIVATE_FILE) -> None:
        """Replace ``path`` by a file with ``data``, durably."""
        write_atomic(path, data, mode)

    def private_dir(self, path: Path) -> Path:
        """Make ``path`` (and its parents) unless it exists; return it, open to its owner only."""
        return ensure_private_dir(path)

    def entries(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted; an absent one has none."""
        with _translated("cannot list directory", path):
            try:
                return sorted(entry.name for entry in path.iterdir())
            except FileNotFoundError:
                return []

    def link(self, path: Path, target: Path) -> None:
        """Make ``path`` a symbolic link to ``target``, in place of a file or link there."""
        temporary = path.with_name(f".{path.name}.link")
        with _translated("cannot make link", path):
            try:
                temporary.unlink(missing_ok=True)
                temporary.symlink_to(target)
                temporary.replace(path)
                _sync_directory(path.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def link_target(self, path: Path) -> Path | None:
        """Return what a link names; ``None`` when ``path`` is absent or no link."""
        with _translated("cannot read link", path):
            return path.readlink() if path.is_symlink() else None

    def remove(self, path: Path) -> None:
        """Remove a file, a link (not its target) or a directory with all in it."""
        with _translated("cannot remove", path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@contextmanager
def _translated(message: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SecureTransportError(
            message, path=str(path), reason=error.strerror or str(error)
        ) from error


def write_atomic(path: Path, data: bytes | str, mode: int = PRIVATE_FILE) -> None:
    """Replace ``path`` by a file with ``data``, durably.

    The bytes go to a temporary file of mode 0600 in the same directory and are flushed to the disk;
    the file gets ``mode`` and is renamed over ``path``; then the directory is flushed too.

    Args:
        path: Target; its directory must exist.
        data: New content; text is written as UTF-8.
        mode: Permission bits of the result.

    Raises:
        SecureTransportError: The directory is missing, not writable, or full.
    """
    content = data.encode() if isinstance(data, str) else data
    temporary: str | None = None
    with _translated("cannot write file", path):
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(temporary).replace(path)
            temporary = None
            _sync_directory(path.parent)
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


def read_optional(path: Path) -> bytes | None:
    """Return the content of ``path``, ``None`` when it does not exist.

    Raises:
        SecureTransportError: It exists and cannot be read.
    """
    with _translated("cannot read file", path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def ensure_private_dir(path: Path) -> Path:
    """Make ``path`` (and its parents) unless it exists; return it, readable by its owner only.

    Raises:
        SecureTransportError: It is no directory, belongs to somebody else, or cannot be made.
    """
    with _translated("cannot make private directory", path):
        path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise SecureTransportError(
                "directory belongs to another user", path=str(path), owner=found.st_uid
            )
        if found.st_mode & _OTHERS:
            path.chmod(PRIVATE_DIR)
    return path


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

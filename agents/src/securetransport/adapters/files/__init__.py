"""Files that must be whole and private: atomic writes, optional reads, private directories.

A reader of a file written by :func:`write_atomic` sees the old bytes or the new ones, also after a
power loss, and a secret is never readable by others, not even for a moment.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import SecureTransportError

PRIVATE_FILE: Final = 0o600
PRIVATE_DIR: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


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
    except OSError as error:
        raise SecureTransportError(
            "cannot write file", path=str(path), reason=error.strerror or str(error)
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def read_optional(path: Path) -> bytes | None:
    """Return the content of ``path``, ``None`` when it does not exist.

    Raises:
        SecureTransportError: It exists and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecureTransportError(
            "cannot read file", path=str(path), reason=error.strerror or str(error)
        ) from error


def ensure_private_dir(path: Path) -> Path:
    """Make ``path`` (and its parents) unless it exists; return it, readable by its owner only.

    Raises:
        SecureTransportError: It is no directory, belongs to somebody else, or cannot be made.
    """
    try:
        path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise SecureTransportError(
                "directory belongs to another user", path=str(path), owner=found.st_uid
            )
        if found.st_mode & _OTHERS:
            path.chmod(PRIVATE_DIR)
    except OSError as error:
        raise SecureTransportError(
            "cannot make private directory", path=str(path), reason=error.strerror or str(error)
        ) from error
    return path


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

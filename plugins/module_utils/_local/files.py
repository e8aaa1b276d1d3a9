# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that backends write: whole or not at all, with the mode set before a byte is in them.

Ansible's ``atomic_move`` is a method of its module object and flushes nothing to the disk, and the
agents' ``securetransport.adapters.files`` is in the wheel, which most hosts that get files do not
need; so the one writer of the collection is here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .._errors import PlatformError

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


class PreparedFile:
    """A file that already has its place and mode but not yet its name.

    Preparing first shows that the directory can be written before something is asked for that is
    given only once, such as a recovery key.
    """

    def __init__(self, path: Path, descriptor: int, temporary: Path) -> None:
        self._path = path
        self._stream = os.fdopen(descriptor, "wb")
        self._temporary = temporary

    def commit(self, content: str | bytes) -> None:
        """Write the content, make it durable, and give the file its name."""
        self._stream.write(content if isinstance(content, bytes) else content.encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Remove what was prepared; does nothing after :meth:`commit`."""
        self._stream.close()
        self._temporary.unlink(missing_ok=True)


@contextmanager
def prepared(path: str, *, option: str, mode: int = PRIVATE) -> Iterator[PreparedFile]:
    """Yield a file ready to be committed under ``path``; without a commit nothing stays.

    Raises:
        PlatformError: The directory does not exist or cannot be written.
    """
    target = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as err:
        raise PlatformError(f"{option}: cannot write into {target.parent}: {err.strerror}") from err
    file = PreparedFile(target, descriptor, Path(name))
    try:
        os.fchmod(descriptor, mode)
        yield file
    except OSError as err:
        raise PlatformError(f"{option}: cannot write {target}: {err.strerror}") from err
    finally:
        file.discard()


def write_file(path: str, content: str | bytes, *, option: str, mode: int = PRIVATE) -> None:
    """Put a whole file in place; a reader sees the old content or the new one, never a part."""
    with prepared(path, option=option, mode=mode) as file:
        file.commit(content)


def read_optional(path: str, *, option: str) -> str | None:
    """Return a file's text, ``None`` when there is no such file.

    Raises:
        PlatformError: It is there and cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as err:
        raise PlatformError(f"{option}: cannot read {path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise PlatformError(f"{option}: {path} is not text in UTF-8") from err


def read_required(path: str, *, option: str) -> str:
    """Return a file's text.

    Raises:
        PlatformError: It does not exist or cannot be read.
    """
    text = read_optional(path, option=option)
    if text is None:
        raise PlatformError(f"{option}: {path} does not exist")
    return text


def has_mode(path: str, mode: int) -> bool:
    """Return whether an existing file has exactly these permission bits."""
    return Path(path).stat().st_mode & 0o7777 == mode


def remove_file(path: str, *, option: str) -> None:
    """Remove a file if it is there."""
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as err:
        raise PlatformError(f"{option}: cannot remove {path}: {err.strerror}") from err

# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small files and directories brought to a wanted state, atomically, without following links."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .._errors import PlatformError
from .._outcome import Outcome
from .._values import within
from .files import remove_file, write_file

# Four digits: YAML reads 0644 without quotes as the number 420, which must not pass for 0420.
_MODE: Final = re.compile(r"0[0-7]{3}")
_WORLD_WRITABLE: Final = 0o002
_MOST_RANDOM_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class DirectorySpec:
    """A directory to have.

    Attributes:
        path: Absolute path.
        mode: Permissions, four octal digits.
    """

    path: str
    mode: str = "0700"


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file to have; either ``content`` or ``random_bytes`` is given.

    Attributes:
        path: Absolute path.
        content: Its text.
        random_bytes: How many random bytes a missing file is made of.
        mode: Permissions, four octal digits.
        secret: Whether to keep the content out of the difference.
    """

    path: str
    content: str | None = None
    random_bytes: int | None = None
    mode: str = "0600"
    secret: bool = False


@dataclass(frozen=True, slots=True)
class FileSetSpec:
    """What to bring about, in this order.

    Attributes:
        directories: To have, parents before children.
        files: To have.
        absent: Files not to have.
    """

    directories: Sequence[DirectorySpec]
    files: Sequence[FileSpec]
    absent: Sequence[str]


def ensure_file_set(spec: FileSetSpec, check_mode: bool) -> Outcome:
    """Bring directories and files to the wanted state.

    Raises:
        PlatformError: Something else is in the way, or a path or mode is not acceptable; its field
            ``changed_paths`` says what was changed before.
    """
    files = FileSet(dry=check_mode)
    try:
        for directory in spec.directories:
            files.directory(directory.path, _parsed_mode(directory.mode))
        for file in spec.files:
            mode = _parsed_mode(file.mode)
            if file.random_bytes is not None:
                files.random_file(file.path, file.random_bytes, mode)
            else:
                files.file(file.path, file.content or "", mode, secret=file.secret)
        for path in spec.absent:
            files.remove(path)
    except PlatformError as err:
        raise PlatformError(err.message, changed_paths=files.changed) from err
    except OSError as err:
        text = f"{err.filename}: {err.strerror}"
        raise PlatformError(text, changed_paths=files.changed) from err
    return Outcome(
        changed=bool(files.changed),
        diffs=files.diffs,
        facts={"changed_paths": files.changed},
    )


def _parsed_mode(text: str) -> int:
    """Return octal digits as permissions; others may never write.

    Raises:
        PlatformError: Not four octal digits, or writable for the world.
    """
    if not _MODE.fullmatch(text):
        raise PlatformError(f"mode {text!r} is not four octal digits in quotes such as '0640'")
    mode = int(text, 8)
    if mode & _WORLD_WRITABLE:
        raise PlatformError(f"mode {text!r} lets everybody write")
    return mode


class FileSet:
    """Brings a set of files and directories to the wanted state and remembers what changed.

    Args:
        dry: Whether only to tell.
    """

    def __init__(self, *, dry: bool) -> None:
        self.dry = dry
        self.changed: list[str] = []
        self.diffs: list[dict[str, str]] = []
        self._planned: set[str] = set()

    def directory(self, path: str, mode: int) -> None:
        """Have the directory ``path`` with ``mode``; missing parents get the same mode."""
        _check_absolute(path)
        path = path.rstrip("/") or "/"
        if path in self._planned:
            return
        found = _state_of(path)
        if found is None:
            parent = os.path.dirname(path)
            if _state_of(parent) is None:
                self.directory(parent, mode)
            self._planned.add(path)
            if not self.dry:
                os.mkdir(path, mode)
                os.chmod(path, mode)
            self._note(path, before="absent\n", after=f"directory, mode {mode:04o}\n")
            return
        if not stat.S_ISDIR(found.st_mode):
            raise PlatformError(f"{path} exists and is not a directory")
        self._permissions(path, stat.S_IMODE(found.st_mode), mode)

    def file(self, path: str, content: str | bytes, mode: int, *, secret: bool = False) -> None:
        """Have the file ``path`` with this content and ``mode``.

        Raises:
            PlatformError: Its directory is not there, or something else is in its place.
        """
        data = content if isinstance(content, bytes) else content.encode()
        found = self._regular(path)
        before = b""
        if found is not None:
            with open(path, "rb") as stream:
                before = stream.read()
            if before == data:
                self._permissions(path, stat.S_IMODE(found.st_mode), mode)
                return
        if secret:
            texts = ("(secret)\n" if found else "", "(new secret)\n")
        else:
            texts = (before.decode(errors="replace"), data.decode(errors="replace"))
        if not self.dry:
            write_file(path, data, option="path", mode=mode)
        self._note(path, before=texts[0], after=texts[1])

    def random_file(self, path: str, size: int, mode: int) -> None:
        """Have the file ``path``; a missing one is made of ``size`` random bytes.

        Raises:
            PlatformError: The file has another size; it is never replaced.
        """
        within(size, 1, _MOST_RANDOM_BYTES, option=f"{path}: random_bytes")
        found = self._regular(path)
        if found is None:
            self.file(path, secrets.token_bytes(size), mode, secret=True)
        elif found.st_size != size:
            raise PlatformError(f"{path} has {found.st_size} bytes, not {size}; it is not replaced")
        else:
            self._permissions(path, stat.S_IMODE(found.st_mode), mode)

    def remove(self, path: str) -> None:
        """Have no file at ``path``."""
        if self._regular(path) is None:
            return
        if not self.dry:
            remove_file(path, option="absent")
        self._note(path, before="present\n", after="absent\n")

    def _regular(self, path: str) -> os.stat_result | None:
        """Return the status of a regular file, ``None`` when it can be made."""
        _check_absolute(path)
        found = _state_of(path)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise PlatformError(f"{path} exists and is not a regular file")
        return found

    def _permissions(self, path: str, before: int, after: int) -> None:
        if before != after:
            if not self.dry:
                os.chmod(path, after)
            self._note(path, before=f"mode {before:04o}\n", after=f"mode {after:04o}\n")

    def _note(self, path: str, *, before: str, after: str) -> None:
        self.changed.append(path)
        self.diffs.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )


def _state_of(path: str) -> os.stat_result | None:
    """Return the path's own status, not that of a link's target; ``None`` when nothing is there."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _check_absolute(path: str) -> None:
    # Where a module runs is nobody's choice, so a relative path means nothing.
    if not os.path.isabs(path):
        raise PlatformError(f"{path} is not an absolute path")

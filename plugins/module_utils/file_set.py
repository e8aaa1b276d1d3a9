# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small files and directories brought to a wanted state, atomically, without following links."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile

from ansible.module_utils.common.text.converters import to_text
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError


def parse_mode(text: str) -> int:
    """Return an octal string as permissions; others may never write.

    Raises:
        PlatformError: Not octal, or writable for the world.
    """
    try:
        mode = int(text, 8)
    except ValueError:
        raise PlatformError(f"mode {text!r} is not an octal number") from None
    if mode & ~0o777 or mode & 0o002:
        raise PlatformError(f"mode {text!r} is outside 0000-0775")
    return mode


def state_of(path: str) -> os.stat_result | None:
    """Return the path's own status, not that of a link's target; ``None`` when nothing is there."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def write_atomic(path: str, data: bytes, mode: int) -> None:
    """Put ``data`` at ``path`` so that a reader sees the old or the new content, never a part."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".file-set-")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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
        """Have the directory ``path`` with ``mode``."""
        if path in self._planned:
            return
        found = state_of(path)
        if found is None:
            parent = os.path.dirname(path)
            if parent != path and state_of(parent) is None:
                self.directory(parent, mode)
            self._planned.add(path)
            self._note(path, before="absent\n", after=f"directory, mode {mode:04o}\n")
            if not self.dry:
                os.mkdir(path, mode)
                os.chmod(path, mode)
            return
        if not stat.S_ISDIR(found.st_mode):
            raise PlatformError(f"{path} exists and is not a directory")
        self._permissions(path, stat.S_IMODE(found.st_mode), mode)

    def file(self, path: str, data: bytes, mode: int, *, secret: bool = False) -> None:
        """Have the file ``path`` with the content ``data`` and ``mode``."""
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
            texts = (to_text(before, errors="replace"), to_text(data, errors="replace"))
        self._note(path, before=texts[0], after=texts[1])
        if not self.dry:
            write_atomic(path, data, mode)

    def random_file(self, path: str, size: int, mode: int) -> None:
        """Have the file ``path``; a missing one is made of ``size`` random bytes."""
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
        self._note(path, before="present\n", after="absent\n")
        if not self.dry:
            os.unlink(path)

    def _regular(self, path: str) -> os.stat_result | None:
        found = state_of(path)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise PlatformError(f"{path} exists and is not a regular file")
        return found

    def _permissions(self, path: str, before: int, after: int) -> None:
        if before != after:
            self._note(path, before=f"mode {before:04o}\n", after=f"mode {after:04o}\n")
            if not self.dry:
                os.chmod(path, after)

    def _note(self, path: str, *, before: str, after: str) -> None:
        self.changed.append(path)
        self.diffs.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )

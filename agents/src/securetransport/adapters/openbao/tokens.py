"""The token that the bao agent keeps in a file: read when it changes, never logged."""

from __future__ import annotations

import threading
from pathlib import Path

from securetransport.core.base.errors import SecretStoreUnavailableError


class TokenFile:
    """Gives the newest token of a file; safe for threads.

    The file's identity, time and size are looked at on every call, which costs microseconds, so a
    token that the bao agent renewed is used by the next call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._token = ""

    def current(self) -> str:
        """Return the token.

        Raises:
            SecretStoreUnavailableError: No file, or nothing in it: the bao agent has not logged in.
        """
        return self._read(is_forced=False)

    def reread(self, refused: str) -> str | None:
        """Read the file whatever its time says; return its token if it is not ``refused``."""
        token = self._read(is_forced=True)
        return None if token == refused else token

    def _read(self, *, is_forced: bool) -> str:
        with self._lock:
            try:
                found = self._path.stat()
                mark = (found.st_ino, found.st_mtime_ns, found.st_size)
                if is_forced or mark != self._seen or not self._token:
                    self._token = self._path.read_text(encoding="ascii").strip()
                    self._seen = mark
            except (OSError, UnicodeDecodeError) as error:
                raise SecretStoreUnavailableError(
                    "no token yet; is the bao agent logged in?", token_file=str(self._path)
                ) from error
            if not self._token:
                raise SecretStoreUnavailableError(
                    "token file is empty; is the bao agent logged in?", token_file=str(self._path)
                )
            return self._token

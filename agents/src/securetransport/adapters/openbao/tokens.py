"""The token that the bao agent keeps in a file: read when it changes, never logged."""

from __future__ import annotations

import threading
from pathlib import Path

from securetransport.core.base.errors import SecretStoreUnavailableError


class TokenFile:
    """Gives the newest token of a file; safe for threads.

    The file's identity, time and size are looked at on every call, which costs microseconds, so a
    token that the bao agent renewed is used by the next call. A file that vanished or was emptied
    says nothing about the token that was in it: that one is used until OpenBao refuses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._token = ""

    def current(self) -> str:
        """Return the token.

        Raises:
            SecretStoreUnavailableError: There never was one: the bao agent has not logged in.
        """
        return self._read(is_forced=False)

    def reread(self, refused: str) -> str | None:
        """Read the file whatever its time says; return its token if it is not ``refused``."""
        token = self._read(is_forced=True)
        return None if token == refused else token

    def _read(self, *, is_forced: bool) -> str:
        with self._lock:
            reason: OSError | UnicodeDecodeError | None = None
            try:
                found = self._path.stat()
                mark = (found.st_ino, found.st_mtime_ns, found.st_size)
                if is_forced or mark != self._seen or not self._token:
                    # One that is being written anew is empty for a moment.
                    self._token = self._path.read_text(encoding="ascii").strip() or self._token
                    self._seen = mark
            except (OSError, UnicodeDecodeError) as error:
                reason = error
            if not self._token:
                raise SecretStoreUnavailableError(
                    "no token yet; is the bao agent logged in, and its secret-id good?",
                    token_file=str(self._path),
                ) from reason
            return self._token

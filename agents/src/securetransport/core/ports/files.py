"""Files that must be whole and private.

What every implementation shows in one contract suite:

1. A reader of a written file sees the old bytes or the new ones, also after a power loss; who holds
   the old file open goes on reading it.
2. A written file has exactly the asked mode, whatever was there before; it is never readable by
   others for a moment in between.
3. A link is replaced in one instant: every reader sees the old target or the new one.
4. A call that fails changes nothing and leaves nothing behind.

Every method raises ``SecureTransportError`` with ``path`` and ``reason`` when the system refuses;
where "is not there" is an answer, it is not an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

PRIVATE_FILE: Final = 0o600
PRIVATE_DIR: Final = 0o700


class Files(Protocol):
    """A file system; every path is absolute or relative to the process's directory."""

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file, links followed; ``None`` when it does not exist."""
        ...

    def write(self, path: Path, data: bytes | str, mode: int = PRIVATE_FILE) -> None:
        """Replace ``path`` by a file with ``data``, durably.

        Args:
            path: Target; its directory must exist. A link there is replaced, not followed.
            data: New content; text is written as UTF-8.
            mode: Permission bits of the result.
        """
        ...

    def private_dir(self, path: Path) -> Path:
        """Make ``path`` (and its parents) unless it exists; return it, open to its owner only.

        It is refused when it belongs to another user.
        """
        ...

    def entries(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted; an absent one has none."""
        ...

    def link(self, path: Path, target: Path) -> None:
        """Make ``path`` a symbolic link to ``target``, in place of a file or link that was there.

        Args:
            path: Where; its directory must exist.
            target: What it names, relative to the directory of ``path`` or absolute; it need not
                exist.
        """
        ...

    def link_target(self, path: Path) -> Path | None:
        """Return what a link names; ``None`` when ``path`` is absent or no link."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file, a link (not its target) or a directory with all in it; absent is fine."""
        ...

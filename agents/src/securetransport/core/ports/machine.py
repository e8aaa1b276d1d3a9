"""The machine of a platform as somebody sees it who looks and changes nothing.

What every implementation shows in one contract suite:

1. What is not there is ``None`` or an empty answer, not an error; what may not be looked at is an
   error of our tree.
2. Nothing is changed, started or signalled.
3. An HTTP question takes no longer than its time-out, whatever the other side does, and goes to the
   address that it names: through no proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file system tells of a path.

    Attributes:
        mode: Permission bits.
        is_own: Whether it belongs to the user of this process.
    """

    mode: int
    is_own: bool


@dataclass(frozen=True, slots=True)
class Supervised:
    """A process as its supervisor tells it.

    Attributes:
        name: Of the program.
        state: The supervisor's word, for example ``RUNNING``.
        pid: 0 when there is none.
        exit_code: Of its last end.
        uptime_seconds: Since its last start; 0 when it does not run.
    """

    name: str
    state: str
    pid: int
    exit_code: int
    uptime_seconds: float


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer over HTTP.

    Attributes:
        status: Its code.
        body: At most 64 KiB of it.
        date: The other side's clock, as it told it.
    """

    status: int
    body: bytes
    date: datetime | None


class Machine(Protocol):
    """One machine."""

    def facts(self, path: Path) -> FileFacts | None:
        """Return what is known of a path, links followed; ``None`` when it does not exist.

        Raises:
            SecureTransportError: It cannot be looked at.
        """
        ...

    def free(self, path: Path) -> tuple[int, int]:
        """Return the free bytes of a path's file system, and how many files may be made there.

        Raises:
            SecureTransportError: It cannot be looked at.
        """
        ...

    def open_files(self) -> int:
        """Return how many files a process that this session starts may open at most."""
        ...

    def tail(self, path: Path, most_bytes: int) -> bytes:
        """Return the end of a file; empty when it is not there.

        Raises:
            SecureTransportError: It cannot be read.
        """
        ...

    def supervised(self, directory: Path) -> list[Supervised]:
        """Return what the supervisord of a folder keeps running.

        Raises:
            TransientError: It does not answer.
        """
        ...

    def is_frozen(self, pid: int) -> bool:
        """Tell whether a signal keeps a process from running."""
        ...

    async def get(
        self, url: str, *, ca_file: Path | None = None, timeout_seconds: float = 2.0
    ) -> HttpAnswer:
        """Ask an address over HTTP; over TLS ``ca_file`` says who is believed.

        Raises:
            TransientError: It did not answer in time, or not as it must.
        """
        ...

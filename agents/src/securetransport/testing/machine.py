"""A machine in memory: its files, its supervisors with their processes, and who answers over HTTP.

::

    machine = FakeMachine(files)
    machine.supervisors[Path("/state/servers")] = [Supervised("nats-1", "RUNNING", 7, 0, 60.0)]
    machine.frozen.add(7)                            # a signal keeps it from running
    machine.answers["http://127.0.0.1:24225/livez"] = HttpAnswer(200, b"ok", None)
"""

from __future__ import annotations

from pathlib import Path

from securetransport.core.base.errors import TransientError
from securetransport.core.ports.machine import FileFacts, HttpAnswer, Supervised
from securetransport.testing.files import FakeFiles

_OPEN_FILES = 4096
_FREE_BYTES = 1 << 40
_FREE_FILES = 1 << 20


class FakeMachine:
    """Implements ``Machine`` in memory.

    Attributes:
        files: Its file system.
        foreign: Paths that belong to another user.
        supervisors: What the supervisord of a folder keeps running; absent, none answers.
        frozen: Process ids that a signal keeps from running.
        answers: What an address answers; absent, nobody does.
        free_bytes: Of every file system.
    """

    def __init__(self, files: FakeFiles) -> None:
        self.files = files
        self.foreign: set[Path] = set()
        self.supervisors: dict[Path, list[Supervised]] = {}
        self.frozen: set[int] = set()
        self.answers: dict[str, HttpAnswer] = {}
        self.free_bytes = _FREE_BYTES

    def facts(self, path: Path) -> FileFacts | None:
        """Return what is known of a path; ``None`` when it does not exist."""
        try:
            return FileFacts(self.files.mode(path), path not in self.foreign)
        except KeyError:
            return None

    def free(self, path: Path) -> tuple[int, int]:  # noqa: ARG002  # one file system for all
        """Return the free bytes and files."""
        return self.free_bytes, _FREE_FILES

    def open_files(self) -> int:
        """Return how many files a process may open."""
        return _OPEN_FILES

    def tail(self, path: Path, most_bytes: int) -> bytes:
        """Return the end of a file; empty when it is not there."""
        return (self.files.read(path) or b"")[-most_bytes:]

    def supervised(self, directory: Path) -> list[Supervised]:
        """Return what the supervisord of a folder keeps running."""
        if directory not in self.supervisors:
            raise TransientError("connection refused")
        return self.supervisors[directory]

    def is_frozen(self, pid: int) -> bool:
        """Tell whether a signal keeps a process from running."""
        return pid in self.frozen

    async def get(
        self,
        url: str,
        *,
        ca_file: Path | None = None,  # noqa: ARG002  # nobody pretends to be another here
        timeout_seconds: float = 2.0,  # noqa: ARG002  # no answer takes time
    ) -> HttpAnswer:
        """Return what an address answers."""
        if url not in self.answers:
            raise TransientError("connection refused")
        return self.answers[url]

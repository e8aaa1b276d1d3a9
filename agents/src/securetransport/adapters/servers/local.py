"""One nats-server process beside the caller, known by its process id file."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import SecureTransportError

CHECK_SECONDS: Final = 10.0
"""Longest check of a configuration; about 15 ms are usual."""

_COMMAND: Final = "nats-server"


class LocalServer:
    """Implements ``ServerControl`` for a process of this machine.

    Args:
        pid_file: Where the server writes its process id.
        binary: The server's program, a path or a name.
    """

    def __init__(self, pid_file: Path, binary: str = _COMMAND) -> None:
        self._pid_file = pid_file
        self._binary = binary

    def is_running(self) -> bool:
        """Tell whether the process named by the process id file is this server and lives."""
        return self._process() is not None

    def signal_reload(self) -> bool:
        """Tell the server to read its files again; returns whether there was one to tell."""
        pid = self._process()
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGHUP)
        except ProcessLookupError:
            return False
        return True

    async def problem_of(self, config: Path) -> str | None:
        """Let the server's program read a configuration; returns what it finds wrong.

        Raises:
            SecureTransportError: The program cannot be run.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                self._binary,
                "-t",
                "-c",
                str(config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as err:
            raise SecureTransportError(
                "server.binary cannot be run", binary=self._binary, reason=err.strerror
            ) from err
        try:
            output, _ = await asyncio.wait_for(process.communicate(), CHECK_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"the check took longer than {CHECK_SECONDS:.0f} s"
        return None if process.returncode == 0 else _text(output)

    def _process(self) -> int | None:
        """Return the process id, ``None`` when the server does not run.

        A stale file may name somebody else's process by now, whom a signal would kill; so the
        program of that process is looked at, where the system shows it.
        """
        try:
            pid = int(self._pid_file.read_bytes())
            if pid <= 0:  # 0 and negative numbers address whole process groups
                return None
            os.kill(pid, 0)
        except (OSError, ValueError, OverflowError):
            return None
        return pid if self._is_server(pid) else None

    def _is_server(self, pid: int) -> bool:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return not Path("/proc/self").exists()
        name = os.fsdecode(arguments[0]).rsplit("/", 1)[-1]
        return name in {_COMMAND, self._binary.rsplit("/", 1)[-1]}


def _text(output: bytes) -> str:
    """Return the program's words, or that it had none: an empty reason would read as success."""
    return output.decode(errors="replace").strip() or "refused without a reason"

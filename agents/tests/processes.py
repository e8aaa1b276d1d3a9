"""Child processes of tests, on loopback: free ports, waiting, killing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

BIN = Path(sys.executable).parent
LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((LOOPBACK, 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def wait_until(what: str, check: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll ``check`` until it is true; fail with ``what`` otherwise."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Process:
    """A child process with its log file; stopping it twice is fine."""

    def __init__(
        self, arguments: Sequence[str], log: Path, env: dict[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(  # fixed programs of the test environment
                arguments, stdout=output, stderr=output, env={**os.environ, **(env or {})}
            )

    def is_running(self) -> bool:
        return self.child.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def pause(self) -> None:
        """Stop it until ``SIGCONT``; returns when no thread of it runs any more."""
        self.child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.child.pid, os.WSTOPPED)

    def kill(self) -> None:
        if self.is_running():
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
        self.child.wait(20)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

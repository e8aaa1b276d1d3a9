"""A platform of the tests' own: free ports, a state directory of their own, and its playbooks."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PORTS = 100
_PLAY_SECONDS = 420
_RECAP = re.compile(
    r"^(\w+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE
)


def free_port_base() -> int:
    """Return the first of a block of ports on which nobody listens.

    Tests that run beside each other look in ranges of their own: nobody listens yet when they look.
    """
    first = 26000 + 3000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for base in range(first, first + 3000, PORTS):
        if all(_is_free(port) for port in range(base, base + 40)):
            return base
    raise AssertionError("no free block of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Play:
    """What one run of a playbook said."""

    exit_code: int
    text: str
    took_seconds: float

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts."""
        recap = _RECAP.findall(self.text)
        assert recap, self.text[-3000:]
        return sum(int(changed) for _, changed, _, _ in recap)

    def tasks_that_changed(self) -> list[str]:
        """Return the names of the tasks that changed something."""
        task, found = "", []
        for line in self.text.splitlines():
            if line.startswith("TASK ["):
                task = line
            elif line.startswith("changed:"):
                found.append(f"{task.rstrip(' *')} {line}")
        return found


@dataclass(frozen=True, slots=True)
class Platform:
    """One local platform.

    Attributes:
        state_dir: Its state directory; made by ``site.yml``.
        port_base: First of its ports.
        inventory: The folder that says what it is, or a list of hosts with commas.
    """

    state_dir: Path
    port_base: int
    inventory: Path | str = ROOT / "inventories" / "local"

    def play(self, name: str, *arguments: str, **variables: object) -> Play:
        """Run a playbook on it; check with ``Play.exit_code`` what came of it."""
        wanted = {
            "local_platform_state_dir": str(self.state_dir),
            "local_platform_port_base": self.port_base,
            **variables,
        }
        path = os.pathsep.join((str(BIN), os.environ.get("PATH", os.defpath)))
        begun = time.monotonic()
        done = subprocess.run(
            [
                BIN / "ansible-playbook",
                f"playbooks/{name}.yml",
                "--inventory",
                self.inventory,
                "--extra-vars",
                json.dumps(wanted),
                *arguments,
            ],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PLAY_SECONDS,
            check=False,
        )
        return Play(done.returncode, done.stdout, time.monotonic() - begun)

    def status(self) -> dict[str, Any] | None:
        """Return what the authority says, ``None`` while it does not answer."""
        config = self.state_dir / "authority" / "admin" / "cli.toml"
        done = subprocess.run(
            [BIN / "securetransport", "status", "--json", "--config", config],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        answer: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
        return answer

    def wait_for_rotations(self, count: int, seconds: float) -> int:
        """Wait until the CA was rotated ``count`` times; return how often it was."""
        deadline = time.monotonic() + seconds
        while True:
            picture = self.status()
            if picture is not None and picture["ca"]["rotations_completed"] >= count:
                return int(picture["ca"]["rotations_completed"])
            assert time.monotonic() < deadline, f"not {count} rotations in {seconds} s: {picture}"
            time.sleep(2)

    def pids(self, cluster: str) -> dict[str, int]:
        """Return the process id of each process of a cluster by its command line."""
        folder = f"{self.state_dir}/{cluster}/"
        return {command: pid for command, pid in self._running() if folder in command}

    def restarted(self, before: dict[str, int]) -> list[str]:
        """Return the end of the log of each process that is gone or another one now."""
        now = dict(self._running())
        found = []
        for command in (command for command, pid in before.items() if now.get(command) != pid):
            place = re.search(rf"{re.escape(str(self.state_dir))}/(\w+)/([\w-]+)", command)
            log = self.state_dir / place[1] / "log" / f"{place[2]}.log" if place else None
            text = log.read_text(errors="replace")[-6000:] if log and log.exists() else "no log"
            found.append(f"{command}: {text}")
        return found

    def processes(self) -> list[str]:
        """Return the command lines of the processes that name the state directory."""
        return [command for command, _pid in self._running()]

    def _running(self) -> list[tuple[str, int]]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.state_dir) in command and "ansible-playbook" not in command:
                found.append((command, int(entry.parent.name)))
        return found

"""The local platform as the demo handles it: Ansible to build it, supervisors to hurt it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STATE = ROOT / ".state" / "local"
CLUSTERS = ("authority", "servers", "services")
CLI_CONFIG = STATE / "authority" / "admin" / "cli.toml"
INVENTORY = "inventories/local"
_PLAY_LIMIT_SECONDS = 600
_CONTROL_LIMIT_SECONDS = 30


class DemoError(Exception):
    """The demo cannot go on; the text says why and where to look."""


@dataclass(frozen=True, slots=True)
class Process:
    """One supervised process."""

    cluster: str
    name: str
    state: str
    pid: int | None
    uptime: str


def play(name: str, log: Path, extra: Sequence[str] = ()) -> float:
    """Run a playbook and return how long it took, in seconds.

    Raises:
        DemoError: It failed; the last lines of its output are part of the text.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    command = [
        str(BIN / "ansible-playbook"),
        f"playbooks/{name}.yml",
        "-i",
        INVENTORY,
        *extra,
    ]
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(  # a fixed command of this project
            command,
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=_PLAY_LIMIT_SECONDS,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-30:])
        raise DemoError(f"playbook {name} failed; see {log.relative_to(ROOT)}\n{tail}")
    return time.monotonic() - began


def processes() -> list[Process]:
    """Return every supervised process of the three clusters."""
    found: list[Process] = []
    for cluster in CLUSTERS:
        for line in _supervisorctl(cluster, "status").splitlines():
            parts = line.split(maxsplit=2)
            if len(parts) >= 2:
                rest = parts[2] if len(parts) > 2 else ""
                found.append(_process(cluster, parts[0], parts[1], rest))
    return found


def kill(name: str) -> Process:
    """Send SIGKILL to a process by its name; its supervisor starts it again.

    Raises:
        DemoError: There is no such process running.
    """
    for process in processes():
        if process.name == name and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            return process
    raise DemoError(f"no running process {name} to kill")


def _process(cluster: str, name: str, state: str, rest: str) -> Process:
    pid: int | None = None
    uptime = ""
    words = rest.replace(",", " ").split()
    if "pid" in words:
        pid = int(words[words.index("pid") + 1])
    if "uptime" in words:
        uptime = words[words.index("uptime") + 1]
    return Process(cluster, name.rsplit(":", maxsplit=1)[-1], state, pid, uptime)


def _supervisorctl(cluster: str, *arguments: str) -> str:
    config = STATE / cluster / "supervisord.conf"
    done = subprocess.run(  # a fixed command of this project
        [str(BIN / "supervisorctl"), "-c", str(config), *arguments],
        capture_output=True,
        text=True,
        timeout=_CONTROL_LIMIT_SECONDS,
        check=False,
    )
    return done.stdout


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process, in MB; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    line = next((row for row in text.splitlines() if row.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1000

"""The local platform as a run handles it: Ansible builds it, supervisors tell of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import EvaluationError

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STATE = ROOT / ".state" / "local"
CLUSTERS = ("authority", "servers", "services")
SERVICES = STATE / "services"
CLI_CONFIG = STATE / "authority" / "admin" / "cli.toml"
INVENTORY = "inventories/local"
_PLAY_LIMIT_SECONDS = 600
_CONTROL_LIMIT_SECONDS = 30
_STATES = frozenset(
    {"STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"}
)


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
        EvaluationError: It failed; the last lines of its output are part of the text.
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
        raise EvaluationError(f"playbook {name} failed; see {log.relative_to(ROOT)}\n{tail}")
    return time.monotonic() - began


def processes() -> list[Process]:
    """Return every supervised process of the three clusters.

    Raises:
        EvaluationError: The supervisor of a cluster does not tell of any process.
    """
    found: list[Process] = []
    for cluster in CLUSTERS:
        listed = parse_processes(cluster, _supervisorctl(cluster, "status"))
        if not listed:
            raise EvaluationError(f"the supervisor of the cluster {cluster} tells of no process")
        found.extend(listed)
    return found


def parse_processes(cluster: str, told: str) -> list[Process]:
    """Return the processes of ``supervisorctl status``; lines of another form are left out."""
    found: list[Process] = []
    for line in told.splitlines():
        parts = line.split(maxsplit=2)
        if len(parts) >= 2 and parts[1] in _STATES:
            rest = parts[2] if len(parts) > 2 else ""
            found.append(_process(cluster, parts[0], parts[1], rest))
    return found


def is_running() -> bool:
    """Tell whether every process of every cluster runs."""
    try:
        found = processes()
    except (EvaluationError, OSError, subprocess.SubprocessError):
        return False
    return all(process.state == "RUNNING" for process in found)


def restarts(before: Sequence[Process], after: Sequence[Process], killed: AbstractSet[str]) -> int:
    """Return how many processes are not the same as before, or gone; those killed aside."""
    pids = {process.name: process.pid for process in after}
    known = {process.name for process in before}
    changed = [p.name for p in before if p.name not in killed and p.pid != pids.get(p.name)]
    return len(changed) + sum(1 for name in pids if name not in known)


def kill(name: str) -> Process:
    """Send SIGKILL to a process by its name; its supervisor starts it again.

    Raises:
        EvaluationError: There is no such process running.
    """
    for process in processes():
        if process.name == name and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            return process
    raise EvaluationError(f"no running process {name} to kill")


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

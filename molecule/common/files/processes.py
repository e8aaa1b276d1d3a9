"""Note which processes a platform runs, compare them with a note, or find that none is left.

Usage: ``processes.py note|compare STATE_DIR FILE [PATTERN ...]``, ``processes.py left STATE_DIR``.
The supervisors of the clusters are asked, never the files that Ansible wrote. A process is
``<cluster>/<program>``; those that match a pattern may differ. Ends with 1 and one line for each
that was stopped, started or restarted, or that is left and names the state directory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

CLUSTERS = ("authority", "servers", "services")


def running(state_dir: Path) -> dict[str, int]:
    """Return the process id of every running program, and of the supervisors themselves."""
    found: dict[str, int] = {}
    for cluster in CLUSTERS:
        socket = state_dir / cluster / "supervisor.sock"
        if not socket.exists():
            continue
        transport = SupervisorTransport(None, None, f"unix://{socket}")
        supervisor: Any = ServerProxy("http://127.0.0.1", transport=transport).supervisor
        try:
            found[f"{cluster}/supervisord"] = cast("int", supervisor.getPID())
            programs = cast("list[dict[str, Any]]", supervisor.getAllProcessInfo())
        except OSError:
            continue  # a socket that a killed supervisor left behind
        found |= {f"{cluster}/{entry['name']}": entry["pid"] for entry in programs if entry["pid"]}
    return found


def differences(before: dict[str, int], now: dict[str, int], patterns: list[str]) -> list[str]:
    """Return one line for each process that is not the same and should be."""
    lines = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new or any(fnmatch(name, pattern) for pattern in patterns):
            continue
        what = "was stopped" if new is None else "was started" if old is None else "was restarted"
        lines.append(f"{name} {what}: process {old} before, {new} now")
    return lines


def left(state_dir: Path) -> list[str]:
    """Return one line for each process of the machine whose arguments lie in the directory."""
    told = ["ps", "-eo", "pid=,args="]
    asked = subprocess.run(told, check=True, capture_output=True, text=True)
    return [line.strip() for line in asked.stdout.splitlines() if f"{state_dir}/" in line]


def main() -> int:
    """Note, compare, or look for what is left."""
    action, state_dir, *more = sys.argv[1:]
    if action == "left":
        lines = left(Path(state_dir))
    else:
        file, *patterns = more
        now = running(Path(state_dir))
        if action == "note":
            Path(file).write_text(json.dumps(now), encoding="utf-8")
            return 0
        lines = differences(json.loads(Path(file).read_text(encoding="utf-8")), now, patterns)
    print("\n".join(lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

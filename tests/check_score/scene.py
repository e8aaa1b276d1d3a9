"""A running local platform that can be hurt and healed: files, processes, addresses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

CLUSTERS = ("authority", "servers", "services")
_STOP_SECONDS = 40.0
# What the processes write themselves; a fault in it is theirs to repair, or no fault at all.
_LIVING = ("log", "raft", "jetstream", "state", "managed", "conf.d")


@dataclass
class Scene:
    """One platform under faults.

    Attributes:
        state_dir: Its state directory.
        run_dir: Its directory in memory.
        healing: What undoes the present fault, last first.
    """

    state_dir: Path
    run_dir: Path
    healing: list[Callable[[], None]] = field(default_factory=list)

    # --- what there is -----------------------------------------------------------------------

    def files(self) -> list[str]:
        """Return every file that somebody wrote once, relative to the state directory."""
        found = []
        for path in sorted(self.state_dir.rglob("*")):
            parts = path.relative_to(self.state_dir).parts
            is_living = any(part in _LIVING for part in parts)
            if path.is_file() and not is_living and path.suffix not in (".pid", ".sock", ".log"):
                found.append("/".join(parts))
        return [name for name in found if not Path(name).name.startswith(".")]

    def processes(self) -> list[str]:
        """Return ``<cluster>/<program>`` of every process."""
        return [
            f"{cluster}/{info['name']}"
            for cluster in CLUSTERS
            for info in self._daemon(cluster).getAllProcessInfo()
        ]

    def state_of(self, process: str) -> str:
        """Return the state that the supervisor tells."""
        cluster, name = process.split("/")
        return str(self._daemon(cluster).getProcessInfo(name)["statename"])

    def pid_of(self, process: str) -> int:
        """Return the process id."""
        cluster, name = process.split("/")
        return int(self._daemon(cluster).getProcessInfo(name)["pid"])

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.state_dir / name).read_bytes()

    # --- hurting -----------------------------------------------------------------------------

    def keep(self, path: Path) -> None:
        """Remember a file as it is; healing puts it back."""
        content, mode = path.read_bytes(), path.stat().st_mode & 0o777

        def restore() -> None:
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
            os.write(descriptor, content)
            os.close(descriptor)
            path.chmod(mode)

        self.healing.append(restore)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.keep(self.state_dir / name)
        (self.state_dir / name).unlink()

    def write(self, name: str, content: bytes) -> None:
        """Put other bytes into a file."""
        self.keep(self.state_dir / name)
        (self.state_dir / name).write_bytes(content)

    def set_mode(self, name: str, mode: int) -> None:
        """Give a file other rights."""
        path = self.state_dir / name
        before = path.stat().st_mode & 0o777
        self.healing.append(lambda: path.chmod(before))
        path.chmod(mode)

    def stop(self, process: str) -> None:
        """Stop a process in an orderly way, as by hand."""
        cluster, name = process.split("/")
        self._daemon(cluster).stopProcess(name)
        self.healing.append(lambda: self.start(process))

    def freeze(self, process: str) -> None:
        """Stop a process from running while it stays there."""
        pid = self.pid_of(process)
        os.kill(pid, signal.SIGSTOP)
        self.healing.append(lambda: os.kill(pid, signal.SIGCONT))

    def restart(self, *processes: str) -> None:
        """Let processes read what was changed; again when it is put back."""
        for process in processes:
            self.again(process)
        for process in processes:
            # Healing goes backwards: put first, it is called when the files are back.
            self.healing.insert(0, lambda name=process: self.again(name))  # type: ignore[misc]

    def shutdown(self, cluster: str) -> None:
        """End the supervisord of a cluster with all its programs."""
        self._daemon(cluster).shutdown()
        folder = self.state_dir / cluster
        assert wait_until(lambda: not (folder / "supervisord.pid").exists(), _STOP_SECONDS)
        command = [
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "-c",
            folder / "supervisord.conf",
        ]
        self.healing.append(lambda: subprocess.run(command, cwd=folder, check=True) and None)

    def heal(self) -> None:
        """Undo everything, last first."""
        while self.healing:
            self.healing.pop()()

    # --- the supervisors ---------------------------------------------------------------------

    def _daemon(self, cluster: str) -> Any:
        path = self.state_dir / cluster / "supervisor.sock"
        transport = SupervisorTransport(serverurl=f"unix://{path}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def again(self, process: str) -> None:
        cluster, name = process.split("/")
        if self.state_of(process) in ("RUNNING", "STARTING", "BACKOFF"):
            self._daemon(cluster).stopProcess(name)
        self.start(process)

    def start(self, process: str) -> None:
        cluster, name = process.split("/")
        try:
            self._daemon(cluster).startProcess(name, False)
        except xmlrpc.client.Fault as refused:
            if "ALREADY_STARTED" not in refused.faultString:
                raise


def wait_until(is_true: Callable[[], bool], seconds: float) -> bool:
    """Return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.5)
    return is_true()


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(path)

# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One supervisord of a cluster folder: start it, talk to it over its socket, shut it down.

supervisord reads ``<directory>/supervisord.conf`` and listens on ``<directory>/supervisor.sock``
only. Programs are one file each under ``<directory>/conf.d``; a program whose file changed is
restarted by :meth:`Supervisor.apply`, one that is gone is stopped, and nothing else is touched.
A program's ``digest`` stands for its configuration files, so that a program is restarted exactly
when what it read at its start is no longer what is on the disk, also after a run that broke off.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import traceback
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError

try:
    from supervisor.xmlrpc import SupervisorTransport

    SUPERVISOR_IMPORT_ERROR = None
except ImportError:
    SupervisorTransport = None
    SUPERVISOR_IMPORT_ERROR = traceback.format_exc()

_POLL_SECONDS = 0.1
# What the daemon and its programs inherit: nothing of the session that happened to start it.
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER")
_RUNNING = "RUNNING"
_ON_THE_WAY = ("STARTING", "BACKOFF")
ALIVE = (_RUNNING, *_ON_THE_WAY)


@dataclass(frozen=True)
class Program:
    """A process to keep running.

    Attributes:
        name: What people call it; also its log file's name.
        command: Program and arguments; no shell is between.
        directory: Where it starts.
        environment: Variables on top of what the daemon has.
        digest: Stands for its configuration; another value restarts it.
        stop_seconds: How long it may take to end before it is killed.
        stdout_file: Where its standard output goes, apart from its log; ``None`` for its log.
    """

    name: str
    command: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    digest: str
    stop_seconds: int
    stdout_file: str | None = None

    def render(self, log_directory: str) -> str:
        """Return the text of its file for supervisord."""
        command = " ".join(shlex.quote(part) for part in self.command)
        # supervisord compares what a file says, so the digest has to be said, not commented.
        variables = {**self.environment, "CONFIGURATION_DIGEST": self.digest or "none"}
        environment = ",".join(
            f'{name}="{_escaped(value)}"' for name, value in sorted(variables.items())
        )
        lines = [
            "; Written by Ansible; `securetransport.platform.supervisor_programs` owns this file.",
            f"[program:{self.name}]",
            f"command={_escaped(command)}",
            f"directory={_escaped(self.directory)}",
            f"environment={environment}",
            "autostart=true",
            # Any end is unexpected, but 78 says "my configuration is wrong": trying again is no cure.
            "autorestart=unexpected",
            "exitcodes=78",
            "startsecs=1",
            "startretries=100",
            f"stopwaitsecs={self.stop_seconds}",
            "stopasgroup=true",
            "killasgroup=true",
            *self._outputs(f"{log_directory}/{self.name}.log"),
        ]
        return "\n".join(lines) + "\n"

    def _outputs(self, log: str) -> list[str]:
        if self.stdout_file is None:
            return ["redirect_stderr=true", *_rotated("stdout", log, "10MB", 2)]
        return [
            "redirect_stderr=false",
            *_rotated("stdout", self.stdout_file, "50MB", 4),
            *_rotated("stderr", log, "10MB", 2),
        ]


@dataclass(frozen=True)
class Pending:
    """What differs between the files on disk and the programs that the daemon runs.

    Attributes:
        added: Programs that the daemon does not know yet.
        changed: Programs whose file changed.
        removed: Programs whose file is gone.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class Supervisor:
    """The supervisord of one cluster folder.

    Args:
        directory: Absolute path of the folder.
        timeout: Seconds that any wait may last.
    """

    def __init__(self, directory: str, *, timeout: float) -> None:
        self.directory = directory
        self.socket = os.path.join(directory, "supervisor.sock")
        self._timeout = timeout

    @property
    def _rpc(self) -> Any:
        # A fresh one per call: the transport keeps its connection, and cannot use it again once a
        # call on it has failed.
        return xmlrpc.client.ServerProxy(
            "http://localhost/RPC2",
            transport=SupervisorTransport(None, None, serverurl=f"unix://{self.socket}"),
            allow_none=True,
        ).supervisor

    def file_of(self, program: str) -> str:
        """Return where the file of a program lies."""
        return os.path.join(self.directory, "conf.d", f"{program}.conf")

    def is_running(self) -> bool:
        """Tell whether the daemon answers."""
        try:
            return bool(self._rpc.getState()["statename"] == _RUNNING)
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self) -> None:
        """Start the daemon and wait until it answers; its programs follow their ``autostart``.

        Raises:
            PlatformError: It ended at once or did not answer in time.
        """
        configuration = os.path.join(self.directory, "supervisord.conf")
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        started = subprocess.run(  # noqa: S603  # this interpreter, fixed arguments, no shell
            [sys.executable, "-m", "supervisor.supervisord", "-c", configuration],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self._timeout,
            check=False,
        )
        if started.returncode != 0:
            last = (started.stderr or started.stdout).strip().splitlines()[-1:] or ["no output"]
            raise PlatformError(f"supervisord of {self.directory} did not start: {last[0]}")
        self._wait(self.is_running, f"supervisord of {self.directory} does not answer")

    def shutdown(self) -> None:
        """Stop every program in an orderly way, then the daemon, and wait for its end.

        Raises:
            PlatformError: It is still there after the time-out.
        """
        pid = int(self._rpc.getPID())
        self._rpc.shutdown()
        self._wait(
            lambda: not _is_alive(pid), f"supervisord of {self.directory} (pid {pid}) does not end"
        )

    def states(self) -> dict[str, str]:
        """Return the state name of every program that the daemon knows."""
        return {entry["name"]: entry["statename"] for entry in self._rpc.getAllProcessInfo()}

    def pending(self) -> Pending:
        """Return what :meth:`apply` would do.

        Raises:
            PlatformError: A program's file cannot be read.
        """
        try:
            added, changed, removed = self._rpc.reloadConfig()[0]
        except xmlrpc.client.Fault as err:
            raise PlatformError(f"{self.directory}: {err.faultString}") from err
        return Pending(tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(removed)))

    def apply(self, pending: Pending) -> None:
        """Take removed programs away, bring added ones in, replace changed ones one by one."""
        for name in pending.removed:
            self._take_away(name)
        for name in pending.added:
            self._rpc.addProcessGroup(name)
        for name in pending.changed:
            self._take_away(name)
            self._rpc.addProcessGroup(name)
            self.wait_running([name])

    def _take_away(self, name: str) -> None:
        self._rpc.stopProcessGroup(name)
        self._rpc.removeProcessGroup(name)

    def ensure_started(self, name: str) -> None:
        """Start ``name`` unless it runs or is on its way."""
        if self.states().get(name) not in ALIVE:
            self._rpc.startProcess(name, False)

    def restart(self, name: str) -> None:
        """Stop ``name``, wait until it ended, start it, and wait until it runs."""
        self._rpc.stopProcess(name, True)
        self._rpc.startProcess(name, False)
        self.wait_running([name])

    def wait_running(self, names: list[str]) -> None:
        """Wait until every program in ``names`` runs.

        Raises:
            PlatformError: One has failed for good, or the time is up.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            states = self.states()
            waiting = {name: states.get(name, "unknown") for name in names}
            waiting = {name: state for name, state in waiting.items() if state != _RUNNING}
            if not waiting:
                return
            is_lost = any(state not in _ON_THE_WAY for state in waiting.values())
            if is_lost or time.monotonic() >= deadline:
                raise PlatformError("; ".join(self._describe(*item) for item in waiting.items()))
            time.sleep(_POLL_SECONDS)

    def _describe(self, name: str, state: str) -> str:
        log = os.path.join(self.directory, "log", f"{name}.log")
        return f"{name} is {state}, last line of {log}: {_last_line(log)}"

    def _wait(self, condition: Any, complaint: str) -> None:
        deadline = time.monotonic() + self._timeout
        while not condition():
            if time.monotonic() >= deadline:
                raise PlatformError(f"{complaint} after {self._timeout:g} s")
            time.sleep(_POLL_SECONDS)


def _rotated(stream: str, path: str, size: str, backups: int) -> list[str]:
    return [
        f"{stream}_logfile={_escaped(path)}",
        f"{stream}_logfile_maxbytes={size}",
        f"{stream}_logfile_backups={backups}",
    ]


def _escaped(text: str) -> str:
    """Return ``text`` as supervisord's configuration wants it.

    Raises:
        PlatformError: It has a line break, which that file cannot hold.
    """
    if "\n" in text or "\r" in text:
        raise PlatformError(f"{text!r}: a program's line cannot hold a line break")
    return text.replace("%", "%%")


def _last_line(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.path.getsize(path) - 4096))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError as err:
        return f"({err.strerror})"
    return lines[-1] if lines else "(empty)"


def _is_alive(pid: int) -> bool:
    """Tell whether the process lives; an ended one that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        pass
    if os.path.isdir("/proc/self"):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

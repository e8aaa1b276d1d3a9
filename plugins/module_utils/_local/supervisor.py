# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One supervisord of a cluster folder: start it, talk to it over its socket, shut it down.

supervisord reads ``<directory>/supervisord.conf`` and listens on ``<directory>/supervisor.sock``
only. The calls are those of its own XML-RPC API over its own transport, both from the package
``supervisor``; what that package has above them (``supervisorctl``) prints for people and returns
nothing, so taking changes over and waiting are here.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from .._access import Access, OnSecret
from .._errors import PlatformError, RefusedError, UnreachableError
from .._libraries import require_library

_PROBLEM: ImportError | None = None
try:
    from supervisor.xmlrpc import SupervisorTransport
except ImportError as err:
    _PROBLEM = err

_MINIMUM: Final = "4.2"
_POLL_SECONDS: Final = 0.1
# What the daemon and its programs inherit: nothing of the session that happened to start it.
_INHERITED: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER")
_RUNNING: Final = "RUNNING"
_ON_THE_WAY: Final = ("STARTING", "BACKOFF")
ALIVE: Final = (_RUNNING, *_ON_THE_WAY)


@dataclass(frozen=True, slots=True)
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
        timeout_seconds: Longest that any wait may last.

    Raises:
        LibraryError: The package ``supervisor`` is not there.
        PlatformError: The path is not absolute.
    """

    def __init__(self, directory: str, *, timeout_seconds: float) -> None:
        require_library("supervisor", _MINIMUM, _PROBLEM)
        if not os.path.isabs(directory):
            raise PlatformError(f"directory: {directory} is not an absolute path")
        self.directory = directory
        self._socket = os.path.join(directory, "supervisor.sock")
        self._timeout_seconds = timeout_seconds

    def file_of(self, program: str) -> str:
        """Return where the file of a program lies."""
        return os.path.join(self.directory, "conf.d", f"{program}.conf")

    def is_running(self) -> bool:
        """Tell whether the daemon answers."""
        try:
            return bool(self._call("getState")["statename"] == _RUNNING)
        except PlatformError:
            return False

    def start(self) -> None:
        """Start the daemon and wait until it answers; its programs follow their ``autostart``.

        Raises:
            PlatformError: It ended at once or did not answer in time.
        """
        configuration = os.path.join(self.directory, "supervisord.conf")
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            started = subprocess.run(  # noqa: S603  # this interpreter, fixed arguments, no shell
                [sys.executable, "-m", "supervisor.supervisord", "-c", configuration],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as err:
            raise PlatformError(
                f"supervisord of {self.directory} did not start in {self._timeout_seconds:g} s"
            ) from err
        if started.returncode != 0:
            reason = _reason(started.stderr or started.stdout)
            raise PlatformError(f"supervisord of {self.directory} did not start: {reason}")
        self._wait(self.is_running, f"supervisord of {self.directory} does not answer")

    def shutdown(self) -> None:
        """Stop every program in an orderly way, then the daemon, and wait for its end.

        Raises:
            PlatformError: It is still there after the time-out.
        """
        pid = int(self._call("getPID"))
        self._call("shutdown")
        self._wait(
            lambda: not _is_alive(pid), f"supervisord of {self.directory} (pid {pid}) does not end"
        )

    def states(self) -> dict[str, str]:
        """Return the state name of every program that the daemon knows."""
        return {entry["name"]: entry["statename"] for entry in self._call("getAllProcessInfo")}

    def pending(self) -> Pending:
        """Return what :meth:`apply` would do.

        Raises:
            RefusedError: A program's file cannot be read.
        """
        added, changed, removed = self._call("reloadConfig")[0]
        return Pending(tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(removed)))

    def apply(self, pending: Pending) -> None:
        """Take removed programs away, bring added ones in, replace changed ones one by one."""
        for name in pending.removed:
            self._take_away(name)
        for name in pending.added:
            self._call("addProcessGroup", name)
        for name in pending.changed:
            self._take_away(name)
            self._call("addProcessGroup", name)
            self.wait_running([name])

    def _take_away(self, name: str) -> None:
        self._call("stopProcessGroup", name)
        self._call("removeProcessGroup", name)

    def ensure_started(self, name: str) -> None:
        """Start ``name`` unless it runs or is on its way."""
        if self.states().get(name) not in ALIVE:
            self._call("startProcess", name, False)

    def restart(self, name: str) -> None:
        """Stop ``name``, wait until it ended, start it, and wait until it runs."""
        self._call("stopProcess", name, True)
        self._call("startProcess", name, False)
        self.wait_running([name])

    def wait_running(self, names: Sequence[str]) -> None:
        """Wait until every program in ``names`` runs.

        Raises:
            PlatformError: One has failed for good, or the time is up.
        """
        deadline = time.monotonic() + self._timeout_seconds
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

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + self._timeout_seconds
        while not condition():
            if time.monotonic() >= deadline:
                raise PlatformError(f"{complaint} after {self._timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def _call(self, method: str, *arguments: Any) -> Any:
        """Return the answer of one call; each has its own connection.

        Raises:
            RefusedError: The daemon refuses the call.
            UnreachableError: It does not answer.
        """
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        url = "http://localhost/RPC2"
        try:
            with xmlrpc.client.ServerProxy(url, transport=transport, allow_none=True) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as err:
            told = f"supervisord of {self.directory} refused {method}"
            raise RefusedError(told, err.faultString) from err
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as err:
            raise UnreachableError(
                f"supervisord of {self.directory} does not answer {method}: {err}"
            ) from err


@contextmanager
def _opened(options: Mapping[str, Any], on_secret: OnSecret) -> Iterator[Supervisor]:  # noqa: ARG001
    yield Supervisor(options["directory"], timeout_seconds=options["timeout"])


DAEMON: Final = Access(
    {
        "directory": {"type": "path", "required": True},
        "timeout": {"type": "float", "default": 60},
    },
    _opened,
)
"""The supervisord of a folder, whether it runs or not; there is nothing secret about it."""


def _reason(output: str) -> str:
    """Return why supervisord ended: its line that says so, else its last one."""
    lines = output.strip().splitlines() or ["no output"]
    return next((line for line in lines if line.startswith("Error: ")), lines[-1])


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

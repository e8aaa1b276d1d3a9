"""The first process of a node: starts its components, keeps them running, reaps what is left over.

It runs on the node's own Python with nothing but the standard library. ``/lab/spec.json`` tells
what to run, ``/lab/status.json`` what runs, ``/lab/control.sock`` takes one JSON object a line:
``{"do": "status" | "start" | "stop" | "kill", "component": NAME, "signal": 9}``. When this process
ends, the kernel ends everything else in the node.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from ssl import create_default_context
from typing import Any

LAB = Path("/lab")
TICK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10.0
STOP_SECONDS = 5.0


@dataclass
class Component:
    """One program that should run.

    Attributes:
        name: Its name, and that of its log.
        argv: Program and arguments.
        after: URLs that must answer 200, and files that must exist, before its first start.
        env: Variables of its own.
        wanted: Whether it should run now.
    """

    name: str
    argv: list[str]
    after: list[str]
    env: dict[str, str]
    wanted: bool = True
    pid: int = 0
    since: float = 0.0
    restarts: int = 0
    last_exit: int | None = None
    not_before: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    kill_at: float = field(default=0.0)

    def row(self) -> dict[str, Any]:
        """Return what the status tells of it."""
        waiting = "waiting" if self.after or not self.restarts else "restarting"
        state = "running" if self.pid else (waiting if self.wanted else "stopped")
        return {
            "state": state,
            "pid": self.pid,
            "since": self.since,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }


class Node:
    """The components, their processes and the control socket."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Read what to run; nothing is started yet."""
        self.env: dict[str, str] = spec["env"]
        self.authority: str = spec["authority"]
        self.components = {
            row["name"]: Component(row["name"], row["argv"], row["after"], row["env"])
            for row in spec["components"]
        }
        self.selector = selectors.DefaultSelector()
        self.told = ""
        self.refusals: dict[str, str] = {}

    def serve(self) -> None:
        """Run for ever."""
        path = LAB / "control.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        self.selector.register(listener, selectors.EVENT_READ)
        while True:
            self._reap()
            for component in self.components.values():
                self._look_after(component)
            self._tell()
            if self.selector.select(TICK_SECONDS):
                self._answer(listener)

    def _look_after(self, component: Component) -> None:
        now = time.time()
        if component.pid:
            if component.kill_at and now > component.kill_at:
                _signal(component.pid, signal.SIGKILL)
            if now - component.since > STEADY_SECONDS:
                component.pause = FIRST_PAUSE_SECONDS
        elif component.wanted and now >= component.not_before and self._may_start(component):
            self._start(component)

    def _may_start(self, component: Component) -> bool:
        while component.after:
            if not self._answers(component.after[0]):
                return False
            component.after.pop(0)
        return True

    def _answers(self, url: str) -> bool:
        if url.startswith("/"):
            return Path(url).exists()
        trust = create_default_context(cafile=self.authority) if url.startswith("https") else None
        try:
            with urllib.request.urlopen(url, timeout=1, context=trust) as answer:  # noqa: S310  of the spec
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError) as error:
            if self.refusals.get(url) != str(error):  # each reason once, in node.log
                self.refusals[url] = str(error)
                sys.stderr.write(f"init: {url}: {error}\n")
            return False

    def _start(self, component: Component) -> None:
        log = os.open(LAB / "log" / f"{component.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        files = [(os.POSIX_SPAWN_DUP2, nothing, 0)]
        files += [(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)]
        try:
            component.pid = os.posix_spawn(
                component.argv[0],
                component.argv,
                self.env | component.env,
                file_actions=files,
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGINT],  # Python ignores them, programs do not
            )
        except OSError as error:
            os.write(log, f"init: cannot start {component.argv[0]}: {error}\n".encode())
            component.not_before = time.time() + LONGEST_PAUSE_SECONDS
        finally:
            os.close(log)
            os.close(nothing)
        component.since = time.time()
        component.kill_at = 0.0

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for component in self.components.values():
                if component.pid == pid:
                    self._ended(component, os.waitstatus_to_exitcode(status))

    def _ended(self, component: Component, code: int) -> None:
        component.pid = 0
        component.last_exit = code
        component.since = time.time()
        if component.wanted:
            component.restarts += 1
            component.not_before = time.time() + component.pause
            component.pause = min(2 * component.pause, LONGEST_PAUSE_SECONDS)

    def _tell(self) -> None:
        status = {name: component.row() for name, component in self.components.items()}
        text = json.dumps({"components": status}, indent=1)
        if text != self.told:
            new = LAB / "status.json.new"
            new.write_text(text)
            new.replace(LAB / "status.json")
            self.told = text

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            connection.settimeout(1)
            try:
                answer = self.do(json.loads(stream.readline()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                answer = {"ok": False, "error": f"not understood: {error!r}"}
            try:
                print(json.dumps(answer), file=stream, flush=True)
            except OSError:
                return

    def do(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request and return its answer."""
        if request["do"] == "status":
            rows = {name: component.row() for name, component in self.components.items()}
            return {"ok": True, "components": rows}
        component = self.components.get(request["component"])
        if component is None:
            known = ", ".join(self.components)
            return {"ok": False, "error": f"no component {request['component']}; there are {known}"}
        if request["do"] == "start":
            component.wanted, component.not_before = True, 0.0
        elif request["do"] == "stop":
            component.wanted, component.kill_at = False, time.time() + STOP_SECONDS
            _signal(component.pid, signal.SIGTERM)
        elif request["do"] == "kill":
            if not component.pid:
                return {"ok": False, "error": f"{component.name} does not run"}
            _signal(component.pid, request.get("signal", signal.SIGKILL))
        else:
            return {
                "ok": False,
                "error": f"{request['do']} is not one of status, start, stop, kill",
            }
        return {"ok": True, "component": component.row()}


def _signal(pid: int, number: int) -> None:
    if pid:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def _end(*_: object) -> None:
    sys.exit(0)


def main() -> None:
    """Wait for the cable, then run the node."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = json.loads((LAB / "spec.json").read_text())
    socket.sethostname(spec["hostname"])
    while not (LAB / "connected").exists():
        time.sleep(TICK_SECONDS / 2)
    Node(spec).serve()


if __name__ == "__main__":
    main()

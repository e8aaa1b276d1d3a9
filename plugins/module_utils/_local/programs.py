# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of one cluster folder, each a file that its supervisord reads.

Programs are one file each under ``<directory>/conf.d``; a program whose file changed is restarted,
one that is gone is stopped, and nothing else is touched. A program's ``digest`` stands for its
configuration files, so that a program is restarted exactly when what it read at its start is no
longer what is on the disk, also after a run that broke off.

supervisord's configuration is an INI file without a way to quote: a line break or the beginning of
a comment inside a value would change what it says, so both are refused.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .._errors import PlatformError
from .._outcome import Outcome
from .file_set import FileSet
from .supervisor import ALIVE, Supervisor

_PRIVATE: Final = 0o600
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# supervisord's parser ends a value at these, wherever a space is before them.
_COMMENT: Final = re.compile(r"\s[;#]")


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """A process to keep running.

    Attributes:
        name: What people call it; also the name of its file and of its log.
        command: Program and arguments; no shell is between.
        directory: Where it starts; the folder itself if ``None``.
        environment: Variables on top of what the daemon has.
        digest: Stands for its configuration; another value restarts it.
        stop_seconds: How long it may take to end before it is killed.
        stdout_file: Where its standard output goes, apart from its log; ``None`` for its log.
        stdout_backups: How many full files of 50 MB are kept of that.
    """

    name: str
    command: Sequence[str]
    directory: str | None
    environment: Mapping[str, Any]
    digest: str
    stop_seconds: int
    stdout_file: str | None = None
    stdout_backups: int = 4

    def render(self, folder: str) -> str:
        """Return the text of its file for the supervisord of a folder.

        Raises:
            PlatformError: A value cannot be written there.
        """
        _check_name(self.name)
        # supervisord compares what a file says, so the digest has to be said, not commented.
        variables = {**self.environment, "CONFIGURATION_DIGEST": self.digest or "none"}
        environment = ",".join(
            self._assignment(name, str(value)) for name, value in sorted(variables.items())
        )
        values = {
            "command": " ".join(shlex.quote(part) for part in self.command),
            "directory": self.directory or folder,
            "environment": environment,
            "autostart": "true",
            # Any end is unexpected, but 78 says "my configuration is wrong": trying again is no cure.
            "autorestart": "unexpected",
            "exitcodes": "78",
            "startsecs": "1",
            "startretries": "100",
            "stopwaitsecs": str(self.stop_seconds),
            "stopasgroup": "true",
            "killasgroup": "true",
            **self._outputs(os.path.join(folder, "log", f"{self.name}.log")),
        }
        lines = [
            "; Written by Ansible; `securetransport.platform.supervisor_programs` owns this file.",
            f"[program:{self.name}]",
            *(f"{key}={self._escaped(value)}" for key, value in values.items()),
        ]
        return "\n".join(lines) + "\n"

    def _outputs(self, log: str) -> dict[str, str]:
        if self.stdout_file is None:
            return {"redirect_stderr": "true", **_rotated("stdout", log, "10MB", 2)}
        return {
            "redirect_stderr": "false",
            **_rotated("stdout", self.stdout_file, "50MB", self.stdout_backups),
            **_rotated("stderr", log, "10MB", 2),
        }

    def _assignment(self, name: str, value: str) -> str:
        if not _VARIABLE.fullmatch(name):
            raise PlatformError(f"{self.name}: {name!r} is not the name of a variable")
        if '"' in value or "'" in value:
            raise PlatformError(f"{self.name}: supervisord cannot hold a quote in variable {name}")
        return f'{name}="{value}"'

    def _escaped(self, value: str) -> str:
        if "\n" in value or "\r" in value or _COMMENT.search(value):
            raise PlatformError(
                f"{self.name}: supervisord cannot hold a line break, ' ;' or ' #' in a value: "
                f"{value!r}"
            )
        return value.replace("%", "%%")


@dataclass(frozen=True, slots=True)
class ProgramsSpec:
    """What to bring about in a folder.

    Attributes:
        programs: Must run in the end.
        absent: Programs to stop and forget.
        restarted: Programs to restart, unless they have just been started.
        state: ``started``, or ``stopped`` for every program and the daemon.
    """

    programs: Sequence[ProgramSpec]
    absent: Sequence[str] = ()
    restarted: Sequence[str] = ()
    state: str = "started"


def ensure_programs(supervisor: Supervisor, spec: ProgramsSpec, check_mode: bool) -> Outcome:
    """Bring files, daemon and programs of a folder to the wanted state.

    Raises:
        PlatformError: A value cannot be, supervisord does not do it, or a program does not run.
    """
    if spec.state == "stopped":
        return _stop(supervisor, check_mode)
    files = FileSet(dry=check_mode)
    written, removed = _write_files(supervisor, spec, files)
    is_fresh = not supervisor.is_running()
    before = {} if is_fresh else supervisor.states()
    if check_mode:
        changed = [name for name in written if name in before]
    else:
        if is_fresh:
            supervisor.start()
        pending = supervisor.pending()
        supervisor.apply(pending)
        changed, removed = list(pending.changed), list(pending.removed)
    names = [program.name for program in spec.programs]
    down = {name for name in names if before.get(name) not in ALIVE}
    again = [name for name in spec.restarted if before.get(name) in ALIVE and name not in changed]
    if not check_mode:
        for name in again:
            supervisor.restart(name)
        for name in names:
            supervisor.ensure_started(name)
        supervisor.wait_running(names)
    facts = {
        "started": sorted(down - set(changed)),
        "restarted": sorted({*changed, *again}),
        "stopped": sorted(removed),
        "is_daemon_changed": is_fresh,
    }
    is_changed = any(facts.values()) or bool(files.changed)
    return Outcome(is_changed, facts=facts, diffs=files.diffs)


def _stop(supervisor: Supervisor, check_mode: bool) -> Outcome:
    is_running = supervisor.is_running()
    states = supervisor.states() if is_running else {}
    alive = sorted(name for name, state in states.items() if state in ALIVE)
    if is_running and not check_mode:
        supervisor.shutdown()
    facts = {"started": [], "restarted": [], "stopped": alive, "is_daemon_changed": is_running}
    return Outcome(is_running, facts=facts)


def _write_files(
    supervisor: Supervisor, spec: ProgramsSpec, files: FileSet
) -> tuple[list[str], list[str]]:
    """Bring ``conf.d`` to the wanted state; returns names written and names removed."""
    texts = {entry.name: entry.render(supervisor.directory) for entry in spec.programs}
    for name in spec.absent:
        _check_name(name)
    for name, text in texts.items():
        files.file(supervisor.file_of(name), text, _PRIVATE)
    for name in spec.absent:
        files.remove(supervisor.file_of(name))
    written = [name for name in texts if supervisor.file_of(name) in files.changed]
    removed = [name for name in spec.absent if supervisor.file_of(name) in files.changed]
    return written, removed


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PlatformError(f"program {name!r} is not a name of letters, digits, '_', '-', '.'")


def _rotated(stream: str, path: str, size: str, backups: int) -> dict[str, str]:
    return {
        f"{stream}_logfile": path,
        f"{stream}_logfile_maxbytes": size,
        f"{stream}_logfile_backups": str(backups),
    }

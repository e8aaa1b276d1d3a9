#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs of one cluster folder under its supervisord."""

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_programs
short_description: Run programs of one cluster folder under its supervisord
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
description:
  - Writes one file per program under C(conf.d) of the folder, starts the folder's supervisord if it does not run,
    brings in programs that are new, restarts those that changed, and waits until each wanted one runs.
  - Programs of the folder that are not named are left as they are.
  - The daemon listens on C(supervisor.sock) in the folder only. Neither it nor its programs inherit the
    environment of the session that started it.
extends_documentation_fragment:
  - securetransport.platform.attributes
requirements:
  - supervisor >= 4.2
options:
  directory:
    description: Absolute path of the folder with C(supervisord.conf).
    type: path
    required: true
  state:
    description:
      - V(started) has the daemon and the programs run.
      - V(stopped) stops every program of the folder, then the daemon; O(programs) is not looked at.
    type: str
    choices: [started, stopped]
    default: started
  programs:
    description: Programs that must run in the end.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What people call it; also the name of its file and of its log.
        type: str
        required: true
      command:
        description: Program and arguments. No secret belongs here, everybody on the machine can read it.
        type: list
        elements: str
        required: true
      directory:
        description: Where it starts; the folder itself if not given.
        type: path
      environment:
        description: Variables for it, on top of the daemon's few. No secret belongs here.
        type: dict
        default: {}
      digest:
        description: Stands for its configuration files; another value restarts it.
        type: str
        default: ""
      stop_seconds:
        description: How long it may take to end before it is killed.
        type: int
        default: 10
      stdout_file:
        description:
          - File for its standard output, which is rotated; its log then has standard error only.
        type: path
  absent:
    description: Programs to stop and forget.
    type: list
    elements: str
    default: []
  restarted:
    description: Programs to restart, one after the other, unless this run has just started them.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that one wait may last.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Run a program
  securetransport.platform.supervisor_programs:
    directory: /tmp/example-cluster
    programs:
      - name: clock-1
        command: [/usr/bin/sleep, infinity]

- name: Stop all programs of the folder
  securetransport.platform.supervisor_programs:
    directory: /tmp/example-cluster
    state: stopped
"""

RETURN = r"""
started:
  description: Programs that were started.
  returned: success
  type: list
  elements: str
restarted:
  description: Programs that were restarted.
  returned: success
  type: list
  elements: str
stopped:
  description: Programs that were stopped.
  returned: success
  type: list
  elements: str
is_daemon_changed:
  description: Whether the daemon itself was started or stopped.
  returned: success
  type: bool
"""

import os
import xmlrpc.client
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.file_set import FileSet
from ansible_collections.securetransport.platform.plugins.module_utils.supervisor import (
    ALIVE,
    SUPERVISOR_IMPORT_ERROR,
    Program,
    Supervisor,
)


@dataclass
class Result:
    """What was done, or would be done in check mode."""

    started: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    is_daemon_changed: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.started or self.restarted or self.stopped or self.is_daemon_changed)


def programs_of(params: dict[str, Any]) -> list[Program]:
    """Return the wanted programs."""
    return [
        Program(
            name=entry["name"],
            command=entry["command"],
            directory=entry["directory"] or params["directory"],
            environment={name: str(value) for name, value in entry["environment"].items()},
            digest=entry["digest"],
            stop_seconds=entry["stop_seconds"],
            stdout_file=entry["stdout_file"],
        )
        for entry in params["programs"]
    ]


def stop(supervisor: Supervisor, *, dry: bool) -> Result:
    """Stop everything."""
    if not supervisor.is_running():
        return Result()
    alive = sorted(name for name, state in supervisor.states().items() if state in ALIVE)
    if not dry:
        supervisor.shutdown()
    return Result(stopped=alive, is_daemon_changed=True)


def write_files(
    supervisor: Supervisor, programs: list[Program], absent: list[str], files: FileSet
) -> tuple[list[str], list[str]]:
    """Bring ``conf.d`` to the wanted state; returns names written and names removed."""
    for program in programs:
        files.file(
            supervisor.file_of(program.name),
            program.render(os.path.join(supervisor.directory, "log")).encode(),
            0o600,
        )
    written = [
        program.name for program in programs if supervisor.file_of(program.name) in files.changed
    ]
    for name in absent:
        files.remove(supervisor.file_of(name))
    removed = [name for name in absent if supervisor.file_of(name) in files.changed]
    return written, removed


def start(supervisor: Supervisor, params: dict[str, Any], files: FileSet) -> Result:
    """Bring files, daemon and programs to the wanted state."""
    programs = programs_of(params)
    names = [program.name for program in programs]
    written, removed = write_files(supervisor, programs, params["absent"], files)
    is_fresh = not supervisor.is_running()
    before = {} if is_fresh else supervisor.states()
    if files.dry:
        changed = [name for name in written if name in before]
    else:
        if is_fresh:
            supervisor.start()
        pending = supervisor.pending()
        supervisor.apply(pending)
        changed = list(pending.changed)
        removed = list(pending.removed)
    down = [name for name in names if before.get(name) not in ALIVE]
    again = [
        name for name in params["restarted"] if before.get(name) in ALIVE and name not in changed
    ]
    if not files.dry:
        for name in again:
            supervisor.restart(name)
        for name in names:
            supervisor.ensure_started(name)
        supervisor.wait_running(names)
    return Result(
        started=sorted(set(down) - set(changed)),
        restarted=sorted({*changed, *again}),
        stopped=sorted(removed),
        is_daemon_changed=is_fresh,
    )


def argument_spec() -> dict[str, Any]:
    """Return the module's options."""
    return {
        "directory": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        "programs": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "command": {"type": "list", "elements": "str", "required": True},
                "directory": {"type": "path"},
                "environment": {"type": "dict", "default": {}},
                "digest": {"type": "str", "default": ""},
                "stop_seconds": {"type": "int", "default": 10},
                "stdout_file": {"type": "path"},
            },
        },
        "absent": {"type": "list", "elements": "str", "default": []},
        "restarted": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "float", "default": 60},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if SUPERVISOR_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("supervisor"), exception=SUPERVISOR_IMPORT_ERROR)
    files = FileSet(dry=module.check_mode)
    supervisor = Supervisor(module.params["directory"], timeout=module.params["timeout"])
    try:
        if module.params["state"] == "stopped":
            result = stop(supervisor, dry=module.check_mode)
        else:
            result = start(supervisor, module.params, files)
    except PlatformError as err:
        module.fail_json(msg=err.message, **err.fields)
    except (OSError, xmlrpc.client.Error) as err:
        module.fail_json(msg=f"{module.params['directory']}: {err}")
    module.exit_json(
        changed=result.is_changed or bool(files.changed),
        started=result.started,
        restarted=result.restarted,
        stopped=result.stopped,
        is_daemon_changed=result.is_daemon_changed,
        diff=files.diffs,
    )


if __name__ == "__main__":
    main()

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
        description:
          - What people call it; also the name of its file and of its log.
          - Letters, digits, C(_), C(-) and C(.).
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
        description:
          - Variables for it, on top of the daemon's few. No secret belongs here.
          - The values have no quotes, since supervisord cannot hold them.
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
      stdout_backups:
        description: How many full files of 50 MB are kept of O(programs[].stdout_file), besides the one in use.
        type: int
        default: 4
        version_added: 0.2.0
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

from collections.abc import Mapping
from typing import Any

from ..module_utils._local.programs import ProgramSpec, ProgramsSpec, ensure_programs
from ..module_utils._local.supervisor import DAEMON
from ..module_utils._runner import run_remote


def wanted(params: Mapping[str, Any]) -> ProgramsSpec:
    """Return what must run."""
    return ProgramsSpec(
        tuple(ProgramSpec(**entry) for entry in params["programs"]),
        tuple(params["absent"]),
        tuple(params["restarted"]),
        params["state"],
    )


def main() -> None:
    """Run the module."""
    program = {
        "name": {"type": "str", "required": True},
        "command": {"type": "list", "elements": "str", "required": True},
        "directory": {"type": "path"},
        "environment": {"type": "dict", "default": {}},
        "digest": {"type": "str", "default": ""},
        "stop_seconds": {"type": "int", "default": 10},
        "stdout_file": {"type": "path"},
        "stdout_backups": {"type": "int", "default": 4},
    }
    options = {
        "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        "programs": {"type": "list", "elements": "dict", "default": [], "options": program},
        "absent": {"type": "list", "elements": "str", "default": []},
        "restarted": {"type": "list", "elements": "str", "default": []},
    }
    run_remote(DAEMON, options, ensure_programs, wanted)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs of one cluster folder under its supervisord."""

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_programs
short_description: Run the programs of one cluster folder under its supervisord
version_added: 0.1.0
description:
  - Starts the supervisord of a folder if it does not run, brings in programs whose file under C(conf.d) is new,
    restarts those whose file changed, stops those whose file is gone, and starts or restarts programs by name.
  - The daemon listens on C(supervisor.sock) in the folder only. Neither it nor its programs inherit the
    environment of the session that started it.
author:
  - SecureTransport contributors (@securetransport)
requirements:
  - supervisor >= 4.2
attributes:
  check_mode:
    support: full
    description: Reports what would be started, restarted and stopped.
  diff_mode:
    support: none
    description: The files of the programs show their own diff where they are written.
options:
  directory:
    description: Absolute path of the folder with C(supervisord.conf).
    type: path
    required: true
  state:
    description:
      - V(started) has the daemon and its programs run.
      - V(stopped) stops the programs, then the daemon.
    type: str
    choices: [started, stopped]
    default: started
  programs:
    description: Programs that must run in the end. Others are left as they are.
    type: list
    elements: str
    default: []
  restarted:
    description: Programs to restart, one after the other.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that one wait may last.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Run the watcher
  securetransport.platform.supervisor_programs:
    directory: /srv/securetransport/servers
    programs: [watcher-1-bao, watcher-1]
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
  description: Programs that were stopped because their file is gone, or by O(state=stopped).
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
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.supervisor import (
    SUPERVISOR_IMPORT_ERROR,
    Supervisor,
)


def stop(supervisor: Supervisor, *, dry: bool) -> dict[str, Any]:
    """Stop everything; returns the module's result."""
    if not supervisor.is_running():
        return {"started": [], "restarted": [], "stopped": [], "is_daemon_changed": False}
    running = sorted(name for name, state in supervisor.states().items() if state == "RUNNING")
    if not dry:
        supervisor.shutdown()
    return {"started": [], "restarted": [], "stopped": running, "is_daemon_changed": True}


def missing_programs(directory: str, names: list[str]) -> list[str]:
    """Return the names that have no file under ``conf.d``."""
    return [
        name
        for name in names
        if not os.path.isfile(os.path.join(directory, "conf.d", f"{name}.conf"))
    ]


def start(
    supervisor: Supervisor, *, programs: list[str], restarted: list[str], dry: bool
) -> dict[str, Any]:
    """Bring daemon and programs to the wanted state; returns the module's result."""
    is_fresh = not supervisor.is_running()
    if is_fresh and dry:
        return {"started": programs, "restarted": [], "stopped": [], "is_daemon_changed": True}
    if is_fresh:
        supervisor.start()
    before = {} if is_fresh else supervisor.states()
    pending = supervisor.pending()
    if not dry:
        supervisor.apply(pending)
    renewed = set(pending.changed)
    if not is_fresh:
        for name in restarted:
            if name in before and name not in renewed:
                renewed.add(name)
                if not dry:
                    supervisor.ensure_stopped(name)
                    supervisor.ensure_started(name)
                    supervisor.wait_running([name])
    down = [name for name in programs if before.get(name) not in ("RUNNING", "STARTING", "BACKOFF")]
    if not dry:
        for name in programs:
            supervisor.ensure_started(name)
        supervisor.wait_running(programs)
    return {
        "started": sorted({*pending.added, *down} - renewed),
        "restarted": sorted(renewed),
        "stopped": list(pending.removed),
        "is_daemon_changed": is_fresh,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "programs": {"type": "list", "elements": "str", "default": []},
            "restarted": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    if SUPERVISOR_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("supervisor"), exception=SUPERVISOR_IMPORT_ERROR)
    params = module.params
    missing = missing_programs(params["directory"], params["programs"])
    if missing and params["state"] == "started" and not module.check_mode:
        module.fail_json(msg=f"no file under {params['directory']}/conf.d for {', '.join(missing)}")
    supervisor = Supervisor(params["directory"], timeout=params["timeout"])
    try:
        if params["state"] == "stopped":
            result = stop(supervisor, dry=module.check_mode)
        else:
            result = start(
                supervisor,
                programs=params["programs"],
                restarted=params["restarted"],
                dry=module.check_mode,
            )
    except (PlatformError, OSError, xmlrpc.client.Error) as err:
        module.fail_json(msg=str(err))
    changed = result["is_daemon_changed"] or any(
        result[key] for key in ("started", "restarted", "stopped")
    )
    module.exit_json(changed=changed, **result)


if __name__ == "__main__":
    main()

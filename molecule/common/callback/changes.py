"""Ansible callback: notes which tasks of roles changed something, in each run of a scenario.

One line of JSON per run, ``{"is_check": bool, "changed": ["host: role : task", ...]}``, in
``$MOLECULE_EPHEMERAL_DIRECTORY/<scenario>.changes``; a run in check mode begins the file anew.
Only the playbooks that converge are noted. Handlers are left out: what they do follows from the
tasks that notified them, and a command cannot say in check mode what it would do.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible import context
from ansible.playbook.handler import Handler
from ansible.plugins.callback import CallbackBase

_CONVERGING = ("converge.yml", "side_effect.yml")

DOCUMENTATION = """
name: changes
type: notification
short_description: Note which tasks of roles changed something
description:
  - Writes one line of JSON for each run.
  - A verifier compares what check mode told with what was done.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # ansible has no types
    """Collects the changed tasks of one run of ansible-playbook."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "changes"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with no change."""
        super().__init__(*arguments, **options)
        self._playbook = ""
        self._changed: list[str] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remember which playbook this is."""
        self._playbook = Path(playbook._file_name).name  # noqa: SLF001 # there is no public name

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a task of a role that changed something."""
        task = result.task
        if result.result.get("changed") and task._role and not isinstance(task, Handler):  # noqa: SLF001 # there is no public name
            self._changed.append(f"{result.host.get_name()}: {task.get_name()}")

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002 # Ansible names it
        """Write the line."""
        if self._playbook not in _CONVERGING:
            return
        is_check = bool(context.CLIARGS["check"])
        scenario = os.environ["MOLECULE_SCENARIO_NAME"]
        file = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / f"{scenario}.changes"
        with file.open("w" if is_check else "a", encoding="utf-8") as notes:
            notes.write(json.dumps({"is_check": is_check, "changed": self._changed}) + "\n")

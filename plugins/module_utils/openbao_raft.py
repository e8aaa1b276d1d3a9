# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The raft cluster under OpenBao: who votes, and how soon a new node does.

A node that joined has no vote until autopilot has seen it stable. If the leader is lost before, the
others cannot elect one, so a cluster counts as up only when all of its nodes vote.
"""

from __future__ import annotations

import time
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import (
    OpenBao,
    logged_in,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import (
    Outcome,
    reconcile,
)

_CONFIGURATION: Final = "sys/storage/raft/autopilot/configuration"
_STATE: Final = "sys/storage/raft/autopilot/state"
_POLL_SECONDS: Final = 0.25


def ensure_voters(module: AnsibleModule) -> Outcome:
    """Set how long autopilot watches a new node, and wait until enough nodes vote.

    Raises:
        PlatformError: Fewer nodes vote when the time is up.
    """
    params = module.params
    wanted = {"server_stabilization_time": f"{params['stabilization_seconds']}s"}
    with logged_in(module) as bao:
        current = bao.read(_CONFIGURATION) or {}
        outcome = reconcile(
            current,
            wanted,
            apply=lambda: bao.write(_CONFIGURATION, {**_kept(current), **wanted}),
            check_mode=module.check_mode,
        )
        voters = _voters(bao) if module.check_mode else _wait(bao, params)
    return Outcome(
        changed=outcome.changed,
        before=outcome.before,
        after=outcome.after,
        facts={"voters": voters},
    )


def _kept(current: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a write must repeat, because it replaces all of them."""
    return {name: value for name, value in current.items() if value is not None}


def _wait(bao: OpenBao, params: dict[str, Any]) -> list[str]:
    deadline = time.monotonic() + params["timeout"]
    while True:
        voters = _voters(bao)
        if len(voters) >= params["nodes"]:
            return voters
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"{len(voters)} of {params['nodes']} nodes vote after {params['timeout']} s; "
                "look at the logs of the others",
                voters=voters,
            )
        time.sleep(_POLL_SECONDS)


def _voters(bao: OpenBao) -> list[str]:
    state = bao.read(_STATE) or {}
    return sorted(str(name) for name in state.get("voters") or [])

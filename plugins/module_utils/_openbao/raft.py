# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The raft cluster under OpenBao: who votes, and how soon a new node does.

A node that joined has no vote until autopilot has seen it stable. If the leader is lost before, the
others cannot elect one, so a cluster counts as up only when all of its nodes vote.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from .._errors import PlatformError
from .._outcome import Outcome, reconcile
from .._values import within
from .client import OpenBao

_CONFIGURATION: Final = "sys/storage/raft/autopilot/configuration"
_STATE: Final = "sys/storage/raft/autopilot/state"
_POLL_SECONDS: Final = 0.25
_MOST_NODES: Final = 99
_DAY_SECONDS: Final = 86400


@dataclass(frozen=True, slots=True)
class VotersSpec:
    """Who must vote.

    Attributes:
        nodes: How many nodes must vote.
        stabilization_seconds: How long autopilot watches a new node.
        timeout: Longest wait for the votes, seconds.
    """

    nodes: int
    stabilization_seconds: int
    timeout: int


def ensure_voters(bao: OpenBao, spec: VotersSpec, check_mode: bool) -> Outcome:
    """Set how long autopilot watches a new node, and wait until enough nodes vote.

    Raises:
        PlatformError: Fewer nodes vote when the time is up, or a number cannot be.
    """
    within(spec.nodes, 1, _MOST_NODES, option="nodes")
    calm = within(spec.stabilization_seconds, 0, _DAY_SECONDS, option="stabilization_seconds")
    wanted = {"server_stabilization_time": f"{calm}s"}
    current = bao.read(_CONFIGURATION) or {}
    # A write replaces every setting, so those that stay are repeated.
    kept = {name: value for name, value in current.items() if value is not None}
    outcome = reconcile(
        current,
        wanted,
        apply=lambda: bao.write(_CONFIGURATION, {**kept, **wanted}),
        check_mode=check_mode,
    )
    voters = _voters(bao) if check_mode else _wait(bao, spec)
    return Outcome(outcome.changed, outcome.before, outcome.after, facts={"voters": voters})


def _wait(bao: OpenBao, spec: VotersSpec) -> list[str]:
    deadline = time.monotonic() + spec.timeout
    while True:
        voters = _voters(bao)
        if len(voters) >= spec.nodes:
            return voters
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"{len(voters)} of {spec.nodes} nodes vote after {spec.timeout} s; "
                "look at the logs of the others",
                voters=voters,
            )
        time.sleep(_POLL_SECONDS)


def _voters(bao: OpenBao) -> list[str]:
    state = bao.read(_STATE) or {}
    return sorted(str(name) for name in state.get("voters") or [])

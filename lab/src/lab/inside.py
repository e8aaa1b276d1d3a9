"""Reach into a running node: run a program there, or ask its first process."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from lab import host
from lab.errors import LabError
from lab.names import OURS, Names
from lab.paths import State
from lab.plan import Cluster
from lab.run import run

PATH = "/lab/path:/usr/sbin:/usr/bin:/sbin:/bin"
"""In a node, ``/lab/path`` has a link to every program of the lab."""
_ANSWER_SECONDS = 10.0


def first_process(state: State, cluster: Cluster) -> int:
    """Return the process id of the node's first process, in the machine's numbers.

    Raises:
        LabError: The cluster is not up.
    """
    if pid := find_first_process(state, cluster):
        return pid
    raise LabError(f"{cluster.name} is not up", f"`python -m lab up {cluster.number}`")


def find_first_process(state: State, cluster: Cluster, names: Names = OURS) -> int:
    """Return the process id of the node's first process; 0 when that is gone."""
    try:
        pid = int(state.of(cluster).pid.read_text())
    except (OSError, ValueError):
        return 0
    return pid if host.is_node(cluster, pid, names) else 0  # and no stranger who got its number


def enter(state: State, cluster: Cluster, command: Sequence[str]) -> list[str]:
    """Return the command line that runs ``command`` in the node, as root.

    Raises:
        LabError: The cluster is not up.
    """
    target = f"--target={first_process(state, cluster)}"
    space = ["--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd=/"]
    return ["nsenter", target, *space, "/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", *command]


def inside(
    state: State,
    cluster: Cluster,
    command: Sequence[str],
    *,
    given: str | None = None,
    limit_seconds: float = 120.0,
) -> str:
    """Run a program in the node and return its output.

    Raises:
        LabError: The cluster is not up, or the program failed.
    """
    return run(enter(state, cluster, command), given=given, limit_seconds=limit_seconds)


def control(state: State, cluster: Cluster, request: Mapping[str, object]) -> dict[str, Any]:
    """Ask the node's first process and return its answer.

    Args:
        state: Of this machine.
        cluster: Whose node.
        request: ``do``, and where it applies ``component`` and ``signal``.

    Raises:
        LabError: It is not there, or refuses.
    """
    first_process(state, cluster)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(state.of(cluster).control))
            with connection.makefile("rw") as stream:
                print(json.dumps(request), file=stream, flush=True)
                answer: dict[str, Any] = json.loads(stream.readline())
    except (OSError, ValueError) as error:
        what = f"the first process of {cluster.name} does not answer: {error}"
        raise LabError(what, "look at `python -m lab status`") from error
    if not answer["ok"]:
        raise LabError(f"{cluster.name}: {answer['error']}")
    return answer

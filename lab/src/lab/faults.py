"""Break a cluster on purpose, and mend it; each act is an event of the cluster.

A partition is a pulled cable: the node loses its carrier, the other clusters and the machine reach
neither it nor its load balancers, and inside everything goes on. The clock of a single process can
be shifted by ``libfaketime`` of the base image; the machine has one clock, so a node cannot.
"""

from __future__ import annotations

from typing import Any

from lab import events, links
from lab.errors import LabError
from lab.inside import control
from lab.names import OURS, Names
from lab.paths import State
from lab.plan import Cluster


def partition(state: State, cluster: Cluster, names: Names = OURS) -> None:
    """Pull a cluster's cable.

    Raises:
        LabError: The cluster is not up.
    """
    _plug(cluster, "down", names)
    events.record(state, cluster, "partition")


def heal(state: State, cluster: Cluster, names: Names = OURS) -> None:
    """Plug a cluster's cable in again.

    Raises:
        LabError: The cluster is not up.
    """
    _plug(cluster, "up", names)
    events.record(state, cluster, "heal")


def is_partitioned(cluster: Cluster, names: Names = OURS) -> bool:
    """Whether a cluster's cable is there, but pulled."""
    link = links.links().get(names.link(cluster))
    return link is not None and not link.is_up


def kill(state: State, cluster: Cluster, component: str, signal: int = 9) -> None:
    """Send a component a signal; its supervisor starts it again when it ends.

    Args:
        state: Of this machine.
        cluster: Whose component.
        component: Such as ``kubelet``.
        signal: Number of the signal.

    Raises:
        LabError: The cluster is not up, has no such component, or it does not run.
    """
    _ask(state, cluster, {"do": "kill", "component": component, "signal": signal})


def stop(state: State, cluster: Cluster, component: str) -> None:
    """Stop a component until it is started again.

    Raises:
        LabError: The cluster is not up or has no such component.
    """
    _ask(state, cluster, {"do": "stop", "component": component})


def start(state: State, cluster: Cluster, component: str) -> None:
    """Start a component that was stopped.

    Raises:
        LabError: The cluster is not up or has no such component.
    """
    _ask(state, cluster, {"do": "start", "component": component})


def _plug(cluster: Cluster, position: str, names: Names) -> None:
    link = names.link(cluster)
    found = links.links().get(link)
    if found is None or not found.is_ours:
        raise LabError(f"{cluster.name} is not up", f"`python -m lab up {cluster.number}`")
    links.ip([f"link set {link} {position}"])


def _ask(state: State, cluster: Cluster, request: dict[str, Any]) -> None:
    control(state, cluster, request)
    detail = {name: value for name, value in request.items() if name != "do"}
    events.record(state, cluster, str(request["do"]), **detail)

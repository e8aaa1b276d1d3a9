"""How the clusters are: typed for programs, a table for people.

Everything is asked of what runs now: the cgroups, the node's first process, the API server.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from rich.table import Table

from lab import down, faults, usage
from lab.addons.policy import AGENT
from lab.inside import find_first_process
from lab.names import OURS, Names
from lab.paths import State
from lab.plan import Cluster

_ANSWER_SECONDS = 3.0


@dataclass(frozen=True)
class Component:
    """One program that the node's first process looks after.

    Attributes:
        state: ``running``, ``waiting``, ``restarting`` or ``stopped``.
        pid: In the node's numbers; 0 when it does not run.
        restarts: How often it ended without being asked to.
    """

    state: str
    pid: int
    restarts: int


@dataclass(frozen=True)
class ClusterStatus:
    """One cluster.

    Attributes:
        name: Such as ``c1``.
        state: ``half``: something of it is there, but it was not brought up to the end, or its node
            died.
        pid: The node's first process, in the machine's numbers; 0 when it does not run.
        since: When its node was started, in UTC.
        api: URL of the API server.
        balancers: First and last address for services of type LoadBalancer.
        is_partitioned: Whether its cable is pulled.
        components: By name.
        is_api_ready: Whether the API server answers the machine.
        is_node_ready: As Kubernetes sees it.
        pods: How many there are.
        pods_not_ready: ``NAMESPACE/NAME`` of those that are neither ready nor done.
        is_policy_enforced: Whether NetworkPolicy has an effect.
        memory_mib: Memory its programs hold, in MiB.
        cpu_percent: Of one core, just now.
    """

    name: str
    state: Literal["up", "half", "down"]
    pid: int = 0
    since: datetime | None = None
    api: str = ""
    balancers: tuple[str, str] = ("", "")
    is_partitioned: bool = False
    components: Mapping[str, Component] = field(default_factory=dict)
    is_api_ready: bool = False
    is_node_ready: bool = False
    pods: int = 0
    pods_not_ready: Sequence[str] = ()
    is_policy_enforced: bool = False
    memory_mib: float = 0.0
    cpu_percent: float = 0.0


def status(state: State, clusters: Sequence[Cluster], names: Names = OURS) -> list[ClusterStatus]:
    """Return how clusters are; it takes about a second."""
    there = down.traces(state, names)
    used = usage.measure(there, names)

    def one(cluster: Cluster) -> ClusterStatus:
        if cluster not in there:
            return ClusterStatus(cluster.name, "down")
        return _of(state, cluster, names, used.get(cluster))

    with ThreadPoolExecutor(max(1, len(clusters))) as pool:
        return list(pool.map(one, clusters))


def _of(state: State, cluster: Cluster, names: Names, used: usage.Usage | None) -> ClusterStatus:
    here = state.of(cluster)
    pid = find_first_process(state, cluster, names)
    first, last = cluster.balancers
    nodes, pods = (_ask(state, cluster, "nodes"), _ask(state, cluster, "pods")) if pid else ([], [])
    components = _components(state, cluster) if pid else {}
    unready = [pod for pod in pods or [] if not _is_well(pod)]
    return ClusterStatus(
        name=cluster.name,
        state="up" if pid and here.complete.exists() else "half",
        pid=pid,
        since=datetime.fromtimestamp(here.pid.stat().st_mtime, UTC) if pid else None,
        api=cluster.api,
        balancers=(str(first), str(last)),
        is_partitioned=faults.is_partitioned(cluster, names),
        components=components,
        is_api_ready=nodes is not None and bool(pid),
        is_node_ready=bool(nodes) and all(_has_condition(node, "Ready") for node in nodes or []),
        pods=len(pods or []),
        pods_not_ready=sorted(f"{_meta(pod)['namespace']}/{_meta(pod)['name']}" for pod in unready),
        is_policy_enforced=AGENT in components and components[AGENT].state == "running",
        memory_mib=round(used.memory_mib, 1) if used else 0.0,
        cpu_percent=round(used.cpu_percent, 1) if used else 0.0,
    )


def _components(state: State, cluster: Cluster) -> dict[str, Component]:
    try:
        rows = json.loads(state.of(cluster).status.read_text())["components"]
    except (OSError, ValueError, KeyError):
        return {}
    return {
        name: Component(row["state"], row["pid"], row["restarts"]) for name, row in rows.items()
    }


def _ask(state: State, cluster: Cluster, kind: str) -> list[dict[str, Any]] | None:
    """Return all objects of a kind; ``None`` when the API server does not answer."""
    pki = state.of(cluster).pki
    try:
        trust = ssl.create_default_context(cafile=pki / "ca.crt")
        trust.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        url = f"{cluster.api}/api/v1/{kind}"
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS, context=trust) as answer:  # noqa: S310  always https
            items: list[dict[str, Any]] = json.load(answer)["items"]
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return items


def _meta(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = thing["metadata"]
    return meta


def _has_condition(thing: Mapping[str, Any], kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def _is_well(pod: Mapping[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") == "Succeeded" or _has_condition(pod, "Ready")


def table(rows: Sequence[ClusterStatus]) -> Table:
    """Return the table for people: one row for each cluster."""
    made = Table(box=None, pad_edge=False)
    heads = ["", "state", "since", "node", "pods ready", "components", "MiB", "CPU %"]
    for head in (*heads, "load balancers", "NetworkPolicy"):
        made.add_column(head, justify="right" if head in {"MiB", "CPU %"} else "left")
    for row in rows:
        made.add_row(*_cells(row))
    return made


def _cells(row: ClusterStatus) -> list[str]:
    if row.state == "down":
        return [row.name, "down"]
    running = sum(each.state == "running" for each in row.components.values())
    restarts = sum(each.restarts for each in row.components.values())
    pods = f"{row.pods - len(row.pods_not_ready)} of {row.pods}"
    return [
        row.name,
        row.state + (", partitioned" if row.is_partitioned else ""),
        f"{row.since:%H:%M:%S}" if row.since else "-",
        ("Ready" if row.is_node_ready else "not Ready") if row.is_api_ready else "no answer",
        pods if row.is_api_ready else "-",
        f"{running} of {len(row.components)} run" + (f", {restarts} restarts" if restarts else ""),
        f"{row.memory_mib:.0f}",
        f"{row.cpu_percent:.0f}",
        "-".join(row.balancers),
        "enforced" if row.is_policy_enforced else "not enforced",
    ]

"""Memory and processor time of a cluster, as its cgroups count them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups
from lab.names import OURS, Names
from lab.plan import Cluster


@dataclass(frozen=True)
class Usage:
    """What one cluster uses.

    Attributes:
        memory_mib: Memory its programs hold, in MiB; the page cache is left out.
        cpu_percent: Of one core.
    """

    memory_mib: float
    cpu_percent: float


def measure(
    clusters: Sequence[Cluster], names: Names = OURS, *, for_seconds: float = 0.5
) -> dict[Cluster, Usage]:
    """Return what clusters use; those without cgroups are left out.

    Args:
        clusters: Which.
        names: Names of the lab.
        for_seconds: How long their processor time is watched.
    """
    first, begun = _processor_seconds(clusters, names), time.monotonic()
    time.sleep(for_seconds)
    second, took = _processor_seconds(clusters, names), time.monotonic() - begun
    memory = _memory_bytes(clusters, names)
    return {
        cluster: Usage(memory[cluster] / 2**20, 100 * (second[cluster] - first[cluster]) / took)
        for cluster in clusters
        if cluster in first and cluster in second and cluster in memory
    }


def _processor_seconds(clusters: Sequence[Cluster], names: Names) -> dict[Cluster, float]:
    told = _read(clusters, names, "cpuacct", "cpuacct.usage")
    return {cluster: int(text) / 1e9 for cluster, text in told.items()}


def _memory_bytes(clusters: Sequence[Cluster], names: Names) -> dict[Cluster, int]:
    told = _read(clusters, names, "memory", "memory.stat")
    return {
        cluster: int(dict(line.split() for line in text.splitlines())["total_rss"])
        for cluster, text in told.items()
    }


def _read(
    clusters: Sequence[Cluster], names: Names, controller: str, file: str
) -> dict[Cluster, str]:
    roots = [each.root for each in cgroups.hierarchies() if controller in each.controllers]
    found: dict[Cluster, str] = {}
    for cluster in clusters:
        text = _text(roots[0] / names.group(cluster) / file) if roots else None
        if text is not None:
            found[cluster] = text
    return found


def _text(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None

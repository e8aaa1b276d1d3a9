"""Three clusters that are up: again is no change, and idle they cost little."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
import remains
from scene import CLUSTERS, NOTES, STATE, done, lab, node_pid, timed

from lab import lock
from lab.plan import Cluster

pytestmark = pytest.mark.usefixtures("clusters")
SETTLE_SECONDS = 30
IDLE_SECONDS = 20


def components() -> dict[str, dict[str, int]]:
    """Return pid and restarts of every component of every cluster."""
    return {
        cluster.name: {
            name: row["pid"]
            for name, row in json.loads(STATE.of(cluster).status.read_text())["components"].items()
        }
        for cluster in CLUSTERS
    }


def test_a_second_up_changes_nothing_and_is_quick() -> None:
    before = (components(), [node_pid(cluster) for cluster in CLUSTERS])
    with timed("second up") as took:
        done("up")
    assert (components(), [node_pid(cluster) for cluster in CLUSTERS]) == before
    NOTES.number(second_up_seconds=round(took(), 1))
    assert took() < 20


def test_while_another_command_is_at_work_up_is_refused_in_one_line() -> None:
    with lock.held(STATE):
        result = lab("up")
    assert result.returncode == 1
    assert f"another lab command is at work (pid {os.getpid()})" in result.stdout
    assert len(result.stdout.strip().splitlines()) == 1


def test_status_names_every_cluster_and_component() -> None:
    told = done("status")
    assert [name for name in ("c1", "c2", "c3") if name not in told] == []
    assert json.loads(done("status", "--json"))
    NOTES.say("", *told.splitlines())


# The slow Secrets begin here, so that they are there when test_secrets wants them.
@pytest.mark.usefixtures("baseline")
def test_idle_clusters_cost_little() -> None:
    time.sleep(SETTLE_SECONDS)
    before = {cluster: cpu_seconds(cluster) for cluster in CLUSTERS}
    begun = time.monotonic()
    time.sleep(IDLE_SECONDS)
    took = time.monotonic() - begun
    rows = {
        cluster.name: (
            memory_mib(cluster, "Rss"),
            memory_mib(cluster, "Pss"),
            memory_mib(cluster, "Pss_Anon"),
            100 * (cpu_seconds(cluster) - before[cluster]) / took,
        )
        for cluster in CLUSTERS
    }
    rows["all"] = tuple(sum(column) for column in zip(*rows.values(), strict=True))
    head = ("RSS MiB", "PSS MiB", "own MiB", "% of a core")
    NOTES.say("", f"{'idle':<5}" + "".join(f"{name:>12}" for name in head))
    for name, row in rows.items():
        NOTES.say(f"{name:<5}" + "".join(f"{value:>12.0f}" for value in row))
    keys = ("rss_mib", "pss_mib", "own_mib", "cpu_percent_of_one_core")
    NOTES.number(
        idle={
            name: {key: round(value) for key, value in zip(keys, row, strict=True)}
            for name, row in rows.items()
        }
    )
    assert rows["all"][1] < 4 * 1024
    assert rows["all"][3] < 150, "idle clusters work: a collector near its limit?"


def cpu_seconds(cluster: Cluster) -> float:
    """Return the processor time of a cluster, by its cgroup."""
    folder = remains.CGROUPS / "cpuacct" / remains.GROUP / cluster.name
    return int((folder / "cpuacct.usage").read_text()) / 1e9


def memory_mib(cluster: Cluster, kind: str) -> float:
    """Return the memory of a cluster's processes.

    Args:
        cluster: Whose.
        kind: ``Rss`` counts what programs share once for each, ``Pss`` once for all together,
            ``Pss_Anon`` only what no file has.
    """
    kib = 0
    for pid in remains.pids():
        with suppress(OSError):  # it may end meanwhile
            if f":/{remains.GROUP}/{cluster.name}" in Path(f"/proc/{pid}/cgroup").read_text():
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                kib += sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))
    return kib / 1024

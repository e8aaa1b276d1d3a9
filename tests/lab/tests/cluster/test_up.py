"""Three clusters that are up: again is no change, and idle they cost little."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import remains
from lab import lock
from scene import CLUSTERS, NOTES, STATE, done, lab, node_pid, timed

pytestmark = pytest.mark.usefixtures("clusters")
SETTLE_SECONDS = 10
IDLE_SECONDS = 20
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


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
    before = cpu_seconds()
    begun = time.monotonic()
    time.sleep(IDLE_SECONDS)
    took = time.monotonic() - begun
    after = cpu_seconds()
    percent = {name: 100 * (after[name] - before[name]) / took for name in after}
    resident = {cluster.name: resident_mib(cluster.name) for cluster in CLUSTERS}
    NOTES.say("", f"{'idle':<6}{'RSS MiB':>9}{'% of a core':>13}")
    for name in (*resident, "all"):
        mib = sum(resident.values()) if name == "all" else resident[name]
        NOTES.say(f"{name:<6}{mib:>9.0f}{percent[name]:>13.1f}")
    NOTES.number(
        idle_resident_mib={name: round(mib) for name, mib in resident.items()},
        idle_cpu_percent_of_one_core={name: round(value, 1) for name, value in percent.items()},
    )
    assert sum(resident.values()) < 3 * 1024


def cpu_seconds() -> dict[str, float]:
    """Return the processor time of each cluster and of all, by their cgroups."""
    top = remains.CGROUPS / "cpuacct" / remains.GROUP
    folders = {"all": top} | {cluster.name: top / cluster.name for cluster in CLUSTERS}
    return {
        name: int((folder / "cpuacct.usage").read_text()) / 1e9 for name, folder in folders.items()
    }


def resident_mib(name: str) -> float:
    """Return the resident memory of a cluster's processes; shared pages count for each."""
    total = 0.0
    for pid in remains.pids():
        try:
            group = Path(f"/proc/{pid}/cgroup").read_text()
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue  # it ended meanwhile
        if f"/{remains.GROUP}/{name}/" in group or group.rstrip().endswith(f"/{name}"):
            total += pages * PAGE_MIB
    return total

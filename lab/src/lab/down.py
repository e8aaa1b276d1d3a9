"""Take clusters away, whole or half made, and leave nothing behind.

A cluster is found by what bears its name: its cgroups, its cable, its folder. So ``down`` needs no
state, and a process is killed only if it lives in the cluster's cgroups: a number that the state
remembers may long belong to a stranger.

1. Everything in the cgroups is thawed and killed until nothing is left.
2. The cgroups are removed, then the cable, which mostly has vanished with the node.
3. What is still mounted below the state's folder is unmounted, then the cluster's folder removed.
4. After the last cluster the machine gets back what it lent (``host.restore``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lab import cgroups, host, links, plan
from lab.errors import LabError
from lab.names import OURS, Names
from lab.paths import State
from lab.plan import Cluster
from lab.report import Report
from lab.run import run
from lab.waiting import wait_for

_DEATH_SECONDS = 8.0
_MOUNTS = Path("/proc/self/mountinfo")


def traces(state: State, names: Names = OURS) -> list[Cluster]:
    """Return the clusters of which anything is on this machine: folder, cgroup or cable."""
    known = links.links()
    every = [Cluster(number) for number in range(1, plan.LARGEST + 1)]
    return [
        cluster
        for cluster in every
        if state.of(cluster).root.exists()
        or cgroups.existing(names.group(cluster))
        or ((link := known.get(names.link(cluster))) and link.is_ours)
    ]


def down(state: State, clusters: Sequence[Cluster], report: Report, names: Names = OURS) -> None:
    """Take clusters away; with the last one the machine gets back what it lent.

    Args:
        state: Of this machine.
        clusters: Which; those that are not there are left out.
        report: Progress.
        names: Names of the lab.

    Raises:
        LabError: The lab is of another state, and nothing was done; or a process did not die, or
            something could not be removed: all else is removed first, and it can be tried again.
    """
    host.check_owner(state, names)
    there = traces(state, names)
    wanted = [cluster for cluster in clusters if cluster in there]
    failures: list[LabError] = []

    def one(cluster: Cluster) -> None:
        try:
            with report.part(f"{cluster.name}: down"):
                _remove(state, cluster, names)
        except LabError as error:
            failures.append(error)

    if wanted:
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(one, wanted))
    if failures:
        raise failures[0]
    if set(there) <= set(wanted) and (host.is_lent(state, names) or state.root.is_dir()):
        with report.part("the machine as it was"):
            host.restore(state, names)
            _remove_root(state)
    elif not wanted:
        named = ", ".join(cluster.name for cluster in clusters)
        report.say(f"{named} not up" if there else "nothing is up")


def _remove(state: State, cluster: Cluster, names: Names) -> None:
    groups = cgroups.existing(names.group(cluster))
    _kill(cluster, groups)
    cgroups.remove(groups)
    links.remove(names.link(cluster))
    here = state.of(cluster).root
    _unmount(here)
    if here.exists():
        run(["rm", "--recursive", "--force", "--one-file-system", "--", here])


def _kill(cluster: Cluster, groups: list[Path]) -> None:
    """Kill until nothing is left; a node's first process takes the others with it."""

    def is_empty() -> bool | str:
        cgroups.thaw(groups)
        living = cgroups.processes(groups)
        for pid in living:
            _kill_one(pid, groups)
        return not living or f"still there: {' '.join(map(str, sorted(living)))}"

    wait_for(
        f"the end of the processes of {cluster.name}",
        is_empty,
        limit_seconds=_DEATH_SECONDS,
        every_seconds=0.05,
    )


def _kill_one(pid: int, groups: list[Path]) -> None:
    """Kill a process of these groups, and never one that got its number meanwhile."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            # The handle is of one process for good: look again whether that one is meant.
            if pid in cgroups.processes(groups):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def mounts_below(folder: Path, mountinfo: str) -> list[Path]:
    """Return what is mounted at or below a folder, the latest mount first.

    Args:
        folder: An absolute path.
        mountinfo: The text of ``/proc/self/mountinfo``.
    """
    points = [Path(cgroups.unescape(line.split()[4])) for line in mountinfo.splitlines()]
    return [point for point in reversed(points) if point.is_relative_to(folder)]


def _unmount(folder: Path) -> None:
    """Unmount all below a folder; what cannot be is detached, and goes with its last user."""
    whole = folder.resolve()
    for point in mounts_below(whole, _MOUNTS.read_text()):
        try:
            run(["umount", "--no-canonicalize", point])
        except LabError:
            run(["umount", "--no-canonicalize", "--lazy", point])
    left = mounts_below(whole, _MOUNTS.read_text())
    if left:
        # Removing files now could reach into the cache, or into what somebody else mounted.
        raise LabError(f"{left[0]} is still mounted", "unmount it, then run `down` again")


def _remove_root(state: State) -> None:
    """Remove the state's folder if nothing of others is in it."""
    strangers = [path.name for path in state.root.iterdir()] if state.root.is_dir() else []
    if strangers:
        raise LabError(f"{state.root} holds {strangers[0]}, which is not the lab's", "move it away")
    with suppress(FileNotFoundError):
        state.root.rmdir()

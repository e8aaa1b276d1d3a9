"""What the machine lends comes back: also after a kill in the middle, with no state, and twice.

These tests have a lab of other names beside the one of the machine; see ``lesser``.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lesser import (
    ALL,
    C1,
    C2,
    C3,
    NAMES,
    SETTING,
    connect_node,
    ip_inside,
    nothing_is_left,
    prepare,
    setting,
    start_node,
    taken_down,
)

from lab import cgroups, events, faults, host, links, usage
from lab.down import down, traces
from lab.errors import LabError
from lab.paths import State
from lab.plan import Cluster
from lab.report import Report
from lab.run import run
from lab.waiting import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes bridges and cgroups: needs root")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state")
    was = setting()
    yield state
    down(state, ALL, Report(io.StringIO()), NAMES)
    nothing_is_left(state)
    assert setting() == was


@pytest.fixture
def node(state: State) -> Iterator[Callable[[Cluster], int]]:
    """Start a node of a cluster as `up` does; return the id of its first process."""
    started: list[subprocess.Popen[bytes]] = []

    def start(cluster: Cluster) -> int:
        started.append(parent := start_node(state, cluster))
        return connect_node(state, cluster, parent)

    yield start
    for parent in started:
        parent.kill()
        parent.wait()


def test_prepare_twice_changes_nothing_more(state: State) -> None:
    was = setting()
    prepare(state)
    first = state.host.read_text()
    assert setting() == "11"
    assert json.loads(first)["settings"] == {SETTING: was}
    prepare(state)
    assert state.host.read_text() == first
    assert state.root.stat().st_mode & 0o777 == 0o700


def test_a_node_has_its_addresses_its_services_route_and_no_default_route(
    state: State, node: Callable[[Cluster], int]
) -> None:
    prepare(state)
    pid = node(C1)
    assert "10.219.1.10/16" in ip_inside(pid, "-4", "address", "show", "eth0")
    routes = ip_inside(pid, "route").splitlines()
    assert [route for route in routes if route.startswith("10.212.1.0/24 dev eth0")]
    assert not [route for route in routes if "default" in route]
    command = ["nsenter", f"--target={pid}", "--net", "cat", "/proc/sys/net/ipv4/ip_forward"]
    assert subprocess.check_output(command, text=True).strip() == "1"


def test_nodes_reach_each_other_until_one_is_partitioned(
    state: State, node: Callable[[Cluster], int]
) -> None:
    prepare(state)
    first, second = node(C1), node(C2)
    listener = [sys.executable, "-m", "http.server", "80"]
    server = subprocess.Popen(
        ["nsenter", f"--target={second}", "--net", *listener],  # noqa: S607
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    connect = "import socket; socket.create_connection(('10.219.2.10', 80), timeout=1)"
    client = ["nsenter", f"--target={first}", "--net", sys.executable, "-c", connect]

    def reaches() -> bool:
        return subprocess.run(client, capture_output=True, check=False).returncode == 0

    try:
        wait_for("a connection", reaches, limit_seconds=5)
        faults.partition(state, C2, NAMES)
        assert faults.is_partitioned(C2, NAMES)
        assert not reaches()
        faults.heal(state, C2, NAMES)
        assert not faults.is_partitioned(C2, NAMES)
        wait_for("a connection again", reaches, limit_seconds=5)
    finally:
        server.kill()
        server.wait()
    assert [event.what for event in events.read(state, C2)] == ["partition", "heal"]


def test_down_of_one_cluster_leaves_the_others_and_the_bridge(
    state: State, node: Callable[[Cluster], int]
) -> None:
    prepare(state)
    pids = [node(cluster) for cluster in ALL]
    taken_down(state, C2)
    assert traces(state, NAMES) == [C1, C3]
    assert not Path(f"/proc/{pids[1]}/root/proc").exists()
    assert host.is_node(C1, pids[0], NAMES)
    assert NAMES.bridge in links.links()
    assert setting() == "11"


def test_down_of_three_takes_at_most_ten_seconds_and_leaves_nothing(
    state: State, node: Callable[[Cluster], int]
) -> None:
    was = setting()
    prepare(state)
    for cluster in ALL:
        node(cluster)
    begun = time.monotonic()
    taken_down(state)
    assert time.monotonic() - begun < 10
    nothing_is_left(state)
    assert setting() == was
    assert "nothing is up" in taken_down(state)


def test_down_without_any_state_finds_everything_by_name(
    state: State, node: Callable[[Cluster], int], tmp_path: Path
) -> None:
    was = setting()
    prepare(state)
    pid = node(C1)
    lost = state.root.rename(tmp_path / "lost")
    taken_down(state)
    assert not traces(state, NAMES)
    assert not Path(f"/proc/{pid}/root/proc").exists()
    nothing_is_left(state)
    # Only the state knew the kernel setting: with its record, it comes back.
    assert setting() == "11"
    lost.rename(state.root)
    taken_down(state)
    assert setting() == was


def test_the_lab_of_another_state_is_left_alone(
    state: State, node: Callable[[Cluster], int], tmp_path: Path
) -> None:
    prepare(state)
    pid = node(C1)
    elsewhere = State(tmp_path / "elsewhere")
    for command in (prepare, taken_down):
        with pytest.raises(LabError, match=f"has its state in {state.root}; name that folder"):
            command(elsewhere)
    assert host.is_node(C1, pid, NAMES)
    assert not elsewhere.root.exists()


def test_a_stranger_with_a_remembered_pid_lives(state: State) -> None:
    prepare(state)
    here = state.of(C1)
    here.root.mkdir()
    stranger = subprocess.Popen(["/bin/sleep", "1000"])
    try:
        here.pid.write_text(f"{stranger.pid}\n")
        assert not host.is_node(C1, stranger.pid, NAMES)
        taken_down(state)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_frozen_process_and_deep_cgroups_go_too(
    state: State, node: Callable[[Cluster], int]
) -> None:
    prepare(state)
    pid = node(C1)
    for group in cgroups.existing(NAMES.group(C1)):
        (group / "kubepods" / "pod1" / "container").mkdir(parents=True)
    freezer = next(each for each in cgroups.hierarchies() if "freezer" in each.controllers)
    pod = freezer.root / NAMES.group(C1) / "kubepods" / "pod1"
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    (pod / "container" / "cgroup.procs").write_text(child)
    (pod / "freezer.state").write_text("FROZEN")
    frozen = pod / "container" / "freezer.state"
    wait_for("frost", lambda: frozen.read_text().strip() == "FROZEN", limit_seconds=5)
    taken_down(state)


def test_mounts_below_the_state_are_unmounted_and_what_they_show_stays(
    state: State, tmp_path: Path
) -> None:
    prepare(state)
    precious = tmp_path / "cache"
    precious.mkdir()
    (precious / "program").write_text("built for minutes")
    point = state.of(C1).root / "with space" / "tools"
    point.mkdir(parents=True)
    run(["mount", "--bind", precious, point])
    run(["mount", "-t", "tmpfs", "tmpfs", point])
    with (point / "open").open("w"):
        taken_down(state)
    assert (precious / "program").read_text() == "built for minutes"


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 4, 5, 9, 14, 22, 24, 25, 26, 27, 28, 30, 40])
def test_up_killed_after_any_step_is_undone(state: State, calls: int) -> None:
    """Kill the program that prepares and connects, each time one change of the machine later."""
    was = setting()
    program = f"""
import os, signal, sys
from pathlib import Path
from lesser import NAMES, SETTINGS, C1
from lab import host, links
from lab.paths import State
left = {calls}
def dies(event, arguments):
    global left
    changes = event == "os.mkdir" or event == "subprocess.Popen" or (
        event == "open" and "w" in str(arguments[1]))
    if changes:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(dies)
state = State(Path({str(state.root)!r}))
host.prepare(state, NAMES, SETTINGS, {{}})
host.cgroup(C1, NAMES)
"""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert done.returncode == -9
    taken_down(state)
    nothing_is_left(state)
    assert setting() == was


def test_a_bridge_of_somebody_else_is_neither_used_nor_removed(state: State) -> None:
    run(["ip", "link", "add", NAMES.bridge, "type", "bridge"])
    try:
        with pytest.raises(LabError, match="sttest0 was not made by the lab"):
            prepare(state)
        taken_down(state)
        assert NAMES.bridge in links.links()
    finally:
        run(["ip", "link", "delete", NAMES.bridge])


def test_a_link_of_somebody_else_is_no_cable(state: State, node: Callable[[Cluster], int]) -> None:
    prepare(state)
    run(["ip", "link", "add", NAMES.link(C1), "type", "bridge"])
    try:
        with pytest.raises(LabError, match="sttest-c1 was not made by the lab"):
            node(C1)
        with pytest.raises(LabError, match="c1 is not up"):
            faults.partition(state, C1, NAMES)
    finally:
        run(["ip", "link", "delete", NAMES.link(C1)])


def test_a_folder_with_other_things_is_neither_used_nor_removed(tmp_path: Path) -> None:
    state = State(tmp_path / "home")
    state.root.mkdir()
    (state.root / "letters").write_text("dear")
    with pytest.raises(LabError, match="holds letters"):
        prepare(state)
    with pytest.raises(LabError, match="holds letters"):
        taken_down(state)
    assert (state.root / "letters").read_text() == "dear"


def test_usage_is_of_the_cgroups(state: State, node: Callable[[Cluster], int]) -> None:
    prepare(state)
    node(C1)
    used = usage.measure([C1, C2], NAMES, for_seconds=0.2)
    assert list(used) == [C1]
    assert 0 < used[C1].memory_mib < 50
    assert 0 <= used[C1].cpu_percent < 100

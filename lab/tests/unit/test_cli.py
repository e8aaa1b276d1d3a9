"""The command line: errors are one line, output is for programs where programs read it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from lab import cli, events, status
from lab.paths import State
from lab.plan import Cluster
from lab.status import ClusterStatus, Component

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the state is root's")
UP = ClusterStatus(
    name="c1",
    state="up",
    pid=4711,
    since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    api="https://10.210.1.10:6443",
    balancers=("10.210.1.100", "10.210.1.199"),
    components={"etcd": Component("running", 7, 0), "kubelet": Component("stopped", 0, 2)},
    is_api_ready=True,
    is_node_ready=True,
    pods=5,
    pods_not_ready=["default/web-0"],
    memory_mib=345.6,
    cpu_percent=7.8,
)


def lab(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that only reads, with a state of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={
            **os.environ,
            "SECURETRANSPORT_LAB_STATE": str(state),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )


def shown(*rows: ClusterStatus) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=200).print(status.table(rows))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ["kubeconfig", "3"],
        ["exec", "3", "true"],
        ["exec", "3", "--", "ls", "-l"],
        ["logs", "3", "kubelet"],
        ["partition", "3"],
        ["heal", "3"],
        ["kill", "3", "etcd"],
        ["stop", "3", "kubelet"],
        ["start", "3", "kubelet"],
        ["events", "3"],
    ],
    ids=" ".join,
)
@needs_root
def test_a_cluster_that_is_not_up_is_one_line(tmp_path: Path, words: list[str]) -> None:
    done = lab(tmp_path / "state", *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "lab: c3 is not up; `python -m lab up 3`\n"


def test_a_cluster_outside_the_plan_is_one_line(tmp_path: Path) -> None:
    done = lab(tmp_path / "state", "kubeconfig", "12")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_help_needs_nothing(tmp_path: Path) -> None:
    done = lab(tmp_path / "state", "up", "--help")
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())


@needs_root
def test_the_log_that_explains_an_error_is_set_in(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "c3" / "node" / "log").mkdir(parents=True)
    (state / "c3" / "node" / "log" / "kubelet.log").write_text("line\n")
    done = lab(state, "logs", "3", "no-such")
    assert done.stderr == "lab: c3 has no log of no-such; there are kubelet\n"
    assert lab(state, "logs", "3", "kubelet").stdout == "line\n"


@needs_root
def test_events_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    cluster = Cluster(3)
    events.record(state, cluster, "kill", component="etcd", signal=9)
    events.record(state, cluster, "partition")
    first, second = events.read(state, cluster)
    assert (first.what, first.detail) == ("kill", {"component": "etcd", "signal": 9})
    assert first.at <= second.at
    rows = [json.loads(line) for line in lab(state.root, "events", "3").stdout.splitlines()]
    assert [row["what"] for row in rows] == ["kill", "partition"]


def test_merged_kubeconfigs_have_a_context_for_each(tmp_path: Path) -> None:
    files = []
    for name in ("c1", "c2"):
        part = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}}],
            "users": [{"name": f"{name}-admin", "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
            "current-context": name,
        }
        files.append(tmp_path / name)
        files[-1].write_text(yaml.safe_dump(part))
    made = yaml.safe_load(cli.merged(files))
    assert [row["name"] for row in made["contexts"]] == ["c1", "c2"]
    assert [row["name"] for row in made["users"]] == ["c1-admin", "c2-admin"]
    assert made["current-context"] == "c1"


def test_status_of_a_cluster_is_one_row() -> None:
    lines = shown(UP, ClusterStatus("c2", "down"))
    assert len(lines) == 3
    for word in ("c1", "up", "03:04:05", "Ready", "4 of 5", "1 of 2 run, 2 restarts", "346"):
        assert word in lines[1]
    assert lines[2].split() == ["c2", "down"]


def test_status_tells_a_partition_from_a_dead_api_server() -> None:
    line = shown(replace(UP, is_partitioned=True, is_api_ready=False))[1]
    assert "up, partitioned" in line
    assert "no answer" in line


@pytest.mark.parametrize(("is_enforced", "told"), [(True, " enforced"), (False, "not enforced")])
def test_status_says_whether_network_policies_have_an_effect(is_enforced: bool, told: str) -> None:
    assert told in shown(replace(UP, is_policy_enforced=is_enforced))[1]

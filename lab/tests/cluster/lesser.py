"""A second, small lab beside the one of the machine: other names, and nodes that only sleep."""

from __future__ import annotations

import io
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from lab import cgroups, host, links
from lab.down import down
from lab.names import Names
from lab.paths import State
from lab.plan import Cluster
from lab.report import Report
from lab.waiting import wait_for

NAMES = Names("sttest0", "sttest-", "securetransport-labtest", IPv4Network("10.219.0.0/16"), 15)
SETTING = "net.ipv4.igmp_max_msf"
FILE = Path("/proc/sys/net/ipv4/igmp_max_msf")
SETTINGS = {SETTING: 11}
C1, C2, C3 = ALL = tuple(Cluster(number) for number in (1, 2, 3))
NODE = """
for group; do echo $$ > "$group/cgroup.procs"; done
exec unshare --net --mount --pid --uts --ipc --cgroup --fork --kill-child=KILL \
  sh -c 'sleep 1000 & sleep 1000 & wait'
"""


def setting() -> str:
    """Return the lab's one kernel setting as it is now."""
    return FILE.read_text().strip()


def prepare(state: State) -> None:
    host.prepare(state, NAMES, SETTINGS, {})


def taken_down(state: State, *clusters: Cluster) -> str:
    out = io.StringIO()
    down(state, clusters or ALL, Report(out), NAMES)
    return out.getvalue()


def nothing_is_left(state: State) -> None:
    assert not cgroups.existing(NAMES.cgroup)
    assert not [name for name in links.links() if name.startswith("sttest")]
    assert not state.root.exists()


def ip_inside(pid: int, *arguments: str) -> str:
    words = ["nsenter", f"--target={pid}", "--net", "ip", *arguments]
    return subprocess.check_output(words, text=True)


def start_node(state: State, cluster: Cluster) -> subprocess.Popen[bytes]:
    """Start a node as `up` does: in its cgroups first, then in namespaces of its own."""
    here = state.of(cluster)
    (here.root / "disk").mkdir(parents=True)
    (here.root / "disk" / "file").write_text("something")
    groups = host.cgroup(cluster, NAMES)
    return subprocess.Popen(["/bin/sh", "-c", NODE, "sh", *map(str, groups)])


def connect_node(state: State, cluster: Cluster, parent: subprocess.Popen[bytes]) -> int:
    """Plug a node in and return the id of its first process."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    wait_for("a node", lambda: bool(children.read_text().split()), limit_seconds=10)
    pid = int(children.read_text().split()[0])
    mine = Path("/proc/self/ns/net").stat().st_ino
    theirs = Path(f"/proc/{pid}/ns/net")
    wait_for("its network", lambda: theirs.stat().st_ino != mine, limit_seconds=10)
    state.of(cluster).pid.write_text(f"{pid}\n")
    host.connect(state, cluster, pid, NAMES)
    return pid

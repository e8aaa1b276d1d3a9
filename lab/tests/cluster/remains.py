"""What the lab has on a machine, looked up past the lab's own code: to compare before and after."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
GROUP = "securetransport-lab"
SETTINGS = (
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/bridge/bridge-nf-call-arptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_max",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
"""Kernel settings that a kubelet, a kube-proxy or the lab would change."""


@dataclass(frozen=True)
class Remains:
    """What is there now.

    Attributes:
        processes: ``PID NAME`` of every process in a cgroup of the lab.
        mounts: ``PID:MOUNT POINT`` of what is mounted at, or from, the state's folder, in the
            mount namespace of whichever process; a namespace is looked at once.
        links: Network links with the lab's name.
        routes: Routes of the machine over such a link.
        cgroups: Folders of the lab's groups, two levels deep.
        files: The state's folder and its lock.
        settings: Kernel settings.
    """

    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    links: tuple[str, ...]
    routes: tuple[str, ...]
    cgroups: tuple[str, ...]
    files: tuple[str, ...]
    settings: dict[str, str]

    def things(self) -> dict[str, tuple[str, ...]]:
        """Return everything but the settings, by kind; nothing left means that all are empty."""
        kinds = ("processes", "mounts", "links", "routes", "cgroups", "files")
        return {kind: getattr(self, kind) for kind in kinds}

    def lines(self) -> list[str]:
        """Return one line for each kind: how many, and the first few."""
        told = [
            f"{kind:<10}{len(names):>4}  {', '.join(names[:6])}{' ...' if names[6:] else ''}"
            for kind, names in self.things().items()
        ]
        changed = " ".join(f"{name.split('/')[-1]}={now}" for name, now in self.settings.items())
        return [*told, f"settings        {changed}"]


def pids() -> list[int]:
    """Return every process in a cgroup of the lab, in the machine's numbers."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if f"/{GROUP}/" in (folder / "cgroup").read_text():
                found.append(int(folder.name))
    return sorted(found)


def look(state: Path) -> Remains:
    """Look at the machine.

    Args:
        state: The state's folder.
    """
    routes = subprocess.check_output(["ip", "-4", "route"], text=True).splitlines()  # noqa: S607
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    groups = [*CGROUPS.glob(f"*/{GROUP}"), *CGROUPS.glob(f"*/{GROUP}/*/")]
    return Remains(
        processes=tuple(f"{pid} {_name(pid)}" for pid in pids()),
        mounts=tuple(_mounts(f"{state}/")),
        links=tuple(sorted(name for name in links if name.startswith("stlab"))),
        routes=tuple(route for route in routes if "stlab" in route),
        cgroups=tuple(sorted(str(group.relative_to(CGROUPS)) for group in groups)),
        files=tuple(str(path) for path in state.parent.glob(f"{state.name}*")),
        settings={name: _setting(name) for name in SETTINGS},
    )


def _mounts(folder: str) -> Iterator[str]:
    seen: set[str] = set()
    for process in sorted(Path("/proc").glob("[0-9]*")):
        with suppress(OSError):  # it may end meanwhile
            space = str((process / "ns" / "mnt").readlink())
            if space in seen:
                continue
            seen.add(space)
            for line in (process / "mountinfo").read_text().splitlines():
                if folder in line:
                    yield f"{process.name}:{line.split()[4]}"


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "(gone)"


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return "-"

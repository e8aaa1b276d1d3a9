"""What this machine is and has, as far as it matters to the lab; nothing is changed by looking."""

from __future__ import annotations

import gzip
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab import cgroups, links
from lab.cgroups import Hierarchy
from lab.errors import LabError
from lab.names import OURS, Names
from lab.paths import Cache, State
from lab.run import run

PROGRAMS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "umount": "mount",
}
"""Programs that every ``up`` needs, with the Debian package that has them."""
BUILD_PROGRAMS = {
    "go": "Go 1.26 from go.dev or your distribution",
    "gcc": "gcc",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
"""Programs that are needed while something is not in the cache yet."""

_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True)
class Machine:
    """What was found.

    Attributes:
        system: ``Linux``, or what else it is.
        is_root: Whether we are.
        hierarchies: Mounted cgroup hierarchies.
        options: The kernel's configuration without ``CONFIG_``; empty when it cannot be read.
        evidence: Features that were tried or seen, for kernels that hide their configuration, and
            where an option alone does not tell (a module that is not loaded).
        programs: Those of ``PROGRAMS`` and ``BUILD_PROGRAMS`` that are there.
        networks: Networks that the machine routes or has, with the name of the link.
        is_bridge_foreign: Whether the bridge's name is taken by a link that is not the lab's.
        file_system: Type of the one under the state.
        cache_bytes: Free, under the cache.
        state_bytes: Free, under the state.
    """

    system: str = "Linux"
    is_root: bool = True
    hierarchies: Sequence[Hierarchy] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, bool] = field(default_factory=dict)
    programs: frozenset[str] = frozenset()
    networks: Sequence[tuple[IPv4Network, str]] = ()
    is_bridge_foreign: bool = False
    file_system: str = "ext4"
    cache_bytes: int = 0
    state_bytes: int = 0


def examine(state: State, cache: Cache, names: Names = OURS) -> Machine:
    """Look at this machine; nothing of it is changed."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return Machine(system=platform.system(), is_root=os.geteuid() == 0)
    programs = frozenset(name for name in PROGRAMS | BUILD_PROGRAMS if shutil.which(name))
    has_ip = {"ip", "unshare"} <= programs
    known = links.links() if has_ip else {}
    bridge = known.get(names.bridge)
    ours = {link.name for link in known.values() if link.is_ours}
    place = _existing(state.root)
    return Machine(
        hierarchies=cgroups.hierarchies(),
        options=_kernel_options(),
        evidence=_evidence(tries=has_ip),
        programs=programs,
        networks=[each for each in _networks() if each[1] not in ours] if has_ip else [],
        is_bridge_foreign=bridge is not None and not bridge.is_ours,
        file_system=_file_system(place),
        cache_bytes=shutil.disk_usage(_existing(cache.root)).free,
        state_bytes=shutil.disk_usage(place).free,
    )


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above that exists."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def _kernel_options() -> dict[str, str]:
    release = platform.release()
    places = (
        Path("/proc/config.gz"),
        Path(f"/boot/config-{release}"),
        Path(f"/lib/modules/{release}/config"),
    )
    for place in places:
        try:
            data = place.read_bytes()
        except OSError:
            continue
        return parse_options(gzip.decompress(data) if place.suffix == ".gz" else data)
    return {}


def parse_options(config: bytes) -> dict[str, str]:
    """Read a kernel's configuration; options that are not set are left out."""
    pairs = (line.split("=", 1) for line in config.decode(errors="replace").splitlines())
    return {
        pair[0].removeprefix("CONFIG_"): pair[1]
        for pair in pairs
        if len(pair) == 2 and pair[0].startswith("CONFIG_")
    }


def _evidence(*, tries: bool) -> dict[str, bool]:
    """Return features that can be seen, or tried in a namespace that vanishes with the try."""
    spaces = {"network": "net", "PID": "pid", "UTS": "uts", "IPC": "ipc"}
    seen = {
        f"{name} namespaces": Path(f"/proc/self/ns/{file}").exists()
        for name, file in spaces.items()
    }
    seen["packet filters on bridges"] = _BRIDGE_FILTER.exists()
    if "overlay" in Path("/proc/filesystems").read_text().split():
        seen["overlayfs"] = True
    if tries:
        seen["veth"] = _can_add("v0 type veth peer name v1")
        seen["bridges"] = _can_add("b0 type bridge")
    return seen


def _can_add(link: str) -> bool:
    try:
        run(["unshare", "--net", "ip", "link", "add", *link.split()])
    except LabError:
        return False
    return True


def _networks() -> list[tuple[IPv4Network, str]]:
    """Return what this machine has an address in, or a route to."""
    return parse_networks(
        json.loads(run(["ip", "-4", "-json", "address"]) or "[]"),
        json.loads(run(["ip", "-4", "-json", "route", "show", "table", "all"]) or "[]"),
    )


def parse_networks(
    addresses: Sequence[Mapping[str, Any]], routes: Sequence[Mapping[str, Any]]
) -> list[tuple[IPv4Network, str]]:
    """Read networks from the JSON of ``ip address`` and ``ip route``."""
    found = [
        (f"{address['local']}/{address['prefixlen']}", link["ifname"])
        for link in addresses
        for address in link.get("addr_info", [])
    ]
    found += [
        (route["dst"], route.get("dev") or route.get("type", "no link"))
        for route in routes
        if route["dst"] != "default"
    ]
    return [(IPv4Network(text, strict=False), link) for text, link in found]


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    best, kind = Path("/"), "unknown"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = Path(cgroups.unescape(left.split()[4]))
        if folder.resolve().is_relative_to(point) and point.is_relative_to(best):
            best, kind = point, right.split()[0]
    return kind

"""Can this machine carry the lab? Each reason why not is one line that says what to do.

``machine.examine`` looks at the machine, ``problems`` judges what it saw and is pure.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence

from lab import host, plan
from lab.cgroups import Hierarchy
from lab.errors import LabError, UnfitError
from lab.machine import BUILD_PROGRAMS, PROGRAMS, Machine, examine
from lab.names import OURS, Names
from lab.paths import Cache, State
from lab.plan import Cluster

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio")
COLD_BYTES = 12 * 2**30
WARM_BYTES = 3 * 2**30

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "network namespaces": ("NET_NS",),
    "PID namespaces": ("PID_NS",),
    "UTS namespaces": ("UTS_NS",),
    "IPC namespaces": ("IPC_NS",),
    "overlayfs": ("OVERLAY_FS",),
    "bridges": ("BRIDGE",),
    "veth": ("VETH",),
    "packet filters on bridges": ("BRIDGE_NETFILTER",),
    "connection tracking": ("NF_CONNTRACK",),
    "address translation": ("NF_NAT",),
    "iptables": ("NFT_COMPAT", "IP_NF_IPTABLES"),
    "sets of addresses": ("IP_SET",),
    "the iptables match comment": ("NETFILTER_XT_MATCH_COMMENT",),
    "the iptables match conntrack": ("NETFILTER_XT_MATCH_CONNTRACK",),
    "the iptables match addrtype": ("NETFILTER_XT_MATCH_ADDRTYPE",),
    "the iptables match statistic": ("NETFILTER_XT_MATCH_STATISTIC",),
    "the iptables mark": ("NETFILTER_XT_MARK",),
    "the iptables target MASQUERADE": (
        "NETFILTER_XT_TARGET_MASQUERADE",
        "IP_NF_TARGET_MASQUERADE",
    ),
}
"""Kernel features with the options of which one must be ``y`` or ``m``."""

_MODULES = {"BRIDGE_NETFILTER": "br_netfilter", "OVERLAY_FS": "overlay"}
"""Options whose module has another name."""
_UNFIT = frozenset({"overlay", "nfs", "nfs4", "9p", "virtiofs", "vfat", "fuseblk", "ramfs"})
"""File systems that cannot carry the writable part of an overlay."""


def require_root() -> None:
    """Return if this is Linux and we are root, which every look at the state needs.

    Raises:
        UnfitError: It is not.
    """
    _raise_first(UnfitError, list(_place_problems(platform.system(), is_root=os.geteuid() == 0)))


def check(clusters: Sequence[Cluster], state: State, cache: Cache, names: Names = OURS) -> None:
    """Return if the machine can carry these clusters.

    Args:
        clusters: Which; the number of those that are new scales the disk they need.
        state: Where their disks will be.
        cache: What is not in it must be built, which needs programs and more disk.
        names: Names of the lab.

    Raises:
        UnfitError: It is of a kind that cannot.
        LabError: It cannot as it is now. For both, the first reason is the message, further ones
            are in the log.
    """
    require_root()
    host.check_owner(state, names)
    machine = examine(state, cache, names)
    _raise_first(UnfitError, unfitness(machine))
    is_cold = bool(_missing(cache))
    new = sum(not state.of(cluster).root.exists() for cluster in clusters)
    _raise_first(LabError, problems(machine, is_cold=is_cold, new=new))


def _raise_first(kind: type[LabError], found: Sequence[tuple[str, str]]) -> None:
    if found:
        what, remedy = found[0]
        raise kind(what, remedy, log="\n".join(f"{also}; {do}" for also, do in found[1:]))


def unfitness(machine: Machine) -> list[tuple[str, str]]:
    """Return each reason of a kind that nothing done on the machine while it runs would clear."""
    if elsewhere := list(_place_problems(machine.system, is_root=machine.is_root)):
        return elsewhere
    return [*_cgroup_problems(machine.hierarchies), *_kernel_problems(machine)]


def problems(machine: Machine, *, is_cold: bool, new: int = 3) -> list[tuple[str, str]]:
    """Return each reason why the lab cannot be here, with what to do about it.

    Args:
        machine: What was found.
        is_cold: Whether something must be built first.
        new: How many clusters are to be made.
    """
    found = unfitness(machine)
    if list(_place_problems(machine.system, is_root=machine.is_root)):
        return found
    return [
        *found,
        *_program_problems(machine.programs, is_cold=is_cold),
        *_disk_problems(machine, is_cold=is_cold, new=new),
        *_network_problems(machine),
    ]


def _place_problems(system: str, *, is_root: bool) -> Iterable[tuple[str, str]]:
    if system != "Linux":
        yield f"the lab needs Linux, this is {system}", "use a Linux machine"
    elif not is_root:
        yield "the lab makes namespaces and bridges and needs root", "run it as root"


def _cgroup_problems(hierarchies: Sequence[Hierarchy]) -> Iterable[tuple[str, str]]:
    boot = "boot with systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    there = {name for each in hierarchies if each.version == 1 for name in each.controllers}
    if not there & set(CONTROLLERS):
        found = "cgroup v2 only" if hierarchies else "no cgroups mounted"
        yield f"this machine has {found}, the lab needs cgroup v1", boot
        return
    for name in CONTROLLERS:
        if name not in there:
            folder = f"/sys/fs/cgroup/{name}"
            yield (
                f"the cgroup controller {name} is not mounted",
                f"`mkdir {folder} && mount -t cgroup -o {name} cgroup {folder}`, or {boot}",
            )


def _kernel_problems(machine: Machine) -> Iterable[tuple[str, str]]:
    for feature, options in OPTIONS.items():
        seen = machine.evidence.get(feature)
        configured = not machine.options or any(
            machine.options.get(option) in {"y", "m"} for option in options
        )
        if seen is False and machine.options and configured:
            # A module that is not loaded, or something that forbids us to use it.
            module = _MODULES.get(options[0], options[0].lower())
            yield f"the kernel has {feature}, but not for us", f"`modprobe {module}`"
        elif seen is False or (seen is None and not configured):
            wanted = " or ".join(f"CONFIG_{option}" for option in options)
            yield f"the kernel has no {feature}", f"use one with {wanted}"


def _program_problems(there: frozenset[str], *, is_cold: bool) -> Iterable[tuple[str, str]]:
    for name, package in (PROGRAMS | (BUILD_PROGRAMS if is_cold else {})).items():
        if name not in there:
            yield f"the program {name} is not on this machine", f"install {package}"


def _disk_problems(machine: Machine, *, is_cold: bool, new: int) -> Iterable[tuple[str, str]]:
    if machine.file_system in _UNFIT:
        yield (
            f"the state is on {machine.file_system}, which cannot carry an overlay",
            "name a folder on ext4 or xfs in SECURETRANSPORT_LAB_STATE",
        )
    needs = [
        ("cache", machine.cache_bytes, COLD_BYTES, is_cold),
        ("state", machine.state_bytes, WARM_BYTES, new > 0),
    ]
    for name, free, wanted, is_needed in needs:
        if is_needed and free < wanted:
            variable = f"SECURETRANSPORT_LAB_{name.upper()}"
            what = (
                f"the {name} has {free / 2**30:.1f} GiB of free disk, {wanted / 2**30:.0f} needed"
            )
            yield what, f"free some, or name another place in {variable}"


def _network_problems(machine: Machine) -> Iterable[tuple[str, str]]:
    if machine.is_bridge_foreign:
        yield (
            f"there is a link {plan.BRIDGE} that the lab did not make",
            f"look at it with `ip link show {plan.BRIDGE}`, then rename or remove it",
        )
    for ours in (plan.LAN, plan.PODS, plan.SERVICES):
        for network, link in machine.networks:
            # A default route, or one split in halves, covers everything and takes nothing.
            if network.prefixlen > 1 and network.overlaps(ours):
                yield (
                    f"the lab's range {ours} is taken: {network} is on {link}",
                    f"remove that route, or run the lab on a machine without {network}",
                )
                break


def _missing(cache: Cache) -> list[str]:
    """Return what must be built first."""
    from lab import toolchain  # noqa: PLC0415  only `up` needs the builders

    trees = list(cache.roots.glob("node-*")) if cache.roots.is_dir() else []
    return [*toolchain.missing(cache, toolchain.REQUIRED), *([] if trees else ["Debian tree"])]

"""What the machine lends to the lab: a bridge, cables, cgroups and a few kernel settings.

Each change is written to ``State.host`` *before* it is made, with what was there before, so a lab
that is killed between the two still gives everything back. What is written does not survive a
reboot of the machine, and neither do the changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lab import cgroups, links
from lab.errors import LabError
from lab.names import OURS, Names
from lab.paths import State
from lab.plan import POD_GATEWAY, Cluster
from lab.record import is_part, note, recorded, temporary
from lab.run import run

SETTINGS = {
    # The kubelet sets these four for the whole machine; done here, they are given back by `down`.
    "vm.overcommit_memory": 1,
    "vm.panic_on_oom": 0,
    "kernel.panic": 10,
    "kernel.panic_on_oops": 1,
    # Bridged frames between nodes are no business of the machine's own packet filter.
    "net.bridge.bridge-nf-call-iptables": 0,
    "net.bridge.bridge-nf-call-ip6tables": 0,
    "net.bridge.bridge-nf-call-arptables": 0,
}
"""Kernel settings of the machine while a cluster is up."""

AT_LEAST = {
    "fs.inotify.max_user_instances": 1024,  # the default of 128 is too few for three kubelets
    "fs.inotify.max_user_watches": 524_288,
    "kernel.keys.root_maxkeys": 1_000_000,  # the kubelet wants these two; each container has a key
    "kernel.keys.root_maxbytes": 25_000_000,
}
"""Kernel settings that are raised where they are lower."""

_INSIDE = {
    "net.ipv4.ip_forward": 1,
    "net.bridge.bridge-nf-call-iptables": 1,  # a pod reaches a service on its own node
    "net.ipv4.conf.all.rp_filter": 0,  # answers of a load balancer take another way than questions
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.eth0.rp_filter": 0,
}


def prepare(
    state: State,
    names: Names = OURS,
    settings: Mapping[str, int] = SETTINGS,
    at_least: Mapping[str, int] = AT_LEAST,
) -> None:
    """Make the bridge, the tops of the cgroups, and set the kernel; again is no change.

    Args:
        state: Where each change is recorded.
        names: Names of the lab.
        settings: Kernel settings to set; one that this kernel does not have is left out.
        at_least: Kernel settings to raise where they are lower.

    Raises:
        LabError: The machine does not let us, or a thing of this name is not the lab's.
    """
    check_owner(state, names)
    _private_folder(state)
    for name, wanted in _different(settings, at_least).items():
        note(state, setting=(name, _read(name)))
        _set(name, wanted)
    for hierarchy in cgroups.hierarchies():
        if hierarchy.version == 1:
            note(state, cgroup=str(hierarchy.root / names.cgroup))
    cgroups.make(names.cgroup)
    bridge = links.links().get(names.bridge)
    if bridge is None:
        note(state, link=names.bridge)
        links.ip([f"link add {names.bridge} address {names.bridge_hardware} type bridge"])
    elif not bridge.is_ours:
        raise LabError(f"the link {names.bridge} was not made by the lab", "rename or remove it")
    # A lab killed between two of these steps left a bridge without address: repeat them.
    run(["ip", "link", "set", names.bridge, "alias", state.root.absolute()])
    links.ip([f"addr replace {names.host} dev {names.bridge}", f"link set {names.bridge} up"])


def check_owner(state: State, names: Names = OURS) -> None:
    """Return if the lab of this machine, if there is one, is the one of this state.

    The bridge has the state's folder written on it: a command that was given another folder would
    take the clusters down, but could not give back what only the right folder knows.

    Raises:
        LabError: It is of another state, which exists.
    """
    bridge = links.links().get(names.bridge)
    if bridge is None or not bridge.is_ours or bridge.alias in {"", str(state.root.absolute())}:
        return
    if State(Path(bridge.alias)).host.exists():
        raise LabError(
            f"the lab of this machine has its state in {bridge.alias}",
            "name that folder in SECURETRANSPORT_LAB_STATE",
        )


def connect(state: State, cluster: Cluster, pid: int, names: Names = OURS) -> None:
    """Plug a node into the bridge; a cable that a dead node left is replaced.

    Inside there is no default route, so what the lab does not have fails at once; the services'
    addresses have a route, for they need one before they are translated.

    Args:
        state: Where the cable is recorded.
        cluster: Whose node it is.
        pid: A process in the node's network namespace, which is empty but for ``lo``.
        names: Names of the lab.

    Raises:
        LabError: The machine does not let us, or the process is gone.
    """
    link = names.link(cluster)
    peer = f"peer name eth0 address {names.node_hardware(cluster)} netns {pid}"
    note(state, link=link)
    links.remove(link)
    links.ip(
        [
            f"link add {link} address {names.link_hardware(cluster)} type veth {peer}",
            f"link set {link} master {names.bridge} up",
        ]
    )
    links.ip(
        [
            "link set lo up",
            f"addr add {names.node(cluster)} dev eth0",
            "link set eth0 up",
            f"route add {cluster.services} dev eth0",
            f"route add {POD_GATEWAY} dev eth0",
        ],
        pid=pid,
    )
    # /proc/sys/net shows the network namespace of who asks: these must be written from inside.
    for name, value in _INSIDE.items():
        enter = ["nsenter", "--target", str(pid), "--net"]
        run([*enter, "tee", _path(name)], given=str(value))


def cgroup(cluster: Cluster, names: Names = OURS) -> list[Path]:
    """Make the cluster's cgroup in each hierarchy of version 1 and return their folders.

    The node's first process joins all of them *before* it starts anything: ``down`` finds what to
    kill there, also when the state is lost.
    """
    return cgroups.make(names.group(cluster))


def is_node(cluster: Cluster, pid: int, names: Names = OURS) -> bool:
    """Whether a process lives in the cluster's cgroups; a recycled id of a stranger does not."""
    return pid in cgroups.processes(cgroups.existing(names.group(cluster)))


def restore(state: State, names: Names = OURS) -> None:
    """Give everything back: bridge, cables, cgroups, kernel settings; then forget the record.

    Raises:
        LabError: Something could not be removed; the record stays, so it can be tried again.
    """
    record = recorded(state)
    for name, link in links.links().items():
        if link.is_ours and (name == names.bridge or name.startswith(names.cable)):
            links.remove(name)
    cgroups.remove(cgroups.existing(names.cgroup))
    for name, value in (record.settings if record else {}).items():
        _set(name, value)
    state.host.unlink(missing_ok=True)
    temporary(state).unlink(missing_ok=True)


def is_lent(state: State, names: Names = OURS) -> bool:
    """Whether the machine still has something of the lab: a record, a bridge or a cgroup."""
    bridge = links.links().get(names.bridge)
    has_bridge = bridge is not None and bridge.is_ours
    return state.host.exists() or has_bridge or bool(cgroups.existing(names.cgroup))


def _private_folder(state: State) -> None:
    """Make the state's folder; refuse one that holds something which is not the lab's."""
    if state.root.is_dir() and not state.host.exists():
        strangers = [path.name for path in state.root.iterdir() if not is_part(path)]
        if strangers:
            raise LabError(
                f"{state.root} is not the lab's: it holds {strangers[0]}",
                "name an empty folder in SECURETRANSPORT_LAB_STATE",
            )
    try:
        state.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.root.chmod(0o700)
    except OSError as error:
        raise LabError(f"{state.root} cannot be made: {error.strerror}") from error


def _different(settings: Mapping[str, int], at_least: Mapping[str, int]) -> dict[str, str]:
    """Return the kernel settings that are not as they should be, with what they should be."""
    known = {name: now for name in (*settings, *at_least) if (now := _read(name)) is not None}
    exact = {name: str(settings[name]) for name in settings if name in known}
    higher = {
        name: str(at_least[name])
        for name in at_least
        if name in known and int(known[name]) < at_least[name]
    }
    return {name: value for name, value in (exact | higher).items() if known[name] != value}


def _path(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


def _read(name: str) -> str | None:
    try:
        return Path(_path(name)).read_text().strip()
    except OSError:
        return None


def _set(name: str, value: str) -> None:
    try:
        Path(_path(name)).write_text(value)
    except OSError as error:
        raise LabError(
            f"the kernel setting {name} cannot be set to {value}: {error.strerror}"
        ) from error

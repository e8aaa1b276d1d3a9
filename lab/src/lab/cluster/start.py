"""Start a cluster: from nothing to a node that is Ready."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from lab import host, images
from lab.addons import policy
from lab.cluster import components, configuration, pki
from lab.cluster.site import Site
from lab.errors import LabError, PointlessError
from lab.inside import control, first_process
from lab.kubectl import Kubectl
from lab.paths import ClusterState, State
from lab.plan import Cluster
from lab.run import tail
from lab.waiting import wait_for

_NODE = Path(__file__).resolve().parents[1] / "node"
_IN_NODE = Path("/lab")
_KUBECONFIGS = ("controller-manager", "scheduler", "proxy", "kubelet", "policy")
_DISK = ("upper", "work", "containerd", "kubelet", "etcd")
_SOCKET = "/run/containerd/containerd.sock"
_NAMESPACES_SECONDS = 10.0
_API_SECONDS = 90.0
_NODE_SECONDS = 90.0
_IMPORT_SECONDS = 120.0


def start(cluster: Cluster, site: Site, on_api: Callable[[Kubectl], None]) -> None:
    """Start a cluster that is not there; return when its node is Ready.

    Args:
        cluster: Which.
        site: What it is made from.
        on_api: Called once, as soon as the API server is ready; no pod starts before it returns.

    Raises:
        LabError: A part was not there in time; its log is with it.
    """
    state, report = site.state, site.report
    here = state.of(cluster)
    with report.part(f"{cluster.name}: certificates and configuration"):
        _write(cluster, site)
    with report.part(f"{cluster.name}: namespaces and cable"):
        _launch(cluster, site)
    kubectl = Kubectl(here.kubeconfig, site.made.tools.program("kubectl"))
    with ThreadPoolExecutor(1) as side:
        importing = side.submit(_import, cluster, site, images.AT_START)
        with report.part(f"{cluster.name}: API server"):
            wait_for(
                f"the API server of {cluster.name}",
                lambda: _serves(cluster, here),
                limit_seconds=_API_SECONDS,
                every_seconds=0.3,
                explain=lambda: explain(state, cluster),
            )
        on_api(kubectl)
        (here.node / Path(components.POLICY_KINDS).name).touch()
        importing.result()
        (here.node / Path(components.IMPORTED).name).touch()
        others = [name for name in images.REQUIRED if name not in images.AT_START]
        importing = side.submit(_import, cluster, site, others)
        with report.part(f"{cluster.name}: node"):
            _wait_for_node(cluster, kubectl, lambda: explain(state, cluster))
        importing.result()


def explain(state: State, cluster: Cluster) -> str:
    """Return why a node does not come: components that do not run, and the ends of their logs."""
    here = state.of(cluster)
    try:
        rows = control(state, cluster, {"do": "status"})["components"]
    except LabError as error:
        return f"{error}\n{tail(here.log / 'node.log')}"
    ill = [name for name, row in rows.items() if row["state"] != "running" or row["restarts"]]
    told = [f"{name}: {row['state']}, {row['restarts']} restarts" for name, row in rows.items()]
    for name in ill or ["kubelet"]:
        told += [f"-- end of {name}.log", tail(here.log / f"{name}.log", 8)]
    return "\n".join(told)


def _write(cluster: Cluster, site: Site) -> None:
    here, tools = site.state.of(cluster), site.made.tools

    def in_node(path: Path) -> Path:
        return _IN_NODE / "tools" / path.relative_to(site.cache.tools)

    here.root.mkdir(parents=True, mode=0o700, exist_ok=True)
    for folder in (*(here.root / "disk" / name for name in _DISK), here.root / "root", here.log):
        folder.mkdir(parents=True)
    pki.write(cluster, here.pki)
    pki.write_kubeconfig(cluster, here.pki, "admin", here.kubeconfig)
    for name in _KUBECONFIGS:
        pki.write_kubeconfig(cluster, here.pki, name, here.node / f"{name}.kubeconfig")
    cni = [in_node(tools.folder(family)) for family in ("cni", policy.FAMILY)]
    runc = in_node(tools.program("runc"))
    configuration.write(cluster, here.node, runc, cni)
    configuration.write_node_files(cluster, here.root / "disk" / "upper" / "etc")
    folders = [in_node(tools.folder(family)) for family in ("containerd", "runc")]
    told = components.spec(cluster, lambda name: in_node(tools.program(name)), folders)
    here.spec.write_text(json.dumps(told, indent=1))
    shutil.copy(_NODE / "init.py", here.node / "init.py")
    links = here.node / "path"
    links.mkdir()
    for family in ("kubernetes", "containerd", "runc"):
        for program in tools.folder(family).iterdir():
            (links / program.name).symlink_to(in_node(program))


def _launch(cluster: Cluster, site: Site) -> None:
    """Start the node's first process and connect it; it begins when the cable is there."""
    here = site.state.of(cluster)
    cgroups = host.cgroup(cluster)
    command = [_NODE / "launch.sh", here.root, site.made.root, site.cache.tools, site.cache.images]
    log = here.log / "node.log"
    with log.open("wb") as file:
        parent = subprocess.Popen(  # noqa: S603  the lab's own script, no shell line
            [str(word) for word in (*command, *cgroups)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",
            start_new_session=True,
        )
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")

    def child() -> bool | str:
        _still_runs(parent, log)
        return bool(children.read_text().split())

    def wait(what: str, condition: Callable[[], bool | str]) -> None:
        seconds = _NAMESPACES_SECONDS
        wait_for(
            what, condition, limit_seconds=seconds, every_seconds=0.02, explain=lambda: tail(log)
        )

    wait(f"the first process of {cluster.name}", child)
    pid = int(children.read_text().split()[0])
    new = here.pid.with_suffix(".new")
    new.write_text(f"{pid}\n")
    new.replace(here.pid)
    host.connect(site.state, cluster, pid)
    (here.node / "connected").touch()

    def serves() -> bool:
        _still_runs(parent, log)
        return here.control.exists()

    wait(f"the init of {cluster.name}", serves)


def _still_runs(parent: subprocess.Popen[bytes], log: Path) -> None:
    if parent.poll() is not None:
        what = f"the launcher of the node ended with {parent.returncode}"
        raise PointlessError(what, log=tail(log))


def _import(cluster: Cluster, site: Site, names: Sequence[str]) -> None:
    state = site.state
    log = state.of(cluster).log / "containerd.log"
    with site.report.part(f"{cluster.name}: images {', '.join(names)}"):
        wait_for(
            f"containerd of {cluster.name}",
            lambda: Path(f"/proc/{first_process(state, cluster)}/root{_SOCKET}").exists(),
            limit_seconds=30,
            every_seconds=0.2,
            explain=lambda: tail(log),
        )
        for name in names:
            archive = Path("/lab/images") / site.made.images.archive(name).name
            images.take(cluster, state, archive, limit_seconds=_IMPORT_SECONDS)


def _serves(cluster: Cluster, here: ClusterState) -> bool | str:
    """Ask the API server whether it is ready; anybody may."""
    try:
        trust = ssl.create_default_context(cafile=here.pki / "ca.crt")
        with urllib.request.urlopen(f"{cluster.api}/readyz", timeout=5, context=trust) as answer:  # noqa: S310  https, by the plan
            return bool(answer.status == HTTPStatus.OK)
    except OSError as error:
        return str(error)


def _wait_for_node(cluster: Cluster, kubectl: Kubectl, why: Callable[[], str]) -> None:
    try:
        for condition in ("create", "condition=Ready"):
            kubectl.wait(condition, f"node/{cluster.name}", limit_seconds=_NODE_SECONDS)
    except LabError as error:
        what = f"node {cluster.name} was not ready after {_NODE_SECONDS:.0f} s"
        raise LabError(what, log=why()) from error

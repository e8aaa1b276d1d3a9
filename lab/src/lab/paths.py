"""Where the lab keeps things: a cache that stays, and a state that ``down`` removes.

Cache:  ``$SECURETRANSPORT_LAB_CACHE``, or ``~/.cache/securetransport-lab``.
State:  ``$SECURETRANSPORT_LAB_STATE``, or ``/var/lib/securetransport-lab``. It is one for the
machine, because bridges and address ranges are, too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lab.plan import Cluster

DATA = Path(__file__).resolve().parents[2]
"""The folder ``lab`` of the checkout: families, images and manifests lie beside the package."""


@dataclass(frozen=True)
class Cache:
    """What is built once and kept; an entry's name carries the digest of what it is made from."""

    root: Path

    @property
    def tools(self) -> Path:
        """Programs, one folder for each family and key: ``tools/FAMILY-KEY/bin/PROGRAM``."""
        return self.root / "tools"

    @property
    def roots(self) -> Path:
        """Debian file trees: ``roots/NAME-KEY/``."""
        return self.root / "roots"

    @property
    def images(self) -> Path:
        """Image archives: ``images/NAME-KEY.tar``."""
        return self.root / "images"

    @property
    def work(self) -> Path:
        """Half-made things; a build moves its result from here with one rename."""
        return self.root / "work"


@dataclass(frozen=True)
class ClusterState:
    """The folder of one cluster that is up, or half up."""

    root: Path

    @property
    def pid(self) -> Path:
        """Process id, in the machine's numbers, of the node's first process."""
        return self.root / "pid"

    @property
    def spec(self) -> Path:
        """What the node's first process reads: components, their order, mounts."""
        return self.root / "node" / "spec.json"

    @property
    def status(self) -> Path:
        """What the node's first process writes: components, their pids and restarts."""
        return self.root / "node" / "status.json"

    @property
    def control(self) -> Path:
        """Unix socket of the node's first process."""
        return self.root / "node" / "control.sock"

    @property
    def node(self) -> Path:
        """The folder that the node sees as ``/lab``."""
        return self.root / "node"

    @property
    def log(self) -> Path:
        """Folder of the components' logs, one ``NAME.log`` each; the node sees ``/lab/log``."""
        return self.root / "node" / "log"

    @property
    def pki(self) -> Path:
        """Keys and certificates; the node sees ``/lab/pki``."""
        return self.root / "node" / "pki"

    @property
    def complete(self) -> Path:
        """Exists when the cluster was brought up to the end."""
        return self.root / "complete"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, mode 0600."""
        return self.root / "admin.kubeconfig"

    @property
    def events(self) -> Path:
        """What the lab did to the cluster, one JSON object a line: time, what, detail."""
        return self.root / "events.jsonl"


@dataclass(frozen=True)
class State:
    """What is on this machine now; removed by ``down``."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by whoever changes the lab."""
        return self.root.with_name(self.root.name + ".lock")

    @property
    def host(self) -> Path:
        """What was changed on the machine, and what was there before; written before the change."""
        return self.root / "host.json"

    def of(self, cluster: Cluster) -> ClusterState:
        """Return the folder of one cluster."""
        return ClusterState(self.root / cluster.name)


def cache() -> Cache:
    """Return the cache of this user."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = os.environ.get("SECURETRANSPORT_LAB_CACHE")
    return Cache(Path(named) if named else base / "securetransport-lab")


def state() -> State:
    """Return the state of this machine."""
    named = os.environ.get("SECURETRANSPORT_LAB_STATE")
    return State(Path(named or "/var/lib/securetransport-lab"))

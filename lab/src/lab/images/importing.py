"""Import an image archive into a cluster that runs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lab.errors import LabError
from lab.images.archive import references
from lab.inside import inside
from lab.paths import State
from lab.plan import Cluster

_CTR = ("ctr", "--namespace=k8s.io", "images")
_LIMIT_SECONDS = 300.0


def load(cluster: Cluster, state: State, file: Path) -> list[str]:
    """Import an archive, so that pods can use its images with ``imagePullPolicy: Never``.

    Args:
        cluster: Which cluster; it must be up.
        state: Of this machine.
        file: An archive as buildah, skopeo or ``docker save`` write it.

    Returns:
        The names of its images.

    Raises:
        LabError: The file is no such archive, or the cluster is not up or did not take it.
    """
    names = references(file)
    node = state.of(cluster).node
    inside(state, cluster, ["true"])  # a cluster that is down has no folder either
    with tempfile.TemporaryDirectory(dir=node, prefix="import-") as folder:
        copy = Path(folder) / "archive.tar"
        shutil.copyfile(file, copy)
        seen = Path("/lab") / copy.relative_to(node)
        take(cluster, state, seen, limit_seconds=_LIMIT_SECONDS)
    there = inside(state, cluster, [*_CTR, "list", "--quiet"]).split()
    if lost := [name for name in names if name not in there]:
        what = f"{cluster.name} did not take {', '.join(lost)} of {file}"
        raise LabError(what, "is the image for this kind of machine?")
    return names


def take(cluster: Cluster, state: State, seen: Path, *, limit_seconds: float) -> None:
    """Import an archive that the node sees; unpacking waits for the image's first container.

    Args:
        cluster: Which cluster; its containerd runs.
        state: Of this machine.
        seen: The archive's path in the node.
        limit_seconds: Longest time for it.

    Raises:
        LabError: containerd did not take it.
    """
    command = [*_CTR, "import", "--local", "--no-unpack", str(seen)]
    inside(state, cluster, command, limit_seconds=limit_seconds)

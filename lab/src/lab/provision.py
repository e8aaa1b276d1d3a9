"""Everything that clusters are made from, built where the cache lacks it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import images, toolchain
from lab.images import Images
from lab.paths import Cache
from lab.report import Report
from lab.toolchain import Tools


@dataclass(frozen=True)
class Provision:
    """What is there after :func:`provision`.

    Attributes:
        tools: Programs.
        root: The Debian tree of a node.
        images: All images.
    """

    tools: Tools
    root: Path
    images: Images


def provision(cache: Cache, report: Report) -> Provision:
    """Return what clusters are made from.

    Debian trees and the images that hold no program of ours are made beside the Go builds: they
    mostly wait for downloads and disks.

    Raises:
        LabError: Something could not be built; what was finished stays in the cache.
    """
    with ThreadPoolExecutor(1) as side:
        root = side.submit(images.node_root, cache, report)
        tools = toolchain.ensure(cache, toolchain.REQUIRED, report)
        tree = root.result()
    return Provision(tools, tree, images.ensure(cache, tools, images.REQUIRED, report))

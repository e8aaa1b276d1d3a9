"""What clusters are made from, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.paths import Cache, State
from lab.report import Report
from lab.toolchain import Tools


@dataclass(frozen=True)
class Site:
    """Everything that a start needs beside the cluster's number.

    Attributes:
        tools: Programs.
        archives: Images to import into each node; they lie in the cache.
        root: The Debian tree of a node.
        state: Of this machine.
        cache: Where programs and images lie.
        report: Progress.
    """

    tools: Tools
    archives: tuple[Path, ...]
    root: Path
    state: State
    cache: Cache
    report: Report

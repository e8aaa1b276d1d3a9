"""What clusters are made from, and where."""

from __future__ import annotations

from dataclasses import dataclass

from lab.paths import Cache, State
from lab.provision import Provision
from lab.report import Report


@dataclass(frozen=True)
class Site:
    """Everything that a start needs beside the cluster's number.

    Attributes:
        made: Programs, the node's tree and images.
        state: Of this machine.
        cache: Where they lie.
        report: Progress.
    """

    made: Provision
    state: State
    cache: Cache
    report: Report

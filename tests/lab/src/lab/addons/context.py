"""What an add-on is given."""

from __future__ import annotations

from dataclasses import dataclass

from lab.kubectl import Kubectl
from lab.plan import Cluster
from lab.report import Report
from lab.toolchain import Tools


@dataclass(frozen=True)
class Context:
    """One cluster to install add-ons in.

    Attributes:
        cluster: Which one.
        everyone: All clusters that are brought up together, this one too.
        kubectl: Bound to the cluster.
        tools: Where the files that come with a tool family are.
        report: Progress.
    """

    cluster: Cluster
    everyone: tuple[Cluster, ...]
    kubectl: Kubectl
    tools: Tools
    report: Report

"""What an add-on is given."""

from __future__ import annotations

from dataclasses import dataclass

from lab.kubectl import Kubectl
from lab.plan import Cluster
from lab.report import Report
from lab.toolchain import Tools
from lab.waiting import wait_for

_SERVED_SECONDS = 60.0


@dataclass(frozen=True)
class Context:
    """One cluster to install add-ons in.

    Attributes:
        cluster: Which one.
        kubectl: Bound to the cluster.
        tools: Where the files that come with a tool family are.
        report: Progress.
    """

    cluster: Cluster
    kubectl: Kubectl
    tools: Tools
    report: Report

    def apply_when_served(self, what: str, manifest: str) -> None:
        """Apply a manifest of a new kind, which the API server serves only some moments later.

        Args:
            what: Named in the error, such as ``"address pools"``.
            manifest: Objects of the kind.

        Raises:
            LabError: It was not accepted in time.
        """

        def accepted() -> bool:
            self.kubectl.apply(manifest)
            return True

        named = f"the API of {self.cluster.name}'s {what}"
        wait_for(named, accepted, limit_seconds=_SERVED_SECONDS, every_seconds=1.0)

"""MetalLB: addresses of the lab's network for load balancers, announced by ARP."""

from __future__ import annotations

from lab.addons.context import Context
from lab.addons.manifests import kinds, render
from lab.waiting import wait_for

_NAMESPACE = "metallb-system"
_POOLS_SECONDS = 60.0


def install(context: Context) -> None:
    """Install MetalLB and give it the pools of the address plan.

    Raises:
        LabError: It did not become ready.
    """
    kubectl, cluster = context.kubectl, context.cluster
    kubectl.apply(kinds(context.tools.data("metallb")) + "---\n" + render("metallb", cluster))
    pools = render("metallb-pools", cluster)

    def accepted() -> bool:
        kubectl.apply(pools)
        return True

    # The API server serves a new kind only some moments after it was told of it.
    wait_for(
        f"the API of {cluster.name}'s address pools",
        accepted,
        limit_seconds=_POOLS_SECONDS,
        every_seconds=1.0,
    )
    kubectl.rollout("deployment/controller", namespace=_NAMESPACE)
    kubectl.rollout("daemonset/speaker", namespace=_NAMESPACE)

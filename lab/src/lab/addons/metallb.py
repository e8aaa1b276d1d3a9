"""MetalLB: addresses of the lab's network for load balancers, announced by ARP."""

from __future__ import annotations

from lab.addons.context import Context
from lab.addons.manifests import kinds, render

_NAMESPACE = "metallb-system"


def install(context: Context) -> None:
    """Install MetalLB and give it the pools of the address plan.

    Raises:
        LabError: It did not become ready.
    """
    kubectl, cluster = context.kubectl, context.cluster
    kubectl.apply(kinds(context.tools.data("metallb")) + "---\n" + render("metallb", cluster))
    context.apply_when_served("address pools", render("metallb-pools", cluster))
    kubectl.rollout("deployment/controller", namespace=_NAMESPACE)
    kubectl.rollout("daemonset/speaker", namespace=_NAMESPACE)

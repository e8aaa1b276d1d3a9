"""CoreDNS: names in the cluster, of its load balancers and of the other clusters' ones."""

from __future__ import annotations

from textwrap import indent

from lab.addons.context import Context
from lab.addons.manifests import render
from lab.errors import LabError
from lab.plan import LARGEST, Cluster

_ASSIGN_SECONDS = 120.0
_INDENT = " " * 4
"""Of the Corefile in its manifest."""


def install(context: Context) -> None:
    """Install CoreDNS; it is ready when its pod is and other clusters have an address to ask.

    Raises:
        LabError: It did not become ready.
    """
    cluster = context.cluster
    context.kubectl.apply(render("coredns", cluster, {"others": others(cluster)}))
    context.kubectl.rollout("deployment/coredns", namespace="kube-system")
    assigned = f"jsonpath={{.status.loadBalancer.ingress[0].ip}}={cluster.dns_balancer}"
    try:
        context.kubectl.wait(
            assigned, "service/lab-dns", namespace="kube-system", limit_seconds=_ASSIGN_SECONDS
        )
    except LabError as error:
        what = f"the names of {cluster.name} have no address {cluster.dns_balancer}"
        raise LabError(what, log=context.kubectl.explain("metallb-system")) from error


def others(cluster: Cluster) -> str:
    """Return the Corefile's blocks for the load balancers of the other clusters.

    Every cluster of the plan has one, up or not, so that one which comes up later is known.
    """
    numbers = [number for number in range(1, LARGEST + 1) if number != cluster.number]
    blocks = "\n".join(_block(Cluster(number)) for number in numbers)
    return indent(blocks, _INDENT).lstrip()


def _block(other: Cluster) -> str:
    # A failure to ask is not remembered, and no cluster is ever put on a list of dead ones: after a
    # partition heals, names answer at once.
    return f"""\
{other.domain}:1053 {{
    errors
    cache 5 {{
        servfail 0
    }}
    forward . {other.dns_balancer} {{
        max_fails 0
    }}
}}"""

"""Network policies that hold, by Calico's agent on the node and its network plugin.

The plugin gives every pod a cable of its own instead of a port of a bridge; the agent writes the
routes to the pods and the packet filter rules that the policies ask for. Addresses still come from
``host-local``. No pod belongs to it: the node starts the agent, so that it is there before any pod.

The order matters: first what agent and plugin read (:func:`install`), then the agent, then, when it
is :data:`READY`, the first pod. On a cable that the agent does not know yet, nothing passes.
"""

from __future__ import annotations

from typing import Any

from lab.addons.context import Context
from lab.addons.manifests import kinds, render
from lab.plan import Cluster

FAMILY = "calico"
AGENT = "calico-felix"
USER = "lab:policy"
"""Of the client certificate that agent and plugin share; the manifest gives it its rights."""
KUBECONFIG = "/lab/policy.kubeconfig"
READY = "http://127.0.0.1:9099/readiness"
"""Answers 200 once the rules of all pods of the node are written."""

_GROUP = "crd.projectcalico.org"
_KINDS = (
    "bgpconfigurations",
    "clusterinformations",
    "felixconfigurations",
    "globalnetworkpolicies",
    "globalnetworksets",
    "hostendpoints",
    "ippools",
    "networkpolicies",
    "networksets",
)
"""What the agent watches; the other kinds belong to parts of Calico that the lab does not run."""
_SETTINGS = {
    "DATASTORETYPE": "kubernetes",
    "IPTABLESBACKEND": "nft",
    "IPV6SUPPORT": "false",
    "BPFENABLED": "false",
    "XDPENABLED": "false",
    "IPINIPENABLED": "false",
    "VXLANENABLED": "false",
    # A pod may reach its own node, as it may reach every other one, unless a policy says no.
    "DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
    "HEALTHENABLED": "true",
    "HEALTHHOST": "127.0.0.1",
    "LOGFILEPATH": "none",
    "LOGSEVERITYFILE": "none",
    "LOGSEVERITYSYS": "none",
    "LOGSEVERITYSCREEN": "warning",
    "USAGEREPORTINGENABLED": "false",
    # Nobody else writes these sets: looking every ten seconds would only cost.
    "IPSETSREFRESHINTERVAL": "90",
    "REPORTINGINTERVALSECS": "0",
}


def install(context: Context) -> None:
    """Install what agent and plugin read from the API server; both may start afterwards.

    Raises:
        LabError: The API server did not take it.
    """
    names = [f"{_GROUP}_{kind}" for kind in _KINDS]
    context.kubectl.apply(kinds(context.tools.data(FAMILY), *names))
    context.apply_when_served("network policies", render("network-policy", context.cluster))


def environment(cluster: Cluster) -> dict[str, str]:
    """Return the variables that the node's agent is started with; it needs no argument.

    Args:
        cluster: Whose node.
    """
    return {
        "KUBECONFIG": KUBECONFIG,
        # Addresses come from host-local: there is nothing of Calico's own to watch.
        "USE_POD_CIDR": "true",
        "FELIX_FELIXHOSTNAME": cluster.name,
        **{f"FELIX_{name}": value for name, value in _SETTINGS.items()},
    }


def network(cluster: Cluster) -> dict[str, Any]:
    """Return the network plugin's part of the node's network configuration.

    Args:
        cluster: Whose node.
    """
    return {
        "type": "calico",
        "datastore_type": "kubernetes",
        "kubernetes": {"kubeconfig": KUBECONFIG},
        "nodename": cluster.name,
        "nodename_file_optional": True,
        "policy": {"type": "k8s"},
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": str(cluster.pods)}]],
        },
        "mtu": 1500,
        "log_level": "warning",
        "log_file_path": "/lab/log/network-plugin.log",
    }

"""The address plan: every address and name of the lab, computed from a cluster's number.

One flat network connects the nodes and their load-balancer addresses; pods and services have ranges
of their own, which only their cluster knows. ``docs/lab.md`` has it as a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.errors import LabError

BRIDGE = "stlab0"
LAN = IPv4Network("10.210.0.0/16")
PODS = IPv4Network("10.211.0.0/16")
SERVICES = IPv4Network("10.212.0.0/16")
HOST = LAN[1]
"""The machine's own address on the lab's network; kubectl comes from here."""
POD_GATEWAY = IPv4Address("169.254.1.1")
"""The gateway of every pod whose policies are enforced: its node answers for this address on the
pod's cable. The kernel does that only for addresses it has a route to: there is no default one."""
DNS_SUFFIX = "lab"
LARGEST = 9
DEFAULT = (1, 2, 3)


@dataclass(frozen=True, order=True)
class Cluster:
    """One single-node cluster.

    Attributes:
        number: 1 to 9; everything else follows from it.
    """

    number: int

    def __post_init__(self) -> None:
        """Refuse a number outside the plan.

        Raises:
            LabError: The plan has no such cluster.
        """
        if not 1 <= self.number <= LARGEST:
            raise LabError(f"cluster {self.number} is not in the plan", f"name one of 1-{LARGEST}")

    @property
    def name(self) -> str:
        """Name of the cluster, of its node and of its kubeconfig context."""
        return f"c{self.number}"

    @property
    def link(self) -> str:
        """The machine's end of the cable to the node."""
        return f"stlab-{self.name}"

    @property
    def node(self) -> IPv4Address:
        """The node's address; the API server listens there on 6443."""
        return self._lan(10)

    @property
    def api(self) -> str:
        """URL of the API server."""
        return f"https://{self.node}:6443"

    @property
    def pods(self) -> IPv4Network:
        """Addresses of the pods, a /24."""
        return _part(PODS, self.number)

    @property
    def services(self) -> IPv4Network:
        """Cluster addresses of the services, a /24."""
        return _part(SERVICES, self.number)

    @property
    def api_service(self) -> IPv4Address:
        """Address of the service ``kubernetes``."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """Address of the service ``kube-dns`` inside the cluster."""
        return self.services[10]

    @property
    def dns_balancer(self) -> IPv4Address:
        """Address where other clusters ask for the names of this one's load balancers."""
        return self._lan(53)

    @property
    def balancers(self) -> tuple[IPv4Address, IPv4Address]:
        """First and last address for services of type LoadBalancer."""
        return self._lan(100), self._lan(199)

    @property
    def domain(self) -> str:
        """Domain of its load balancers: ``SERVICE.NAMESPACE.cN.lab``, known in every cluster."""
        return f"{self.name}.{DNS_SUFFIX}"

    def _lan(self, host: int) -> IPv4Address:
        return LAN[256 * self.number + host]


def _part(network: IPv4Network, number: int) -> IPv4Network:
    return IPv4Network((network[256 * number], 24))


def clusters(numbers: list[int] | tuple[int, ...] = DEFAULT) -> tuple[Cluster, ...]:
    """Return the clusters of these numbers, in order, each once.

    Raises:
        LabError: A number is not in the plan.
    """
    return tuple(Cluster(number) for number in sorted(set(numbers)))

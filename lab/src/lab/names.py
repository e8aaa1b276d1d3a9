"""Every name that the lab gives to a thing of the machine; what bears none is never touched.

Links carry a second mark: their hardware address begins with ``MARK``. It is set in the call that
makes the link, so there is no moment at which a link of the lab cannot be told from a stranger's.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from lab import plan
from lab.plan import Cluster

MARK = "02:73:74:6c"
"""First four bytes of each hardware address: locally administered, then ``stl``."""


@dataclass(frozen=True)
class Names:
    """Names and addresses of one lab on a machine; tests of the lab make a second one.

    Attributes:
        bridge: The switch between the nodes.
        cable: Beginning of the names of the machine's ends of the cables.
        cgroup: The lab's group in each hierarchy; a cluster's group is below it.
        lan: The network on the bridge; the machine has its first address.
        number: Tells the hardware addresses of two labs apart; 0 to 15.
    """

    bridge: str = plan.BRIDGE
    cable: str = "stlab-"
    cgroup: str = "securetransport-lab"
    lan: IPv4Network = plan.LAN
    number: int = 0

    @property
    def host(self) -> IPv4Interface:
        """The machine's address on the bridge, with the network's length."""
        return IPv4Interface((self.lan[1], self.lan.prefixlen))

    def node(self, cluster: Cluster) -> IPv4Interface:
        """Return the node's address with the network's length."""
        place = int(cluster.node) - int(plan.LAN.network_address)
        return IPv4Interface((self.lan[place], self.lan.prefixlen))

    def link(self, cluster: Cluster) -> str:
        """Return the name of the machine's end of the cable."""
        return f"{self.cable}{cluster.name}"

    def group(self, cluster: Cluster) -> str:
        """Return the path of the cluster's cgroup below the root of a hierarchy."""
        return f"{self.cgroup}/{cluster.name}"

    @property
    def bridge_hardware(self) -> str:
        """Hardware address of the bridge; otherwise it would change with the cables plugged in."""
        return f"{MARK}:{self.number:02x}:00"

    def link_hardware(self, cluster: Cluster) -> str:
        """Return the hardware address of the machine's end of the cable."""
        return f"{MARK}:{self.number:02x}:{0x10 + cluster.number:02x}"

    def node_hardware(self, cluster: Cluster) -> str:
        """Return the node's hardware address.

        It stays when a cluster is made anew, so its neighbours need not notice.
        """
        return f"{MARK}:{self.number:02x}:{0x20 + cluster.number:02x}"


OURS = Names()
"""The lab of this machine."""

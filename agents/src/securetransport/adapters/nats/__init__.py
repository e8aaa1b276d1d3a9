"""The bus over nats-py, ``core.ports.bus`` on real servers; errors are translated into ours."""

from securetransport.adapters.nats.bus import Bus
from securetransport.adapters.nats.connection import Connection, Subscription
from securetransport.adapters.nats.message import parse_ack_subject
from securetransport.adapters.nats.pull import PullSubscription

__all__ = ["Bus", "Connection", "PullSubscription", "Subscription", "parse_ack_subject"]

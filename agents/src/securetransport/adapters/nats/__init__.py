"""The bus over nats-py, ``core.ports.bus`` on real servers; errors are translated into ours."""

from securetransport.adapters.nats.bus import NatsBus
from securetransport.adapters.nats.connection import NatsConnection, NatsSubscription
from securetransport.adapters.nats.message import parse_ack_subject
from securetransport.adapters.nats.pull import NatsPull

__all__ = ["NatsBus", "NatsConnection", "NatsPull", "NatsSubscription", "parse_ack_subject"]

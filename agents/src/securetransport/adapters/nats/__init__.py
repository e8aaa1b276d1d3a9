"""The bus: connections to NATS over nats-py, with its errors translated into ours."""

from securetransport.adapters.nats.bus import Bus, BusTimeouts
from securetransport.adapters.nats.connection import (
    Connection,
    MessageHandler,
    PublishAck,
    Subscription,
)
from securetransport.adapters.nats.events import BusEvent, BusEventKind, EventHandler
from securetransport.adapters.nats.message import (
    HEADER_MESSAGE_ID,
    JetStreamFacts,
    Message,
    StoredMessage,
    parse_ack_subject,
)
from securetransport.adapters.nats.pull import PullSubscription

__all__ = [
    "HEADER_MESSAGE_ID",
    "Bus",
    "BusEvent",
    "BusEventKind",
    "BusTimeouts",
    "Connection",
    "EventHandler",
    "JetStreamFacts",
    "Message",
    "MessageHandler",
    "PublishAck",
    "PullSubscription",
    "StoredMessage",
    "Subscription",
    "parse_ack_subject",
]

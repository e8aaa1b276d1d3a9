"""What the core and the agents need from the outside, as protocols; adapters implement them.

Adapters translate third-party errors into :mod:`securetransport.core.base.errors`. Fakes of these
ports live in ``securetransport.testing`` and pass the same contract tests as the real adapters.
"""

from securetransport.core.ports.bus import (
    Bus,
    BusEvent,
    BusEventKind,
    BusTimeouts,
    Connection,
    Credentials,
    DeliveryFacts,
    EventHandler,
    Message,
    MessageHandler,
    PublishAck,
    PullSubscription,
    StoredMessage,
    Subscription,
)
from securetransport.core.ports.clock import Clock
from securetransport.core.ports.files import Files
from securetransport.core.ports.leaf_certificates import LeafSource, TlsIdentity
from securetransport.core.ports.logins import Logins, MintedSecretId, Token
from securetransport.core.ports.randomness import Randomness
from securetransport.core.ports.secrets import KvEntry, SecretStore, Wrapped
from securetransport.core.ports.servers import PortKind, ProbeResult, ServerControl, TlsProbe

__all__ = [
    "Bus",
    "BusEvent",
    "BusEventKind",
    "BusTimeouts",
    "Clock",
    "Connection",
    "Credentials",
    "DeliveryFacts",
    "EventHandler",
    "Files",
    "KvEntry",
    "LeafSource",
    "Logins",
    "Message",
    "MessageHandler",
    "MintedSecretId",
    "PortKind",
    "ProbeResult",
    "PublishAck",
    "PullSubscription",
    "Randomness",
    "SecretStore",
    "ServerControl",
    "StoredMessage",
    "Subscription",
    "TlsIdentity",
    "TlsProbe",
    "Token",
    "Wrapped",
]

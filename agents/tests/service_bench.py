"""What the tests of the adapter share: names, users with least rights, contexts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from securetransport.core.ports.bus import Connection, Credentials
from service_broker import user
from service_pki import Issuer

STREAM = "ORDERS"
DURABLE = "worker"
Connect = Callable[..., Awaitable[Connection]]


def users() -> list[str]:
    """A builder that makes streams, and two members with the least rights."""
    return [
        user("admin", [">"], [">"]),
        user(
            "sender",
            ["orders.>", f"$JS.API.DIRECT.GET.{STREAM}", f"$JS.API.DIRECT.GET.{STREAM}.>"],
            ["_INBOX.sender.>", "notice"],
        ),
        user(
            "reader",
            [f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}", f"$JS.ACK.{STREAM}.{DURABLE}.>"],
            ["_INBOX.reader.>"],
        ),
    ]


def context(issuer: Issuer, service: str, anchors: list[Issuer] | None = None) -> Credentials:
    return Credentials(tuple(entry.der for entry in anchors or [issuer]), issuer.leaf(service))

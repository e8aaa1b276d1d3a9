"""The little that pulls, requests and direct reads need of a connection.

With this protocol they know no connection, and run over any: nats-py's, or the in-memory servers of
``securetransport.testing.bus``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from securetransport.core.ports.bus import MessageHandler, Subscription


class Wire(Protocol):
    """Publishes and subscribes on one connection; errors are those of the port."""

    @property
    def is_connected(self) -> bool:
        """Whether it is up now."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        ...

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until it is up."""
        ...

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Hand a message over."""
        ...

    async def subscribe(
        self, subject: str, handler: MessageHandler, *, queue: str = ""
    ) -> Subscription:
        """Call ``handler`` for each message, one after the other."""
        ...

"""nats-py's client and its callbacks: whether it is up, what it tells, and how it is ended.

Rules:

1. Reconnecting is fast at first and slow later: a refused client must not hammer the servers.
2. A close ends within ``CLOSE_SECONDS`` whatever nats-py does. It swallows cancellations, so a time
   limit that works by cancelling may never come back; here its ``close`` is left alone when it is
   late, and its socket and its servers are taken away, so it ends by itself.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import nats.aio.client

from securetransport.adapters.nats.errors import (
    is_authorization_refusal,
    is_closing_noise,
    permission_violation,
)
from securetransport.adapters.nats.transport import QuickTransport
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import BusEvent, BusEventKind, EventHandler

CLOSE_SECONDS: Final = 3.0
"""Longest time that ending a connection takes."""

_FAST_WAIT_SECONDS: Final = 0.05
_SLOW_WAIT_SECONDS: Final = 1.0
_FAST_ATTEMPTS: Final = 60


class LinkOwner(Protocol):
    """Who is told what happens to a link."""

    def link_lost(self, why: str, *, is_final: bool) -> None:
        """React to a connection that is gone, perhaps for good."""
        ...

    def link_restored(self) -> None:
        """React to a connection that is up again."""
        ...

    def publish_refused(self, subject: str, why: str) -> None:
        """React to a publish that the server does not permit."""
        ...

    def subscription_refused(self, subject: str, why: str) -> None:
        """React to a subscription that the server does not permit."""
        ...


class NatsLink:
    """One client of nats-py.

    Args:
        owner: Told first of everything.
        on_event: Told afterwards, in the port's words.
        client: nats-py's client, not connected yet.

    Attributes:
        client: The same.
        last_error: The newest error, in the server's or nats-py's words.
    """

    def __init__(
        self,
        owner: LinkOwner,
        on_event: EventHandler | None,
        client: nats.aio.client.Client | None = None,
    ) -> None:
        self.client = client or nats.aio.client.Client()
        self.last_error = ""
        self._owner = owner
        self._on_event = on_event
        self._up = asyncio.Event()
        self._is_closing = False
        self._failures = 0

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted this connection and it is up now."""
        return self._up.is_set() and not self.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        return self._is_closing or bool(self.client.is_closed)

    @property
    def server(self) -> str:
        """Host and port it is connected to; empty when it is not."""
        url = self.client.connected_url
        return str(url.netloc) if url is not None else ""

    def begin(self) -> None:
        """Note that the first connection is up."""
        self._up.set()

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until the connection is up.

        Raises:
            BusUnavailableError: It did not come up in time, or is closed.
        """
        if self.is_connected:
            return
        if self.is_closed:
            raise BusUnavailableError("connection is closed", reason=self.last_error)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._up.wait()
        except TimeoutError as error:
            raise BusUnavailableError("connection is down", reason=self.last_error) from error
        if self.is_closed:
            raise BusUnavailableError("connection is closed", reason=self.last_error)

    async def close(self) -> None:
        """End it; returns within ``CLOSE_SECONDS`` (rule 2)."""
        self._is_closing = True
        self._up.set()  # whoever waits for it learns that it is closed
        ending = asyncio.ensure_future(self.client.close())
        ending.add_done_callback(_seen)
        try:
            await asyncio.wait({ending}, timeout=CLOSE_SECONDS)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Take the socket and the servers away, whatever nats-py believes its state is.

        A reconnect that swallowed its cancellation would go on for ever; it finds neither now.
        """
        client = self.client
        client._server_pool.clear()  # noqa: SLF001  # nats-py has no call for it
        transport = client._transport  # noqa: SLF001  # close() skips it after a failed connect
        if isinstance(transport, QuickTransport):
            transport.end()

    def _emit(self, kind: BusEventKind, detail: str = "") -> None:
        if self._on_event is not None:
            self._on_event(BusEvent(kind, detail))

    # --- nats-py's callbacks -----------------------------------------------------------------

    async def on_disconnected(self) -> None:
        """React to a lost connection."""
        was_up = self._up.is_set()
        if not self._is_closing:
            self._up.clear()
        self._owner.link_lost("connection lost", is_final=False)
        if was_up and not self._is_closing:
            self._emit(BusEventKind.DISCONNECTED, self.last_error)

    async def on_reconnected(self) -> None:
        """React to a connection that is up again."""
        self._failures = 0
        self.client.options["reconnect_time_wait"] = _FAST_WAIT_SECONDS
        self._up.set()
        self._owner.link_restored()
        self._emit(BusEventKind.RECONNECTED, self.server)

    async def on_closed(self) -> None:
        """React to the end of the connection."""
        self._up.set()
        self._owner.link_lost("connection closed", is_final=True)
        if not self._is_closing:
            self._emit(BusEventKind.CLOSED, self.last_error)

    async def on_lame_duck(self) -> None:
        """React to a server that asks its clients to leave."""
        self._emit(BusEventKind.LAME_DUCK, self.server)

    async def on_error(self, error: Exception) -> None:
        """Sort nats-py's asynchronous errors: violations, noise, and the rest."""
        violation = permission_violation(error)
        if violation is not None:
            verb, subject = violation
            text = f"{verb} {subject} is not permitted"
            if verb == "publish":
                self._owner.publish_refused(subject, text)
            else:
                self._owner.subscription_refused(subject, text)
            self._emit(BusEventKind.PERMISSION_DENIED, text)
            return
        repeated = str(error) == self.last_error and not self._up.is_set()
        is_told = is_authorization_refusal(self.last_error) and is_closing_noise(error)
        if self._up.is_set() or not is_told:  # why a server refuses says more than that it closes
            self.last_error = str(error) or type(error).__name__
        if not self._up.is_set():
            self._slow_down()
        if self._is_closing or repeated or (self._up.is_set() and is_closing_noise(error)):
            return
        refused = is_authorization_refusal(self.last_error)
        self._emit(
            BusEventKind.PERMISSION_DENIED if refused else BusEventKind.ERROR, self.last_error
        )

    def _slow_down(self) -> None:
        """Reconnect fast at first, then once a second (rule 1)."""
        self._failures += 1
        if self._failures > _FAST_ATTEMPTS:
            self.client.options["reconnect_time_wait"] = _SLOW_WAIT_SECONDS


def _seen(ending: asyncio.Future[None]) -> None:
    """Take the result of nats-py's close: the socket may be gone already, and so what."""
    if not ending.cancelled():
        ending.exception()

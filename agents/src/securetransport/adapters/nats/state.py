"""What a connection knows of itself, and how it takes nats-py's callbacks.

Rules:

1. A request whose connection is lost fails at once instead of waiting for its deadline, so the
   caller retries on the next server within milliseconds (with the same message id, so the server
   drops the copy if the first one was stored).
2. A permission violation, which the server reports apart from the request it refused, fails the
   request or subscription it belongs to with ``PermissionDeniedError``.
3. Reconnecting is fast at first and slow later: a refused client must not hammer the servers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import nats.aio.client
from nats.aio.msg import Msg

from securetransport.adapters.nats.errors import (
    is_authorization_refusal,
    is_closing_noise,
    permission_violation,
)
from securetransport.adapters.nats.pull import PullSubscription
from securetransport.core.base.errors import BusUnavailableError, PermissionDeniedError
from securetransport.core.ports.bus import BusEvent, BusEventKind, EventHandler

_FAST_WAIT_SECONDS: Final = 0.05
_SLOW_WAIT_SECONDS: Final = 1.0
_FAST_ATTEMPTS: Final = 60
_MAX_DENIED: Final = 64


class ConnectionState:
    """Base of :class:`~securetransport.adapters.nats.connection.Connection`.

    Attributes:
        name: The client name the servers list; nothing is authorised by it.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox_prefix: str,
        request_seconds: float,
        on_event: EventHandler | None,
    ) -> None:
        self.name = name
        self._client = nats.aio.client.Client()
        self._on_event = on_event
        self._request_seconds = request_seconds
        self._inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
        self._waiting: dict[str, tuple[asyncio.Future[Msg], str]] = {}
        self._subscribing: dict[str, PermissionDeniedError | None] = {}
        self._denied: dict[str, str] = {}
        self._pulls: set[PullSubscription] = set()
        self._counter = 0
        self._up = asyncio.Event()
        self._is_closing = False
        self._failures = 0
        self._last_error = ""

    # --- state -------------------------------------------------------------------------------

    @property
    def client(self) -> nats.aio.client.Client:
        """nats-py's client; for this package only."""
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted this connection and it is up now."""
        return self._up.is_set() and not self._client.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        return bool(self._client.is_closed)

    @property
    def pending(self) -> int:
        """Requests and stream publishes whose answer has not come."""
        return len(self._waiting)

    @property
    def server(self) -> str:
        """Host and port it is connected to; empty when it is not."""
        url = self._client.connected_url
        return str(url.netloc) if url is not None else ""

    @property
    def last_error(self) -> str:
        """The newest error, in the server's or nats-py's words."""
        return self._last_error

    async def wait_connected(self, timeout_seconds: float) -> None:
        """Wait until the connection is up.

        Raises:
            BusUnavailableError: It did not come up in time, or is closed.
        """
        if self.is_connected:
            return
        if self._client.is_closed:
            raise BusUnavailableError("connection is closed", reason=self._last_error)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._up.wait()
        except TimeoutError as error:
            raise BusUnavailableError("connection is down", reason=self._last_error) from error

    # --- for this package --------------------------------------------------------------------

    @property
    def inbox(self) -> str:
        """Root of this connection's own inboxes."""
        return self._inbox

    def denied(self, subject: str) -> str | None:
        """Return, once, that the server refused a publish to ``subject`` nobody waits for."""
        return self._denied.pop(subject.lower(), None)

    def forget_pull(self, pull: PullSubscription) -> None:
        """Drop a pull that has ended; called by the pull itself."""
        self._pulls.discard(pull)

    @asynccontextmanager
    async def expect(self, subject: str) -> AsyncIterator[tuple[str, asyncio.Future[Msg]]]:
        """Give a reply subject and the future of its first answer, forgotten on exit."""
        self._counter += 1
        token = str(self._counter)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = (future, subject.lower())
        try:
            yield f"{self._inbox}.r.{token}", future
        finally:
            self._waiting.pop(token, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen; it was raised where it was awaited, or nobody waits

    async def _answer(self, raw: Msg) -> None:
        entry = self._waiting.get(raw.subject.rsplit(".", 1)[1])
        if entry is not None and not entry[0].done():
            entry[0].set_result(raw)

    def _emit(self, kind: BusEventKind, detail: str = "") -> None:
        if self._on_event is not None:
            self._on_event(BusEvent(kind, detail))

    def _fail_waiting(self, why: str, subject: str | None = None) -> None:
        for future, asked in tuple(self._waiting.values()):
            if future.done() or (subject is not None and asked != subject):
                continue
            if subject is None:
                future.set_exception(BusUnavailableError(why, subject=asked))
            else:
                future.set_exception(PermissionDeniedError(why, subject=asked))

    # --- nats-py's callbacks -----------------------------------------------------------------

    async def on_disconnected(self) -> None:
        """React to a lost connection."""
        was_up = self._up.is_set()
        self._up.clear()
        self._fail_waiting("connection lost")
        for pull in tuple(self._pulls):
            pull.connection_lost(is_final=False)
        if was_up and not self._is_closing:
            self._emit(BusEventKind.DISCONNECTED, self._last_error)

    async def on_reconnected(self) -> None:
        """React to a connection that is up again."""
        self._failures = 0
        self._denied.clear()
        self._client.options["reconnect_time_wait"] = _FAST_WAIT_SECONDS
        self._up.set()
        for pull in tuple(self._pulls):
            pull.connection_restored()
        self._emit(BusEventKind.RECONNECTED, self.server)

    async def on_closed(self) -> None:
        """React to the end of the connection."""
        self._up.clear()
        self._fail_waiting("connection closed")
        for pull in tuple(self._pulls):
            pull.connection_lost(is_final=True)
        if not self._is_closing:
            self._emit(BusEventKind.CLOSED, self._last_error)

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
                self._fail_waiting(text, subject)
                if len(self._denied) < _MAX_DENIED:
                    self._denied[subject] = text
            elif subject in self._subscribing:
                self._subscribing[subject] = PermissionDeniedError(text, subject=subject)
            self._emit(BusEventKind.PERMISSION_DENIED, text)
            return
        repeated = str(error) == self._last_error and not self._up.is_set()
        is_told = is_authorization_refusal(self._last_error) and is_closing_noise(error)
        if self._up.is_set() or not is_told:  # why a server refuses says more than that it closes
            self._last_error = str(error) or type(error).__name__
        if not self._up.is_set():
            self._slow_down()
        if self._is_closing or repeated or (self._up.is_set() and is_closing_noise(error)):
            return
        refused = is_authorization_refusal(self._last_error)
        self._emit(
            BusEventKind.PERMISSION_DENIED if refused else BusEventKind.ERROR, self._last_error
        )

    def _slow_down(self) -> None:
        """Reconnect fast at first, then once a second: a refused client must not hammer servers."""
        self._failures += 1
        if self._failures > _FAST_ATTEMPTS:
            self._client.options["reconnect_time_wait"] = _SLOW_WAIT_SECONDS

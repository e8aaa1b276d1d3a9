"""Connecting to the bus: every server in the pool, mapped by certificate, reconnecting for ever."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import nats.errors as nats_errors

from securetransport.adapters.nats.connection import Connection
from securetransport.adapters.nats.errors import translate
from securetransport.adapters.nats.events import EventHandler
from securetransport.adapters.nats.transport import QuickTransport
from securetransport.core.base.errors import SecureTransportError

# nats-py swallows a cancellation that meets one of its own; without a bound on its attempts a
# refused first connection could then go on for ever. Once it is up, a connection never gives up.
_FIRST_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class BusTimeouts:
    """How long things may take, in seconds.

    Attributes:
        connect: The first connection, all servers tried.
        server: One server's TCP or TLS step, before the next server is tried.
        request: Default of requests and stream publishes.
        ping: Interval of keep-alives; a server silent for two of them is left. A paused server
            keeps its sockets open, so nothing else finds out.
        reconnect_wait: Pause between attempts on the same server.
    """

    connect: float = 5.0
    server: float = 2.0
    request: float = 2.0
    ping: float = 2.0
    reconnect_wait: float = 0.05


class Bus:
    """Makes connections; holds nothing."""

    async def connect(  # noqa: PLR0913  # all but two are by name
        self,
        servers: Sequence[str],
        ssl_context: ssl.SSLContext,
        *,
        name: str,
        inbox_prefix: str,
        timeouts: BusTimeouts | None = None,
        on_event: EventHandler | None = None,
    ) -> Connection:
        """Return a connection that is up.

        The servers map the certificate inside ``ssl_context`` to a user; there is no password.

        Args:
            servers: ``tls://host:port`` of every server.
            ssl_context: Anchors and identity; later reconnects use the one given to
                ``Connection.replace_context``.
            name: What the servers list; nothing is authorised by it.
            inbox_prefix: The only inbox this user may subscribe to, without the trailing dot.
            timeouts: See :class:`BusTimeouts`.
            on_event: Told about losses, reconnects, lame-duck servers and refusals.

        Raises:
            BusUnavailableError: No server accepted the connection in time.
            PermissionDeniedError: A server knows no user for this certificate.
        """
        limits = timeouts or BusTimeouts()
        connection = Connection(
            name=name,
            inbox_prefix=inbox_prefix,
            request_seconds=limits.request,
            on_event=on_event,
        )
        client = connection.client
        # nats-py has no option for the transport; see transport.py for why it must be another one.
        client._transport = QuickTransport()  # type: ignore[no-untyped-call]  # noqa: SLF001
        try:
            async with asyncio.timeout(limits.connect):
                await client.connect(
                    servers=list(servers),
                    name=name,
                    tls=ssl_context,
                    inbox_prefix=inbox_prefix,
                    connect_timeout=limits.server,  # type: ignore[arg-type]  # a float is fine
                    reconnect_time_wait=limits.reconnect_wait,  # type: ignore[arg-type]  # as above
                    max_reconnect_attempts=_FIRST_ATTEMPTS,
                    ping_interval=limits.ping,  # type: ignore[arg-type]  # as above
                    max_outstanding_pings=2,
                    pending_size=8 * 1024 * 1024,
                    error_cb=connection.on_error,
                    disconnected_cb=connection.on_disconnected,
                    reconnected_cb=connection.on_reconnected,
                    closed_cb=connection.on_closed,
                    lame_duck_mode_cb=connection.on_lame_duck,
                )
                client.options["max_reconnect_attempts"] = -1
                # A server that refuses a TLS 1.3 client says so only after the handshake.
                await client.flush()
                await connection.start()
        except (OSError, nats_errors.Error, TimeoutError, SecureTransportError) as error:
            reason = connection.last_error
            await connection.close()
            if isinstance(error, SecureTransportError):
                raise
            raise translate(nats_errors.Error(reason) if reason else error, "connect") from error
        except asyncio.CancelledError:
            await connection.close()
            raise
        return connection

"""Connecting to the bus: every server in the pool, mapped by certificate, reconnecting for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import nats.errors as nats_errors

from securetransport.adapters.nats.connection import NatsConnection
from securetransport.adapters.nats.errors import translate
from securetransport.adapters.nats.transport import QuickTransport
from securetransport.adapters.tls import client_context
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports.bus import BusTimeouts, Credentials, EventHandler

# nats-py swallows a cancellation that meets one of its own; without a bound on its attempts a
# refused first connection could then go on for ever. Once it is up, a connection never gives up.
_FIRST_ATTEMPTS: Final = 20


class NatsBus:
    """Makes connections; holds nothing."""

    async def connect(  # noqa: PLR0913  # all but two are by name
        self,
        servers: Sequence[str],
        credentials: Credentials,
        *,
        name: str,
        inbox_prefix: str,
        timeouts: BusTimeouts | None = None,
        on_event: EventHandler | None = None,
    ) -> NatsConnection:
        """Return a connection that is up.

        The servers map the certificate to a user; there is no password.

        Args:
            servers: ``tls://host:port`` of every server.
            credentials: Anchors and identity; later reconnects use those given to
                ``Connection.use_credentials``.
            name: What the servers list; nothing is authorised by it.
            inbox_prefix: The only inbox this user may subscribe to, without the trailing dot.
            timeouts: See :class:`BusTimeouts`.
            on_event: Told about losses, reconnects, lame-duck servers and refusals.

        Raises:
            BusUnavailableError: No server accepted the connection in time.
            PermissionDeniedError: A server knows no user for this certificate.
            SecureTransportError: The credentials cannot be used.
        """
        limits = timeouts or BusTimeouts()
        context = client_context(credentials.anchors, credentials.identity)
        connection = NatsConnection(
            name=name,
            inbox_prefix=inbox_prefix,
            request_seconds=limits.request,
            on_event=on_event,
        )
        link = connection.link
        client = link.client
        # nats-py has no option for the transport; see transport.py for why it must be another one.
        client._transport = QuickTransport()  # noqa: SLF001
        try:
            async with asyncio.timeout(limits.connect):
                await client.connect(
                    servers=list(servers),
                    name=name,
                    tls=context,
                    inbox_prefix=inbox_prefix,
                    connect_timeout=limits.server,  # type: ignore[arg-type]  # a float is fine
                    reconnect_time_wait=limits.reconnect_wait,  # type: ignore[arg-type]  # as above
                    max_reconnect_attempts=_FIRST_ATTEMPTS,
                    ping_interval=limits.ping,  # type: ignore[arg-type]  # as above
                    max_outstanding_pings=2,
                    pending_size=8 * 1024 * 1024,
                    error_cb=link.on_error,
                    disconnected_cb=link.on_disconnected,
                    reconnected_cb=link.on_reconnected,
                    closed_cb=link.on_closed,
                    lame_duck_mode_cb=link.on_lame_duck,
                )
                client.options["max_reconnect_attempts"] = -1
                # A server that refuses a TLS 1.3 client says so only after the handshake.
                await client.flush()
                await connection.start()
        except (OSError, nats_errors.Error, TimeoutError, SecureTransportError) as error:
            reason = link.last_error
            await connection.close()
            if isinstance(error, SecureTransportError):
                raise
            raise translate(nats_errors.Error(reason) if reason else error, "connect") from error
        except asyncio.CancelledError:
            await connection.close()
            raise
        return connection

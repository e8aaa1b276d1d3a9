"""A TCP transport for nats-py that closes quickly and without noise.

Why it exists: nats-py waits for the peer's TLS close-notify, up to 30 s, before it tries the next
server. A paused or partitioned server never answers, so a reconnect would take half a minute. And a
TLS connection that is closed while data is on its way raises ``SSLError`` in ``wait_closed``, which
says nothing about the connection that is gone anyway.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

# Long enough for a close-notify on a healthy network, short enough not to be felt in a reconnect.
_SHUTDOWN_SECONDS: Final = 0.2


class _TlsReaderProtocol(asyncio.StreamReaderProtocol):
    """A reader over TLS, where a half-closed connection does not exist."""

    def eof_received(self) -> bool:
        """Feed the end to the reader; returning true would only make asyncio warn."""
        super().eof_received()
        return False


class QuickTransport(TcpTransport):
    """TCP, upgraded to TLS by the client; a close takes at most a fraction of a second."""

    def __bool__(self) -> bool:
        """Return true always: nats-py replaces a transport that is false by its own."""
        return True

    async def connect_tls(
        self,
        uri: str | ParseResult,
        ssl_context: ssl.SSLContext,
        buffer_size: int,  # noqa: ARG002  # given by nats-py's protocol, meaningless for TLS
        connect_timeout: int,
    ) -> None:
        """Upgrade to TLS; ``uri`` names the host that the server's certificate must carry."""
        if self._io_writer is None:
            raise ConnectionResetError("connection closed before the TLS handshake")
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**18, loop=loop)
        protocol = _TlsReaderProtocol(reader, loop=loop)
        upgrade = loop.start_tls(
            self._io_writer.transport,
            protocol,
            ssl_context,
            server_hostname=uri if isinstance(uri, str) else uri.hostname,
            ssl_handshake_timeout=float(connect_timeout),
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        transport = await asyncio.wait_for(upgrade, connect_timeout)
        if transport is None:
            raise ConnectionResetError("connection closed during the TLS handshake")
        self._io_reader = reader
        self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def wait_closed(self) -> None:
        """Wait for the close, but not for a peer that does not answer."""
        if self._io_writer is None:
            return
        try:
            await asyncio.wait_for(self._io_writer.wait_closed(), 2 * _SHUTDOWN_SECONDS)
        except (OSError, TimeoutError):
            # The connection is being given up; how its end looked like changes nothing.
            self.abort()

    def abort(self) -> None:
        """Give the socket back at once; what was not sent is lost.

        A TLS transport that is closing is left alone, since the first releases of Python 3.11 fail
        to abort one that was closed twice; the TCP transport below it has the socket.
        """
        if self._io_writer is not None and not self._io_writer.transport.is_closing():
            self._io_writer.transport.abort()
        if self._bare_io_writer is not None:
            self._bare_io_writer.transport.abort()

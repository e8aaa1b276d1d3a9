"""A TCP transport for nats-py that closes quickly and without noise.

Why it exists: nats-py waits for the peer's TLS close-notify, up to 30 s, before it tries the next
server. A paused or partitioned server never answers, so a reconnect would take half a minute. And a
TLS connection that is closed while data is on its way raises ``SSLError`` in ``wait_closed``, which
says nothing about the connection that is gone anyway.

And it can be ended for good: a reconnect of nats-py that swallowed its cancellation goes on though
its client was closed (measured: 53 of 240 clients that were closed while they reconnected), would
hammer the servers for ever, and could even come up again. It gets no connection from here any more.
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

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._is_over = False
        self._given_up: asyncio.StreamWriter | None = None

    def __bool__(self) -> bool:
        """Return true always: nats-py replaces a transport that is false by its own."""
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Connect, unless it was ended."""
        self._check_over()
        await super().connect(uri, buffer_size, connect_timeout)
        self._check_over()

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
        self._check_over()

    async def wait_closed(self) -> None:
        """Wait for the close, but not for a peer that does not answer.

        A writer that was late once is not waited for again: every later wait for the same close
        would look cancelled.
        """
        writer = self._io_writer
        if writer is None or writer is self._given_up:
            return
        closing = asyncio.ensure_future(writer.wait_closed())
        closing.add_done_callback(_seen)
        try:
            await asyncio.wait({closing}, timeout=2 * _SHUTDOWN_SECONDS)
        finally:
            if not closing.done():
                self._given_up = writer
                self.abort()
                closing.cancel()

    def end(self) -> None:
        """Give the socket back, and never connect again."""
        self._is_over = True
        self.abort()

    def _check_over(self) -> None:
        if self._is_over:
            self.abort()
            raise ConnectionAbortedError("connection was closed by its owner")

    def abort(self) -> None:
        """Give the socket back at once; what was not sent is lost.

        A TLS transport that is closing is left alone, since the first releases of Python 3.11 fail
        to abort one that was closed twice; the TCP transport below it has the socket.
        """
        if self._io_writer is not None and not self._io_writer.transport.is_closing():
            self._io_writer.transport.abort()
        if self._bare_io_writer is not None:
            self._bare_io_writer.transport.abort()


def _seen(closing: asyncio.Future[None]) -> None:
    """Take the result: the connection is given up; how its end looked changes nothing."""
    if not closing.cancelled():
        closing.exception()

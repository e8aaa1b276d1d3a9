"""Opening a connection up to the point where TLS begins, and reading what follows.

The client port of a message server speaks first, in clear: one ``INFO`` line; then the client
begins TLS. The route port speaks TLS first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from securetransport.core.ports.servers import PortKind

CHUNK_BYTES: Final = 16384
_LINE_LIMIT_BYTES: Final = 1 << 20  # an INFO line lists every server's URL; far below this


@contextlib.asynccontextmanager
async def opened(
    host: str, port: int, kind: PortKind
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect and, on a client port, read the INFO line; the connection is always closed.

    Raises:
        OSError: Nobody listens, or the peer is no message server.
    """
    reader, writer = await asyncio.open_connection(host, port, limit=_LINE_LIMIT_BYTES)
    try:
        if kind == "client":
            line = await reader.readline()
            if not line.startswith(b"INFO "):
                raise ConnectionError("no INFO line; not the client port of a message server")
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # the peer was quicker; it is closed either way
            await writer.wait_closed()


async def flush(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send what a TLS engine wants sent."""
    if data:
        writer.write(data)
        await writer.drain()


async def receive(reader: asyncio.StreamReader) -> bytes:
    """Return the next bytes, at least one.

    Raises:
        ConnectionError: The peer closed.
    """
    data = await reader.read(CHUNK_BYTES)
    if not data:
        raise ConnectionError("closed by the server")
    return data

"""Whether a server takes an identity: a complete handshake, up to the server's word on it.

In TLS 1.3 the client is done before the server has judged its certificate, so a refusal arrives as
an alert on the first read. To have something to read, the probe sends ``CONNECT`` and ``PING`` on a
client port; any answer, be it an authorisation error of an unmapped user, comes after the verdict.
They leave together with the end of the handshake: a write after the server's alert could break the
connection before the alert is read, and a refusal would look like silence.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Final

from securetransport.adapters.tls.context import client_context
from securetransport.adapters.tls.wire import CHUNK_BYTES, flush, opened, receive
from securetransport.core.ports import PortKind, TlsIdentity

ACCEPTED: Final = "accepted"
UNKNOWN_AUTHORITY: Final = "unknown-authority"
EXPIRED: Final = "expired"
UNREACHABLE: Final = "unreachable"
SERVER_NOT_TRUSTED: Final = "server-not-trusted"

_HELLO: Final = (
    b'CONNECT {"verbose":false,"pedantic":false,"name":"probe","lang":"probe","version":"1"}\r\n'
    b"PING\r\n"
)
_ALERTS: Final = (("UNKNOWN_CA", UNKNOWN_AUTHORITY), ("CERTIFICATE_EXPIRED", EXPIRED))


async def accepted(  # noqa: PLR0913  # where, who, and two knobs
    host: str,
    port: int,
    identity: TlsIdentity,
    anchors: Iterable[bytes],
    *,
    kind: PortKind = "client",
    timeout_seconds: float = 2.0,
) -> str:
    """Return the server's word on ``identity``; never raises for what a server does.

    Args:
        host: Address of the server; must be in its certificate.
        port: Its client or route port.
        identity: What to present.
        anchors: DERs that the server's own leaf is verified with.
        kind: ``client`` or ``route``.
        timeout_seconds: For all of it.

    Returns:
        ``accepted``, ``unknown-authority``, ``expired``, ``refused:<alert>`` with OpenSSL's name of
        the alert in lower case, ``server-not-trusted`` when *we* refuse the server, or
        ``unreachable`` when no word came in time, which proves nothing.

    Raises:
        SecureTransportError: No anchors, or key and leaf of ``identity`` do not fit.
    """
    context = client_context(anchors, identity)
    try:
        async with asyncio.timeout(timeout_seconds), opened(host, port, kind) as (reader, writer):
            engine = _Engine(context, host, reader, writer)
            await engine.handshake()
            if kind == "client":
                engine.write(_HELLO)
            await engine.read()
    except ssl.SSLCertVerificationError:
        return SERVER_NOT_TRUSTED
    except ssl.SSLError as error:
        return _word_of_alert(error.reason or "")
    except (OSError, TimeoutError):
        return UNREACHABLE
    return ACCEPTED


def _word_of_alert(reason: str) -> str:
    for text, word in _ALERTS:
        if text in reason:
            return word
    _prefix, found, alert = reason.partition("ALERT_")
    return "refused:" + (alert if found else reason).lower()


class _Engine:
    """TLS over streams, with the alert of the first read left visible."""

    def __init__(
        self,
        context: ssl.SSLContext,
        host: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._reader = reader
        self._writer = writer

    async def handshake(self) -> None:
        """Finish our side of the handshake; its last bytes wait for the next exchange."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._exchange()
            else:
                return

    def write(self, data: bytes) -> None:
        """Encrypt application data; it is sent by the next exchange."""
        self._tls.write(data)

    async def read(self) -> bytes:
        """Send what is pending and return application data, at least one byte."""
        await flush(self._writer, self._outgoing.read())
        while True:
            try:
                return self._tls.read(CHUNK_BYTES)
            except ssl.SSLWantReadError:
                await self._exchange()

    async def _exchange(self) -> None:
        await flush(self._writer, self._outgoing.read())
        self._incoming.write(await receive(self._reader))

"""What a server trusts and serves, read from outside without any credential.

In TLS 1.3 a server that wants client certificates lists the names of the CAs it accepts before the
client has to show anything. Our intermediates carry epoch and key in their names, so this list *is*
the trust set in force. The standard library hides it; pyOpenSSL tells it.

The probe proves nothing about who answers: its caller compares what it saw with what must be there.
It sends no data, and nothing it reads is trusted further.
"""

from __future__ import annotations

import asyncio
from typing import Final

from OpenSSL import SSL, crypto

from securetransport.adapters.tls.wire import CHUNK_BYTES, flush, opened, receive
from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.crypto.x509 import describe
from securetransport.core.ports.servers import PROBE_SECONDS, PortKind, ProbeResult

_NO_ANSWER: Final = "no answer in time"
_PORTS: Final = range(1, 65536)


class HandshakeProbe:
    """Implements ``TlsProbe`` over sockets."""

    async def probe(
        self,
        host: str,
        port: int,
        *,
        kind: PortKind = "client",
        timeout_seconds: float = PROBE_SECONDS,
    ) -> ProbeResult:
        """Do a TLS handshake without a certificate and return what it showed; never raises."""
        return await probe(host, port, kind=kind, timeout_seconds=timeout_seconds)


async def probe(
    host: str, port: int, *, kind: PortKind = "client", timeout_seconds: float = PROBE_SECONDS
) -> ProbeResult:
    """Do a TLS 1.3 handshake without a certificate and return what it showed; never raises.

    Args:
        host: Address of the server.
        port: Its client or route port.
        kind: ``client`` reads the INFO line first, ``route`` begins with TLS.
        timeout_seconds: For all of it.
    """
    if port not in _PORTS:
        return ProbeResult(error=f"port {port} is not 1 to 65535")
    try:
        async with asyncio.timeout(timeout_seconds), opened(host, port, kind) as (reader, writer):
            return await _handshake(reader, writer)
    except TimeoutError:
        return ProbeResult(error=_NO_ANSWER)
    except ValueError as error:  # a host name that is none, a line over the limit
        return ProbeResult(error=str(error))
    except OSError as error:
        return ProbeResult(error=error.strerror or str(error) or type(error).__name__)
    except (SSL.Error, MalformedMessageError) as error:
        return ProbeResult(error=f"tls: {_reason(error)}")


async def _handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> ProbeResult:
    connection = SSL.Connection(_context(), None)
    connection.set_connect_state()
    while True:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            await flush(writer, _outgoing(connection))
            connection.bio_write(await receive(reader))
        else:
            break
    leaf = connection.get_peer_certificate()
    if leaf is None:
        return ProbeResult(error="tls: the server showed no certificate")
    facts = describe(crypto.dump_certificate(crypto.FILETYPE_ASN1, leaf))
    names = tuple(name.commonName or "" for name in connection.get_client_ca_list())
    return ProbeResult(
        ca_names=names,
        issuer_common_name=facts.issuer_common_name,
        leaf_fingerprint=facts.fingerprint,
        leaf_not_after=facts.not_after,
    )


def _context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # Nothing is verified because nothing is believed: a server with the wrong certificate is
    # exactly what a probe has to be able to report. No credential and no data goes this way.
    context.set_verify(SSL.VERIFY_NONE)
    return context


def _outgoing(connection: SSL.Connection) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            parts.append(connection.bio_read(CHUNK_BYTES))
        except SSL.WantReadError:
            return b"".join(parts)


def _reason(error: Exception) -> str:
    """Return OpenSSL's last reason, which is all a person needs."""
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        reasons = [str(entry[-1]) for entry in error.args[0] if entry]
        return reasons[-1] if reasons else type(error).__name__
    return str(error) or type(error).__name__

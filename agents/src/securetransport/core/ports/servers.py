"""Message servers, as they are controlled from beside and looked at from outside.

What every implementation shows in one contract suite:

1. A probe needs no credential, proves nothing about who answers, and never raises for what a server
   does: :attr:`ProbeResult.error` says why nothing was learned.
2. A running server lists and serves what its files held when it started or was last told to reload;
   files that it refuses change nothing.
3. The word of the server's own program on a configuration touches no running server.
4. A process id file that is stale, damaged or names somebody else's process is "does not run";
   nobody else is ever signalled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from securetransport.core.base.names import Fingerprint

PortKind = Literal["client", "route"]
"""``client`` speaks first, in clear, before TLS begins; ``route`` begins with TLS."""

PROBE_SECONDS = 2.0
"""How long a probe may take unless its caller says otherwise; 5 ms are usual."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one port showed to a client without a certificate.

    Attributes:
        ca_names: Common names of the CAs the server accepts, in its order.
        issuer_common_name: Who signed the leaf it serves, empty when not seen.
        leaf_fingerprint: SHA-256 of that leaf's DER, hex; ``None`` when not seen.
        leaf_not_after: When that leaf ends.
        error: Why the probe failed; then the other fields say nothing. ``None`` when it worked.
    """

    ca_names: tuple[str, ...] = ()
    issuer_common_name: str = ""
    leaf_fingerprint: Fingerprint | None = None
    leaf_not_after: datetime | None = None
    error: str | None = None


class TlsProbe(Protocol):
    """Looks at a port from outside."""

    async def probe(
        self,
        host: str,
        port: int,
        *,
        kind: PortKind = "client",
        timeout_seconds: float = PROBE_SECONDS,
    ) -> ProbeResult:
        """Do a TLS handshake without a certificate and return what it showed.

        Args:
            host: Name or address of the server.
            port: Its client or route port, 1 to 65535; any other number is an error in the result.
            kind: Which of the two.
            timeout_seconds: For all of it.
        """
        ...


class ServerControl(Protocol):
    """One server on the machine (or in the pod) of the caller."""

    def is_running(self) -> bool:
        """Tell whether the process named by the process id file is this server and lives."""
        ...

    def signal_reload(self) -> bool:
        """Tell the server to read its files again.

        Returns:
            Whether there was a server to tell. Whether it took the files, a probe shows.
        """
        ...

    async def problem_of(self, config: Path) -> str | None:
        """Let the server's program read a configuration with everything that it includes.

        Returns:
            What it finds wrong, ``None`` when it would start with it.

        Raises:
            SecureTransportError: The program cannot be run.
        """
        ...

"""A message server in memory, with its process, its ports and its program's check.

It reads the same files as a real one, through a :class:`Files`: includes, certificate, key and
trusted CAs; so what it shows follows from what was written, not from what a test says::

    server = FakeServer(files, Path("/srv/nats.conf"), client="127.0.0.1:4222")
    server.start()
    probe = FakeProbe([server])
    (await probe.probe("127.0.0.1", 4222)).ca_names
    server.is_silent = True                          # paused: its ports accept and say nothing
    server.is_deaf = True                            # signals are lost: it serves its old files
    server.slow_probes = 3                           # a reload takes effect after three probes
    server.refuses = "unknown field"                 # its program refuses every configuration
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.crypto import x509
from securetransport.core.ports import Files
from securetransport.core.ports.servers import PROBE_SECONDS, PortKind, ProbeResult

_INCLUDE: Final = re.compile(r"^\s*include\s+\"?([^\s\"}]+)", re.MULTILINE)
_SETTING: Final = re.compile(r"\b(cert_file|key_file|ca_file):\s*\"([^\"]+)\"")
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL
)
_MOST_INCLUDES: Final = 10


@dataclass(frozen=True, slots=True)
class _Material:
    """What a server keeps in memory of its files."""

    leaf: x509.CertificateFacts
    ca_names: tuple[str, ...]


class FakeServer:
    """Implements ``ServerControl`` in memory; :class:`FakeProbe` sees its ports.

    Args:
        files: Where its configuration lies.
        config: Its configuration file.
        client: ``host:port`` of its client port.
        route: ``host:port`` of its route port; empty for a server without a cluster.

    Attributes:
        is_silent: It is paused: its process lives, its ports say nothing.
        is_deaf: Signals get lost: it goes on serving what it has.
        refuses: What its program says about every configuration, unless ``None``.
        dies_at_signal: It has ended a moment before the next signal comes.
        slow_probes: How many probes still see the old files after a reload.
        reloads: How many times it was told to reload.
        checks: Every configuration that its program was asked about.
    """

    def __init__(self, files: Files, config: Path, *, client: str, route: str = "") -> None:
        self._files = files
        self._config = config
        self._ports: dict[str, PortKind] = {client: "client"}
        if route:
            self._ports[route] = "route"
        self._serving: _Material | None = None
        self._coming: _Material | None = None
        self._wait = 0
        self.is_silent = False
        self.is_deaf = False
        self.refuses: str | None = None
        self.dies_at_signal = False
        self.slow_probes = 0
        self.reloads = 0
        self.checks: list[Path] = []

    # --- what a test does to it ---------------------------------------------------------------

    def start(self) -> None:
        """Start with the files as they are.

        Raises:
            SecureTransportError: It refuses them.
        """
        self._serving, self._coming = self._read(self._config), None

    def stop(self) -> None:
        """End the process."""
        self._serving = self._coming = None

    def kind_of(self, address: str) -> PortKind | None:
        """Return what listens at an address, if it is this server's."""
        return self._ports.get(address)

    def look(self) -> ProbeResult:
        """Return what a port of this server shows."""
        if self._serving is None:
            return ProbeResult(error="Connection refused")
        if self.is_silent:
            return ProbeResult(error="no answer in time")
        self._take_coming()
        shown = self._serving
        return ProbeResult(
            ca_names=shown.ca_names,
            issuer_common_name=shown.leaf.issuer_common_name,
            leaf_fingerprint=shown.leaf.fingerprint,
            leaf_not_after=shown.leaf.not_after,
        )

    # --- the port -----------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._serving is not None

    def signal_reload(self) -> bool:
        """Tell the server to read its files again; returns whether there was one to tell."""
        if self.dies_at_signal:
            self.dies_at_signal = False
            self.stop()
        if self._serving is None:
            return False
        self.reloads += 1
        if self.is_deaf or self.refuses is not None:
            return True
        # As the real one: what it refuses it logs, and goes on with what it has.
        with contextlib.suppress(SecureTransportError):
            self._coming, self._wait = self._read(self._config), self.slow_probes
        return True

    async def problem_of(self, config: Path) -> str | None:
        """Read a configuration as the server's program does; returns what is wrong with it."""
        self.checks.append(config)
        if self.refuses is not None:
            return self.refuses
        try:
            self._read(config)
        except SecureTransportError as error:
            return str(error)
        return None

    # --- inside -------------------------------------------------------------------------------

    def _take_coming(self) -> None:
        if self._coming is not None:
            if self._wait > 0:
                self._wait -= 1
            else:
                self._serving, self._coming = self._coming, None

    def _read(self, config: Path) -> _Material:
        text = self._with_includes(config, _MOST_INCLUDES)
        if text.count("{") != text.count("}"):
            raise SecureTransportError("parse error", path=str(config))
        paths = dict(_SETTING.findall(text))
        try:
            certificate, key, anchors = (
                self._text(config.parent / paths[name])
                for name in ("cert_file", "key_file", "ca_file")
            )
        except KeyError as error:
            raise SecureTransportError("no TLS material", missing=error.args[0]) from error
        x509.tls_identity(certificate, key)
        trusted = [x509.describe(x509.pem_to_der(pem)) for pem in _CERTIFICATE.findall(anchors)]
        if not trusted:
            raise SecureTransportError("no CA certificate", path=paths["ca_file"])
        leaf = x509.describe(x509.pem_to_der(certificate))
        return _Material(leaf, tuple(entry.common_name for entry in trusted))

    def _with_includes(self, path: Path, depth: int) -> str:
        """Return a configuration with the text of its includes, which are relative to it."""
        text = self._text(path)
        if depth == 0:
            raise SecureTransportError("includes are nested too deep", path=str(path))
        included = (path.parent / name for name in _INCLUDE.findall(text))
        return text + "".join(self._with_includes(name, depth - 1) for name in included)

    def _text(self, path: Path) -> str:
        data = self._files.read(path)
        if data is None:
            raise SecureTransportError("no such file", path=str(path))
        return data.decode(errors="replace")


class FakeProbe:
    """Implements ``TlsProbe``: whoever is listed listens, anybody else refuses.

    Attributes:
        probed: Every address that was probed, in order.
        answers: What an address shows instead of what its server does.
    """

    def __init__(self, servers: Iterable[FakeServer]) -> None:
        self._servers = list(servers)
        self.probed: list[str] = []
        self.answers: dict[str, ProbeResult] = {}

    async def probe(
        self,
        host: str,
        port: int,
        *,
        kind: PortKind = "client",
        timeout_seconds: float = PROBE_SECONDS,
    ) -> ProbeResult:
        """Return what the server at this address shows."""
        del timeout_seconds  # a silent server is known at once
        if not 1 <= port <= 65535:
            return ProbeResult(error=f"port {port} is not 1 to 65535")
        address = f"{host}:{port}"
        self.probed.append(address)
        if address in self.answers:
            return self.answers[address]
        for server in self._servers:
            found = server.kind_of(address)
            if found is not None:
                result = server.look()
                is_right = result.error is not None or found == kind
                return result if is_right else ProbeResult(error=f"not a {kind} port")
        return ProbeResult(error="Connection refused")

"""The server beside the keeper: its own check of new files, and how it looks from outside.

Nothing is asked of the server over the bus: a signal reloads it, its program checks files, and the
probe is a TLS handshake without a certificate.
"""

from __future__ import annotations

import asyncio
from typing import Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.decisions.server_files import FilesInForce, PortView, ServerView
from securetransport.core.ports import Files, PortKind, ServerControl, TlsProbe
from securetransport.keeper.generations import BROKER, TLS_PATHS, Generation
from securetransport.keeper.settings import ServerSection
from securetransport.runtime.sections import host_and_port

_POLL_SECONDS: Final = 0.03
_PROBE_SECONDS: Final = 2.0
_CHECK_CONF: Final = "check.conf"
# Includes are relative to the including file, so this lies inside the set that it checks.
_CHECK: Final = (
    "host: 127.0.0.1\nport: -1\n"
    f"include {BROKER}\n"
    f"tls {{\n  include {TLS_PATHS}\n  verify_and_map: true\n}}\n"
)


class FilesRefusedError(SecureTransportError):
    """The server's own check refused the files."""


class KeptServer:
    """One NATS server of this machine (or of this pod)."""

    def __init__(
        self, settings: ServerSection, control: ServerControl, tls: TlsProbe, files: Files
    ) -> None:
        self._settings = settings
        self._control = control
        self._tls = tls
        self._files = files

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._control.is_running()

    def signal_reload(self) -> bool:
        """Tell the server to read its files again; returns whether there was one to tell."""
        return self._control.signal_reload()

    async def look(self) -> ServerView:
        """Probe the ports of a running server."""
        if not self._control.is_running():
            return ServerView(is_running=False)
        route = self._settings.route_address
        client_view, route_view = await asyncio.gather(
            self._port(self._settings.client_address, "client"),
            self._port(route, "route"),
        )
        return ServerView(
            is_running=True, client=client_view, route=route_view, has_route=route is not None
        )

    async def wait_until_served(self, files: FilesInForce, seconds: float) -> ServerView:
        """Look until the server shows ``files``; returns the last view after ``seconds``."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            view = await self.look()
            if view.shows(files) or asyncio.get_running_loop().time() >= end:
                return view
            await asyncio.sleep(_POLL_SECONDS)

    async def check(self, generation: Generation) -> None:
        """Let the server's program read a new set of files.

        Raises:
            FilesRefusedError: It found something wrong; ``reason`` is its text.
            SecureTransportError: It cannot be run, or the disk is full.
        """
        path = generation.path / _CHECK_CONF
        self._files.write(path, _CHECK)
        problem = await self._control.problem_of(path)
        self._files.remove(path)
        if problem is not None:
            raise FilesRefusedError("new files are refused by the server's check", reason=problem)

    async def problem_of_config(self) -> str | None:
        """Return what the server's program finds wrong with its configuration, if anything."""
        return await self._control.problem_of(self._settings.config_file)

    async def _port(self, address: str | None, kind: PortKind) -> PortView | None:
        if address is None:
            return None
        host, port = host_and_port(address)
        seen = await self._tls.probe(host, port, kind=kind, timeout_seconds=_PROBE_SECONDS)
        if seen.error is not None or seen.leaf_fingerprint is None:
            return None
        return PortView(seen.leaf_fingerprint, frozenset(seen.ca_names))

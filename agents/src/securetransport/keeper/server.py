"""The server beside the keeper: its own check of new files, and how it looks from outside.

Nothing is asked of the server over the bus: a signal reloads it, its program checks files, and the
probe is a TLS handshake without a certificate.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.values import split_address
from securetransport.core.decisions.server_files import FilesInForce, PortView, ServerView
from securetransport.core.ports import (
    Clock,
    Files,
    PortKind,
    Randomness,
    ServerControl,
    TlsProbe,
)
from securetransport.keeper.generations import BROKER, TLS_PATHS, Generation
from securetransport.keeper.settings import KeeperSettings
from securetransport.keeper.step_backoff import StepBackoff
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.runtime.logs import get_logger

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


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """What the server is reached by."""

    control: ServerControl
    tls: TlsProbe
    files: Files
    clock: Clock
    randomness: Randomness


class KeptServer:
    """One NATS server of this machine (or of this pod).

    Attributes:
        view: What it showed when it was last looked at.
        is_reload_owed: Files were replaced and it was not told since.
    """

    def __init__(
        self, settings: KeeperSettings, ports: ServerPorts, telemetry: KeeperTelemetry
    ) -> None:
        self._settings = settings.server
        self._timing = settings.timing
        self._control = ports.control
        self._tls = ports.tls
        self._files = ports.files
        self._clock = ports.clock
        self._telemetry = telemetry
        self._hold = StepBackoff(ports.clock, ports.randomness)
        self._log = get_logger(server=settings.server.name)
        self._viewed_at: float | None = None
        self.view = ServerView(is_running=False)
        self.is_reload_owed = False

    @property
    def may_reload(self) -> bool:
        """Whether no failed reload asks for a pause."""
        return self._hold.is_over

    def owe_reload(self) -> None:
        """Note that its files were replaced."""
        self.is_reload_owed = True
        self._hold.done()

    async def look_if_due(self, files: FilesInForce | None) -> None:
        """Look at it if it is not known to be right, or from time to time."""
        now = self._clock.monotonic()
        is_settled = (
            files is not None
            and self._viewed_at is not None
            and self.view.serves(files)
            and now - self._viewed_at < self._timing.probe_every_seconds
            and self._control.is_running()
        )
        if not is_settled:
            self.view = await self.look()
            self._viewed_at = now

    async def reload(self, generation: Generation) -> None:
        """Tell it to read its files again, and look whether it did."""
        began = self._clock.monotonic()
        if not self._control.signal_reload():
            self._telemetry.reloads.labels("no_process").inc()
            self._viewed_at = None
            self.is_reload_owed = False  # a server that starts now reads the new files
            return
        files = generation.facts
        self.view = await self.wait_until_served(files, self._timing.reload_wait_seconds)
        self._viewed_at = self._clock.monotonic()
        seconds = round(self._viewed_at - began, 3)
        if self.view.shows(files):
            self.is_reload_owed = False
            self._hold.done()
            self._telemetry.reloads.labels("done").inc()
            self._log.info("server_reloaded", count=generation.number, seconds=seconds)
            return
        self._hold.failed()
        self._telemetry.reloads.labels("not_taken").inc()
        problem = await self._control.problem_of(self._settings.config_file)
        reason = problem or self.view.difference(files)
        self._log.error("reload_not_taken", reason=reason, seconds=seconds)

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

    async def _port(self, address: str | None, kind: PortKind) -> PortView | None:
        if address is None:
            return None
        host, port = split_address(address)
        seen = await self._tls.probe(host, port, kind=kind, timeout_seconds=_PROBE_SECONDS)
        if seen.error is not None or seen.leaf_fingerprint is None:
            return None
        return PortView(seen.leaf_fingerprint, frozenset(seen.ca_names))

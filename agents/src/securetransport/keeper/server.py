"""The server beside the keeper: its process, its own check of new files, and how it looks outside.

Nothing is asked of the server over the bus: a signal reloads it, its program checks files, and the
probe is a TLS handshake without a certificate.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, Protocol

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import Fingerprint
from securetransport.core.decisions.server_files import FilesInForce, PortView, ServerView
from securetransport.keeper.generations import BROKER, TLS_PATHS, Generation
from securetransport.keeper.settings import ServerSection, host_and_port

CHECK_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.03
_PROBE_SECONDS: Final = 2.0
_CHECK_CONF: Final = "check.conf"
_COMMAND: Final = "nats-server"


class FilesRefusedError(SecureTransportError):
    """The server's own check refused the files."""


class Seen(Protocol):
    """What a probe tells; ``securetransport.adapters.tls.ProbeResult`` is one."""

    @property
    def ca_names(self) -> tuple[str, ...]:
        """Common names the port lists."""
        ...

    @property
    def leaf_fingerprint(self) -> Fingerprint | None:
        """SHA-256 of the served leaf."""
        ...

    @property
    def error(self) -> str | None:
        """Why nothing was learned."""
        ...


PortKind = Literal["client", "route"]
Probe = Callable[[str, int, PortKind, float], Awaitable[Seen]]
"""Host, port, ``client`` or ``route``, time-out in seconds."""


class LocalServer:
    """One NATS server of this machine (or of this pod)."""

    def __init__(self, settings: ServerSection, probe: Probe) -> None:
        self._settings = settings
        self._probe = probe

    def process(self) -> int | None:
        """Return the process id, ``None`` when the server does not run.

        A stale pid file may name somebody else's process by now, whom a signal would kill; so the
        program of that process is looked at, where the system shows it.
        """
        try:
            pid = int(self._settings.pid_file.read_text().strip())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid if _is_nats_server(pid, self._settings.binary) else None

    def signal_reload(self) -> bool:
        """Tell the server to read its files again; returns whether there was one to tell."""
        pid = self.process()
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGHUP)
        except ProcessLookupError:
            return False
        return True

    async def look(self) -> ServerView:
        """Probe the ports of a running server."""
        if self.process() is None:
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
        """
        path = generation.path / _CHECK_CONF
        # Includes are relative to the including file, so this must lie inside the set.
        path.write_text(
            "host: 127.0.0.1\nport: -1\n"
            f"include {BROKER}\n"
            f"tls {{\n  include {TLS_PATHS}\n  verify_and_map: true\n}}\n"
        )
        try:
            problem = await self._problem_of(path)
        finally:
            path.unlink(missing_ok=True)
        if problem is not None:
            raise FilesRefusedError("new files are refused by the server's check", reason=problem)

    async def problem_of_config(self) -> str | None:
        """Return what the server's program finds wrong with its configuration, if anything."""
        return await self._problem_of(self._settings.config_file)

    async def _problem_of(self, config: Path) -> str | None:
        try:
            process = await asyncio.create_subprocess_exec(
                self._settings.binary,
                "-t",
                "-c",
                str(config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as err:
            raise SecureTransportError(
                "server.binary cannot be run", binary=self._settings.binary, reason=err.strerror
            ) from err
        try:
            output, _ = await asyncio.wait_for(process.communicate(), CHECK_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"the check took longer than {CHECK_SECONDS:.0f} s"
        return None if process.returncode == 0 else output.decode(errors="replace").strip()

    async def _port(self, address: str | None, kind: PortKind) -> PortView | None:
        if address is None:
            return None
        host, port = host_and_port(address)
        seen = await self._probe(host, port, kind, _PROBE_SECONDS)
        if seen.error is not None or seen.leaf_fingerprint is None:
            return None
        return PortView(seen.leaf_fingerprint, frozenset(seen.ca_names))


def _is_nats_server(pid: int, binary: str) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return not Path("/proc/self").exists()
    name = os.fsdecode(arguments[0]).rsplit("/", 1)[-1]
    return name in {_COMMAND, binary.rsplit("/", 1)[-1]}

"""``/livez``, ``/servez``, ``/readyz`` and ``/metrics`` of one process on one small listener.

``/readyz`` says whether all is as it should be, for people; ``/servez`` whether the process can do
its work now, for whoever sends it work or starts the next one. A reason that is a :class:`Remark`
is of the first kind only: something is missing that will be needed, or help is not there, and work
goes on meanwhile. Every other reason is an answer to both.

Answers are computed at most once per ``CACHE_SECONDS``, so a probe that comes too often costs
nothing. ``/readyz`` answers 503 with one line per reason while there is any. The listener is for
the machine's own probes: it has no TLS, so the configuration binds it to loopback by default.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from securetransport.core.base.errors import ConfigError

CACHE_SECONDS: Final = 0.25


class Remark(str):
    """A reason not to be ready that keeps nobody from being served."""

    __slots__ = ()


class HealthServer:
    """Serves what ``live`` and ``ready`` say.

    Attributes:
        registry: What ``/metrics`` shows; may be replaced while running.
        live: Whether the process works at all; ``False`` asks to be killed.
        ready: Reasons why it is not ready; empty when it is.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        live: Callable[[], bool],
        ready: Callable[[], list[str]],
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._runner: web.AppRunner | None = None
        self._cache: dict[str, tuple[float, int, bytes]] = {}
        self.registry = registry
        self.live = live
        self.ready = ready

    @property
    def port(self) -> int:
        """The port in use; differs from the wanted one when that was 0 (any free one)."""
        if self._runner is None or not self._runner.addresses:
            return self._wanted_port
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: The port is taken or the address is not of this machine.
        """
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/servez", self._servez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._wanted_port).start()
        except OSError as error:
            await runner.cleanup()
            where = f"{self._host}:{self._wanted_port}"
            reason = error.strerror or str(error)
            raise ConfigError(
                [f"health.port: cannot listen on {where}: {reason}; choose a free port"]
            ) from error
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening; may be called twice."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def _cached(self, name: str, make: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        now = time.monotonic()
        known = self._cache.get(name)
        if known is not None and now - known[0] < CACHE_SECONDS:
            return known[1], known[2]
        status, body = make()
        self._cache[name] = (now, status, body)
        return status, body

    async def _livez(self, _request: web.Request) -> web.Response:
        def make() -> tuple[int, bytes]:
            return (200, b"ok\n") if self.live() else (503, b"not alive\n")

        status, body = self._cached("live", make)
        return web.Response(status=status, body=body, content_type="text/plain")

    async def _readyz(self, _request: web.Request) -> web.Response:
        status, body = self._cached("ready", lambda: _said(self.ready()))
        return web.Response(status=status, body=body, content_type="text/plain")

    async def _servez(self, _request: web.Request) -> web.Response:
        def make() -> tuple[int, bytes]:
            return _said([reason for reason in self.ready() if not isinstance(reason, Remark)])

        status, body = self._cached("serve", make)
        return web.Response(status=status, body=body, content_type="text/plain")

    async def _metrics(self, _request: web.Request) -> web.Response:
        _status, body = self._cached("metrics", lambda: (200, generate_latest(self.registry)))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _said(reasons: list[str]) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    return (503, ("\n".join(reasons) + "\n").encode()) if reasons else (200, b"ok\n")

"""The one way an agent starts and stops.

A complete ``__main__``::

    from securetransport.runtime.main import App, run_agent

    async def build(settings: WatcherSettings, registry: CollectorRegistry) -> App:
        watcher = Watcher(settings, registry)
        return App(
            tasks={"rounds": watcher.rounds},      # eternal; see runtime.supervisor.every
            ready=watcher.not_ready_reasons,       # [] when ready
            drain=watcher.drain,                   # optional: finish work in flight
            close=watcher.close,                   # optional: close connections
        )

    def main() -> None:
        run_agent("watcher", WatcherSettings, build)

What it does: reads the configuration and looks into the files it names (wrong: one line per problem
on stderr, exit 78; ``--check-config``: prints it, exit 0, and finds what a start finds), sets up
logs, runs uvloop, serves health while everything else still starts, calls ``build`` until it raises
no ``TransientError`` (each time with a fresh registry, so that processes may be started in any
order), supervises the tasks, and on SIGTERM or SIGINT drains within the grace period. Exit codes:
0 stopped, 1 a task failed, 78 configuration.
A bug, an exception outside our tree, ends the process with its stack trace and code 1.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

import uvloop
from prometheus_client import CollectorRegistry

from securetransport.core.base.errors import ConfigError, SecureTransportError
from securetransport.runtime import logs, supervisor
from securetransport.runtime.health import HealthServer
from securetransport.runtime.metrics import SecretIdMetrics, new_registry
from securetransport.runtime.secret_id import SecretIdStatus
from securetransport.runtime.settings import ProcessSettings, parse_arguments

S = TypeVar("S", bound=ProcessSettings)

EXIT_FATAL: Final = 1
# Beyond the grace period a stop is cut off: nothing that hangs may keep the process.
_CUT_OFF_AFTER_GRACE_SECONDS: Final = 3.0


def _always() -> bool:
    return True


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class App:
    """What an agent's ``build`` returns.

    Attributes:
        tasks: Name to a function that makes an eternal coroutine.
        ready: Reasons why it is not ready; empty when it is.
        live: ``False`` asks to be killed and started again.
        drain: Finishes work in flight, while the tasks still run.
        close: Closes what ``build`` opened, after the tasks ended.
    """

    tasks: Mapping[str, supervisor.EternalTask]
    ready: Callable[[], list[str]]
    live: Callable[[], bool] = _always
    drain: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing


Build = Callable[[S, CollectorRegistry], Awaitable[App]]


def run_agent(name: str, settings_cls: type[S], build: Build[S]) -> NoReturn:
    """Run an agent until it is told to stop, then exit the process.

    Args:
        name: The agent's name, as in the process list of docs/architecture.md.
        settings_cls: What it is configured with.
        build: Makes the agent's objects. It may raise ``TransientError``: it is then called again.
    """
    argv = sys.argv[1:]
    try:
        settings = settings_cls.load(argv)
        settings.check()
        if parse_arguments(name, argv).is_check:
            sys.stdout.write(settings.to_text() + "\n")
            sys.exit(0)
        logs.configure(settings.logs.level, settings.logs.format)
        uvloop.run(_Process(name, settings, build).run())
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"securetransport-{name}: {problem}\n")
        sys.exit(ConfigError.EXIT_CODE)
    except SecureTransportError as error:
        logs.get_logger().error("agent_failed", kind=type(error).__name__, error=str(error))
        sys.exit(EXIT_FATAL)
    sys.exit(0)


class _Process:
    """One run of one agent."""

    def __init__(self, name: str, settings: ProcessSettings, build: Build[S]) -> None:
        self._name = name
        self._settings = settings
        self._build = build
        self._stop = asyncio.Event()
        self._app: App | None = None
        path = settings.secret_id_status_file
        self._secret_id = None if path is None else SecretIdStatus(path)
        registry = new_registry(name)
        self._health = HealthServer(
            settings.health.host, settings.health.port, registry, self._is_live, self._reasons
        )

    async def run(self) -> None:
        """Start, supervise, drain, close."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._request_stop)
        await self._health.start()
        log = logs.get_logger(agent=self._name, instance=self._settings.label)
        log.info("agent_starting", port=self._health.port)
        try:
            app = await supervisor.unless_stopped(
                self._stop, supervisor.until_available("build", self._build_once)
            )
            if app is not None:
                self._app = app
                log.info("agent_started", count=len(app.tasks))
                await self._supervise(app)
        finally:
            await self._health.stop()
        log.info("agent_stopped")

    async def _build_once(self) -> App:
        registry = new_registry(self._name)
        if self._secret_id is not None:
            SecretIdMetrics(registry).follow(self._secret_id)
        app = await self._build(self._settings, registry)  # type: ignore[arg-type]  # S is run_agent's
        self._health.registry = registry
        return app

    async def _supervise(self, app: App) -> None:
        try:
            await supervisor.run(
                app.tasks,
                stop=self._stop,
                grace_seconds=self._settings.stop_grace_seconds,
                drain=app.drain,
            )
        finally:
            await app.close()

    def _request_stop(self) -> None:
        if not self._stop.is_set():
            seconds = self._settings.stop_grace_seconds + _CUT_OFF_AFTER_GRACE_SECONDS
            # A thread of its own, because what hangs may be the event loop.
            watchdog = threading.Timer(seconds, self._cut_off)
            watchdog.daemon = True
            watchdog.start()
        self._stop.set()

    def _cut_off(self) -> None:
        logs.get_logger(agent=self._name).error("stop_cut_off", reason="grace period is over")
        sys.stdout.flush()
        os._exit(EXIT_FATAL)

    def _is_live(self) -> bool:
        return self._app is None or self._app.live()

    def _reasons(self) -> list[str]:
        if self._stop.is_set():
            return ["stopping"]
        if self._app is None:
            return ["starting"]
        own = [] if self._secret_id is None else self._secret_id.not_ready_reasons()
        return [*self._app.ready(), *own]

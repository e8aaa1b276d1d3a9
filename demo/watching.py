"""Looking at the platform once a second, and showing it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from evaluation.timeline import unix
from securetransport.cli import view
from securetransport.cli.session import ask, connection, visit
from securetransport.cli.settings import CliSettings
from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError

_LOOK_SECONDS = 1.0
_LOOKS_PER_CONNECTION = 6  # an administrator's connection does not attest, so it is short
_LINE_SECONDS = 15.0


class Watcher:
    """Collects statuses; draws them on a terminal, prints a line now and then elsewhere."""

    def __init__(self, settings: CliSettings, console: Console, record: Path) -> None:
        self._settings = settings
        self._console = console
        self._record = record
        self._last_line = 0.0
        self.statuses: list[dict[str, Any]] = []
        self.note = ""

    async def watch(self, until: Callable[[], bool]) -> None:
        """Look until told otherwise; a platform that does not answer is part of the show."""
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not until():
                try:
                    await self._visit(live, until)
                except SecureTransportError as err:
                    self.note = str(err)
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _visit(self, live: Live, until: Callable[[], bool]) -> None:
        async with (
            visit(self._settings) as held,
            connection(self._settings, held) as bus,
        ):
            for _ in range(_LOOKS_PER_CONNECTION):
                self._take(await ask(bus, names.SUBJECT_STATUS), live)
                await asyncio.sleep(_LOOK_SECONDS)
                if until():
                    return

    def _take(self, status: dict[str, Any], live: Live) -> None:
        if self.statuses and unix(self.statuses[-1]["at"]) == unix(status["at"]):
            return
        self.note = ""
        self.statuses.append(status)
        with self._record.open("a", encoding="utf-8") as out:
            out.write(json.dumps(status) + "\n")
        if self._console.is_terminal:
            live.update(view.render(status), refresh=True)
        elif time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            self._console.print(self._line(status), soft_wrap=True)

    def _line(self, status: dict[str, Any]) -> str:
        ca, following = status["ca"], status["ca"]["next"]
        waits = f", waits for {'; '.join(following['waits_for'])}" if following["waits_for"] else ""
        return (
            f"{status['at'][11:19]} CA epoch {ca['active']}, "
            f"{ca['rotations_completed']} rotations, key epoch {status['keys']['epoch']}, "
            f"connections {status['census']['by_epoch']}, next {following['step']}{waits}. "
            f"{self.note}"
        )

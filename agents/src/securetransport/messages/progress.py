"""Telling the server that a handler is at work, so that its message is not delivered again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import Message

PROGRESS_SECONDS: Final = 2.0
"""Well within the shortest ack wait of a durable (``core.acl.compile.streams.ACK_WAIT``)."""


@dataclass(slots=True, eq=False)
class _Running:
    """A message whose handler runs.

    Attributes:
        message: It.
        reported_at: When the server was last told so, by the loop's clock.
    """

    message: Message
    reported_at: float


class Progress:
    """Reports for the messages of one consumer; :meth:`run` must run beside their handlers."""

    def __init__(self) -> None:
        self._running: set[_Running] = set()

    @contextmanager
    def of(self, message: Message) -> Iterator[None]:
        """Report for ``message`` meanwhile."""
        running = _Running(message, asyncio.get_running_loop().time())
        self._running.add(running)
        try:
            yield
        finally:
            self._running.discard(running)

    async def run(self) -> None:
        """Ask for more time for what is still being handled, for ever."""
        time = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(PROGRESS_SECONDS / 2)
            for running in tuple(self._running):
                if time() - running.reported_at < PROGRESS_SECONDS:
                    continue
                running.reported_at = time()
                try:
                    await running.message.in_progress()
                except BusUnavailableError:
                    continue  # it may be delivered again; its effect happens once

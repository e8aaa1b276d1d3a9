"""A subscription of an in-memory connection: its messages are handled one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from securetransport.core.ports.bus import Message, MessageHandler
from securetransport.testing.bus.accounts import Interest
from securetransport.testing.bus.frames import Frame

_MAX_UNHANDLED: Final = 65_536


class FakeSubscription:
    """Interest in a subject; survives reconnects.

    Args:
        subject: What it wants.
        queue: Its queue group.
        handler: Called for each message, one after the other.
        read: Makes a message of what arrived.
        failed: Told what a handler raised.
        end: Called when it is unsubscribed.

    Attributes:
        subject: What it wants.
        queue: Its queue group.
        interest: What the server has of it; ``None`` while there is no connection.
        dropped: Messages that came while too many were not handled.
    """

    def __init__(  # noqa: PLR0913  # made by FakeConnection only
        self,
        subject: str,
        queue: str,
        handler: MessageHandler,
        *,
        read: Callable[[Frame], Message],
        failed: Callable[[Exception], None],
        end: Callable[[FakeSubscription], None],
    ) -> None:
        self.subject = subject
        self.queue = queue
        self.interest: Interest | None = None
        self.dropped = 0
        self._handler = handler
        self._read = read
        self._failed = failed
        self._end = end
        self._frames: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._is_over = False
        self._worker = asyncio.get_running_loop().create_task(self._work())

    def put(self, frame: Frame) -> None:
        """Take a message from the server."""
        if len(self._frames) >= _MAX_UNHANDLED:
            self.dropped += 1
            self._failed(RuntimeError("nats: slow consumer, messages dropped"))
            return
        self._frames.append(frame)
        self._arrived.set()

    async def unsubscribe(self) -> None:
        """End the interest; messages not handled yet are dropped."""
        self._end(self)
        self.stop()

    def stop(self) -> None:
        """Handle nothing more; a handler that ends its own subscription is not cancelled."""
        self._is_over = True
        self._frames.clear()
        if asyncio.current_task() is not self._worker:
            self._worker.cancel()

    async def _work(self) -> None:
        while not self._is_over:
            if not self._frames:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            message = self._read(self._frames.popleft())
            try:
                await self._handler(message)
            except Exception as error:  # noqa: BLE001  # as nats-py: told, and the next one comes
                self._failed(error)

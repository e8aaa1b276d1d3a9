"""The answers that a connection waits for, and the refusals that belong to none of them.

Rules:

1. A request whose connection is lost fails at once instead of waiting for its deadline, so the
   caller retries on the next server within milliseconds (with the same message id, so the server
   drops the copy if the first one was stored).
2. A permission violation, which the server reports apart from the request it refused, fails the
   request that it belongs to with ``PermissionDeniedError``. One that nobody waits for is kept for
   whoever asks (a pull, whose requests have no answer of their own).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from securetransport.core.base.errors import BusUnavailableError, PermissionDeniedError
from securetransport.core.ports.bus import Message

_MAX_REFUSED: Final = 64


class PendingAnswers:
    """Reply subjects of one connection, and the futures of their first answers.

    Args:
        inbox_prefix: The only inbox this user may subscribe to, without the trailing dot.

    Attributes:
        inbox: Root of this connection's own inboxes.
    """

    def __init__(self, inbox_prefix: str) -> None:
        self.inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
        self._waiting: dict[str, tuple[asyncio.Future[Message], str]] = {}
        self._refused: dict[str, str] = {}
        self._counter = 0

    def __len__(self) -> int:
        """Return how many requests and stream publishes have no answer yet."""
        return len(self._waiting)

    @property
    def subject(self) -> str:
        """What the connection subscribes to for :meth:`settle`."""
        return f"{self.inbox}.r.*"

    def new_inbox(self, kind: str) -> str:
        """Return an inbox of this connection that was not used before."""
        self._counter += 1
        return f"{self.inbox}.{kind}{self._counter}"

    @contextmanager
    def expect(self, subject: str) -> Iterator[tuple[str, asyncio.Future[Message]]]:
        """Give a reply subject and the future of its first answer, forgotten on exit.

        Args:
            subject: Where the request goes; a refusal names it.
        """
        self._counter += 1
        token = str(self._counter)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[token] = (future, subject.lower())
        try:
            yield f"{self.inbox}.r.{token}", future
        finally:
            self._waiting.pop(token, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen; it was raised where it was awaited, or nobody waits

    async def settle(self, answer: Message) -> None:
        """Hand an answer to whoever waits for it; a late or second one is dropped."""
        entry = self._waiting.get(answer.subject.rsplit(".", 1)[-1])
        if entry is not None and not entry[0].done():
            entry[0].set_result(answer)

    def fail(self, why: str) -> None:
        """Let every request fail: the connection is lost or closed (rule 1)."""
        for future, subject in tuple(self._waiting.values()):
            if not future.done():
                future.set_exception(BusUnavailableError(why, subject=subject))

    def refuse(self, subject: str, why: str) -> None:
        """Let requests to ``subject`` fail: the server refused a publish there (rule 2).

        Args:
            subject: As the server names it; case is ignored, since nats-py changes it.
            why: Words for the error.
        """
        key = subject.lower()
        for future, asked in tuple(self._waiting.values()):
            if asked == key and not future.done():
                future.set_exception(PermissionDeniedError(why, subject=subject))
        if len(self._refused) < _MAX_REFUSED:
            self._refused[key] = why

    def take_refusal(self, subject: str) -> str | None:
        """Return, once, that the server refused a publish to ``subject``."""
        return self._refused.pop(subject.lower(), None)

    def forget_refusals(self) -> None:
        """Start anew: another server may decide otherwise."""
        self._refused.clear()

    async def wait_idle(self) -> None:
        """Wait until each of the answers expected now has come or failed."""
        futures = [future for future, _ in self._waiting.values()]
        if futures:
            await asyncio.wait(futures)

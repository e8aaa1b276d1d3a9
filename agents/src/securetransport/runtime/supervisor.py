"""Eternal tasks: one TaskGroup per process, loops that survive errors, waiting that can be woken.

Rules:

1. An eternal task that returns is an error; so is one that raises. Both are logged at once and end
   the process, which its process manager starts again.
2. A loop made by :func:`every` logs, counts and goes on for ``SecureTransportError``; anything else
   is a bug and ends the process by rule 1. ``CancelledError`` always passes, and counts also when
   a round kept it to itself.
3. After a ``TransientError`` a loop comes back sooner than its interval, with backoff and jitter.
4. On stop: readiness goes first, then ``drain`` runs while the tasks still work, then the tasks are
   cancelled. Draining takes at most the grace period.

A typical agent::

    wakeup = Wakeup()
    tasks = {
        "trust": lambda: every("trust", timedelta(seconds=5), refresh, wakeup=wakeup),
        "census": lambda: every("census", timedelta(seconds=1), round_of_census),
    }
    await run(tasks, stop=stop, grace_seconds=10)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Final, Never, TypeVar

from securetransport.core.base.errors import (
    PermissionDeniedError,
    SecureTransportError,
    TransientError,
)
from securetransport.runtime.logs import get_logger

T = TypeVar("T")
Uniform = Callable[[float, float], float]
"""Returns a number between two; ``Randomness.uniform`` is one."""
EternalTask = Callable[[], Coroutine[Any, Any, Any]]

FIRST_RETRY_SECONDS: Final = 0.2
LAST_RETRY_SECONDS: Final = 5.0
DEFAULT_JITTER: Final = 0.1


class Wakeup:
    """Ends a loop's wait early; a loop that is at work then skips its next wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """End the wait. Call it from the event loop's thread."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait; returns whether it was woken.

        Args:
            seconds: Longest wait; 0 or less only looks.
        """
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Backoff:
    """Growing waits between attempts: doubled each time, spread by jitter, capped."""

    def __init__(
        self,
        first_seconds: float = FIRST_RETRY_SECONDS,
        last_seconds: float = LAST_RETRY_SECONDS,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._first = first_seconds
        self._last = last_seconds
        self._next = first_seconds
        self._uniform = uniform

    def reset(self) -> None:
        """Begin again with the first wait."""
        self._next = self._first

    def next_seconds(self) -> float:
        """Return how long to wait now: between half and all of the current step."""
        step = self._next
        self._next = min(step * 2, self._last)
        return jittered(step * 0.75, 1 / 3, self._uniform)


def jittered(
    seconds: float, share: float = DEFAULT_JITTER, uniform: Uniform = random.uniform
) -> float:
    """Return ``seconds`` spread evenly by ``± share``, so that instances do not move in step."""
    return seconds * (1 + uniform(-share, share))


async def every(  # noqa: PLR0913  # keyword-only knobs of the one loop helper
    name: str,
    interval: timedelta | Callable[[], timedelta],
    action: Callable[[], Awaitable[object]],
    *,
    wakeup: Wakeup | None = None,
    on_error: Callable[[SecureTransportError], None] | None = None,
    on_done: Callable[[], None] | None = None,
    jitter: float = DEFAULT_JITTER,
) -> Never:
    """Carry out ``action`` at once and then again after each interval, for ever (rules 2 and 3).

    Args:
        name: The loop's name in logs, snake_case.
        interval: From the end of one round to the start of the next; a callable is asked each time.
        action: One round; it must be safe to be cancelled.
        wakeup: Ends a wait early.
        on_error: Told each error that the loop survived, for counters.
        on_done: Told each round that worked.
        jitter: Share by which waits are spread; 0 for none.
    """
    log = get_logger(loop=name)
    signal = wakeup or Wakeup()
    backoff = Backoff()
    while True:
        try:
            await action()
        except SecureTransportError as error:
            is_transient = isinstance(error, TransientError)
            log.warning("round_failed", kind=type(error).__name__, error=str(error))
            if on_error is not None:
                on_error(error)
        else:
            is_transient = False
            backoff.reset()
            if on_done is not None:
                on_done()
        _end_if_cancelled()
        pause = interval() if callable(interval) else interval
        seconds = jittered(pause.total_seconds(), jitter)
        if is_transient:
            seconds = min(seconds, backoff.next_seconds())
        await signal.wait(seconds)


def _end_if_cancelled() -> None:
    """End the task that was told to end while something in its round kept that to itself.

    ``asyncio.wait_for`` of Python 3.11, which libraries use, returns a result that came in the
    same moment and drops the cancellation; the loop would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def until_available(
    what: str, action: Callable[[], Awaitable[T]], *, wakeup: Wakeup | None = None
) -> T:
    """Return the result of ``action``, repeating it while it raises ``TransientError``.

    For the first steps of a process: everything may be started in any order, so OpenBao or NATS may
    be there later than the agent. So may its rights: the token in the file may be the one of the
    last boot, so ``PermissionDeniedError`` is waited out as well. Other errors pass. ``action``
    must be idempotent.
    """
    log = get_logger()
    backoff = Backoff()
    signal = wakeup or Wakeup()
    while True:
        try:
            return await action()
        except (TransientError, PermissionDeniedError) as error:
            seconds = backoff.next_seconds()
            log.info("waiting_for", reason=what, error=str(error), seconds=round(seconds, 2))
        await signal.wait(seconds)


async def _guarded(name: str, task: EternalTask, stop: asyncio.Event) -> None:
    log = get_logger(task=name)
    try:
        await task()
    except Exception as error:
        log.exception("task_failed", kind=type(error).__name__, error=str(error))
        raise
    if not stop.is_set():
        log.error("task_ended", reason="an eternal task returned")
        raise SecureTransportError("an eternal task returned", task=name)


async def _drain(drain: Callable[[], Awaitable[None]], grace_seconds: float) -> None:
    log = get_logger()
    try:
        async with asyncio.timeout(grace_seconds):
            await drain()
    except TimeoutError:
        log.warning("drain_timed_out", seconds=grace_seconds)
    except SecureTransportError as error:
        log.warning("drain_failed", kind=type(error).__name__, error=str(error))


async def run(
    tasks: Mapping[str, EternalTask],
    *,
    stop: asyncio.Event,
    grace_seconds: float,
    drain: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Run eternal tasks until ``stop`` is set or one of them ends (rules 1 and 4).

    Args:
        tasks: Name to a function that makes the coroutine.
        stop: Set by SIGTERM or SIGINT.
        grace_seconds: How long ``drain`` may take.
        drain: Finishes work in flight; runs while the tasks still do.

    Raises:
        SecureTransportError: A task returned, or the first error of a task that raised one.
        Exception: The first error of a task that raised another one.
    """
    try:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(_guarded(name, task, stop), name=name)
                for name, task in tasks.items()
            ]
            await stop.wait()
            get_logger().info("stopping", count=len(running), seconds=grace_seconds)
            if drain is not None:
                await _drain(drain, grace_seconds)
            for task in running:
                task.cancel()
    except BaseExceptionGroup as group_error:
        # The guards have logged each of them; the caller needs one to name as the cause.
        raise group_error.exceptions[0] from group_error


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of ``work``, or ``None`` (with ``work`` cancelled) once ``stop`` is set."""
    results: list[T] = []

    async def watch() -> None:
        results.append(await work)
        raise _DoneError

    async def stopper() -> None:
        await stop.wait()
        raise _DoneError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            group.create_task(stopper())
    except BaseExceptionGroup as group_error:
        others = group_error.split(_DoneError)[1]
        if others is not None:
            raise others.exceptions[0] from None
    return results[0] if results else None


class _DoneError(Exception):
    """Ends the group of :func:`unless_stopped`; never leaves it."""

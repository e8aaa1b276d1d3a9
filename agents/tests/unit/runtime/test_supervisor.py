"""Eternal tasks and loops; the numbers are the rules of ``runtime/supervisor.py``."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from securetransport.core.base.errors import (
    ConfigError,
    ConflictError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from securetransport.runtime.supervisor import (
    Backoff,
    Wakeup,
    every,
    run,
    unless_stopped,
    until_available,
)

LONG = timedelta(hours=1)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_eternal_task_that_returns_is_an_error() -> None:
    """Rule 1."""

    async def returns() -> None:
        return

    with pytest.raises(SecureTransportError, match="an eternal task returned") as caught:
        await run({"a": for_ever, "b": returns}, stop=asyncio.Event(), grace_seconds=1)
    assert caught.value.fields == {"task": "b"}


async def test_eternal_task_that_raises_ends_all_of_them() -> None:
    """Rule 1."""
    ended: list[str] = []

    async def watched() -> None:
        try:
            await for_ever()
        finally:
            ended.append("watched")

    async def breaks() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run({"a": watched, "b": breaks}, stop=asyncio.Event(), grace_seconds=1)
    assert ended == ["watched"]


async def test_loop_survives_our_errors_and_tells_them() -> None:
    """Rule 2."""
    rounds: list[int] = []
    told: list[str] = []

    async def action() -> None:
        rounds.append(1)
        if len(rounds) < 3:
            raise ConflictError("lost")

    wakeup = Wakeup()
    loop = every(
        "demo",
        timedelta(milliseconds=1),
        action,
        wakeup=wakeup,
        on_error=lambda error: told.append(error.message),
        on_done=lambda: told.append("done"),
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop, 0.1)
    assert told[:3] == ["lost", "lost", "done"]


async def test_bug_ends_the_loop() -> None:
    """Rule 2."""

    async def action() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await every("demo", LONG, action)


async def test_cancellation_that_a_round_keeps_to_itself_still_ends_the_loop() -> None:
    """Rule 2; as libraries do by accident."""
    rounds = 0

    async def keeps_it() -> None:
        nonlocal rounds
        rounds += 1
        try:
            await for_ever()
        except asyncio.CancelledError:
            return

    task = asyncio.ensure_future(every("deaf", LONG, keeps_it))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert rounds == 1


async def test_transient_error_is_retried_before_the_interval() -> None:
    """Rule 3."""
    at: list[float] = []

    async def action() -> None:
        at.append(time.monotonic())
        if len(at) < 3:
            raise SecretStoreUnavailableError("away")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(every("demo", LONG, action), 0.9)
    assert len(at) == 3
    assert 0.05 < at[1] - at[0] < 0.3
    assert at[2] - at[1] > 0.15, "the second wait is longer"


async def test_other_errors_wait_for_the_interval() -> None:
    """Rule 3."""
    rounds: list[int] = []

    async def action() -> None:
        rounds.append(1)
        raise ConflictError("lost")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(every("demo", LONG, action), 0.5)
    assert len(rounds) == 1


async def test_wakeup_ends_the_wait_and_is_remembered_during_work() -> None:
    wakeup = Wakeup()
    rounds: list[int] = []

    async def action() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            wakeup.wake()  # while at work

    task = asyncio.ensure_future(every("demo", LONG, action, wakeup=wakeup))
    await asyncio.sleep(0.02)
    assert len(rounds) == 2
    wakeup.wake()
    await asyncio.sleep(0.02)
    assert len(rounds) == 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stop_drains_while_tasks_run_and_then_cancels() -> None:
    """Rule 4."""
    order: list[str] = []
    stop = asyncio.Event()

    async def worker() -> None:
        try:
            await for_ever()
        finally:
            order.append("cancelled")

    async def drain() -> None:
        await asyncio.sleep(0.01)
        order.append("drained")

    asyncio.get_running_loop().call_later(0.02, stop.set)
    await run({"worker": worker}, stop=stop, grace_seconds=1, drain=drain)
    assert order == ["drained", "cancelled"]


async def test_drain_is_cut_at_the_grace_period() -> None:
    """Rule 4."""
    stop = asyncio.Event()
    stop.set()
    started = time.monotonic()
    await run({"worker": for_ever}, stop=stop, grace_seconds=0.05, drain=for_ever)
    assert time.monotonic() - started < 0.5


async def test_until_available_waits_for_the_outside_and_for_rights() -> None:
    errors: list[SecureTransportError] = [
        SecretStoreUnavailableError("away"),
        PermissionDeniedError("token of the last boot"),
    ]

    async def action() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert await until_available("demo", action) == "there"


async def test_until_available_lets_other_errors_pass() -> None:
    async def action() -> None:
        raise ConfigError(["wrong"])

    with pytest.raises(ConfigError):
        await until_available("demo", action)


def test_backoff_grows_to_its_cap_and_begins_again() -> None:
    backoff = Backoff(1.0, 4.0)
    waits = [backoff.next_seconds() for _ in range(5)]
    for wait, step in zip(waits, (1, 2, 4, 4, 4), strict=True):
        assert step / 2 <= wait <= step
    backoff.reset()
    assert backoff.next_seconds() <= 1


async def test_work_is_left_when_stop_comes_first() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    started = time.monotonic()
    await unless_stopped(stop, for_ever())
    assert time.monotonic() - started < 1


async def test_work_that_ends_first_gives_its_result_or_error() -> None:
    async def work() -> int:
        return 7

    async def fails() -> int:
        raise ConfigError(["wrong"])

    assert await unless_stopped(asyncio.Event(), work()) == 7
    with pytest.raises(ConfigError):
        await unless_stopped(asyncio.Event(), fails())

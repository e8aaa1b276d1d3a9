"""Simulated time: a test in which nothing can happen any more fails and says who waits."""

from __future__ import annotations

import asyncio

import pytest

from securetransport.testing import virtual_time
from securetransport.testing.virtual_time import StuckError, VirtualTimeLoop


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> VirtualTimeLoop:
    monkeypatch.setattr(virtual_time, "_LONGEST_WAIT_SECONDS", 0.05)
    return VirtualTimeLoop()


def test_a_wait_for_nothing_ends_and_names_the_task(loop: VirtualTimeLoop) -> None:
    async def wait_for_nothing() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(wait_for_nothing(), name="consumer")
    with pytest.raises(StuckError, match="consumer"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_an_hour_of_timers_takes_no_time(loop: VirtualTimeLoop) -> None:
    began = loop.time()
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() - began >= 3600
    loop.close()

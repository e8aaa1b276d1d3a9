"""Secret-ids change hands on a real OpenBao, with real bao agents; lives are seconds.

The numbers that are printed are the record of the run: ``nox -s credentials``.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from credentials_stage import Calls, Stage

from processes import wait_until

pytestmark = pytest.mark.timeout(240)

HANDOVERS = 200
INSTANCES = 6


def _stage(path: Path, replicas: int, *, interval: float, life: float, token: float) -> Stage:
    stage = Stage(
        path,
        replicas,
        interval=timedelta(seconds=interval),
        secret_id_life=timedelta(seconds=life),
        token_life=timedelta(seconds=token),
    )
    stage.start()
    return stage


@pytest.fixture
def soak(tmp_path: Path) -> Iterator[Stage]:
    made = _stage(tmp_path, INSTANCES, interval=1.5, life=20, token=8)
    yield made
    made.stop()


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Stage]:
    """A day is two thirds of a second: thirty of them are twenty seconds."""
    made = _stage(tmp_path, 1, interval=4, life=20, token=5)
    yield made
    made.stop()


async def test_two_hundred_handovers_and_no_failed_call(soak: Stage) -> None:
    """The process that renews is killed again and again meanwhile."""
    soak.wait_for_tokens()
    began, calls, logins = time.monotonic(), Calls(), 0
    kills, count = 0, 0

    def is_over() -> bool:
        return count >= HANDOVERS or time.monotonic() - began > 200

    async def watch() -> None:
        nonlocal logins, kills, count
        seen = 0
        next_kill = time.monotonic() + 7
        while not is_over():
            for instance in soak.instances:
                assert await asyncio.to_thread(soak.can_log_in, instance), instance
                logins += 1
            with contextlib.suppress(FileNotFoundError, ValueError):
                now = soak.handovers()
                count += max(now - seen, 0)
                seen = now
            if time.monotonic() > next_kill:
                soak.kill_credentials()
                kills += 1
                for instance in soak.instances:
                    soak.token_file(instance).with_name("secret-id.json").unlink(missing_ok=True)
                seen = 0
                soak.start_credentials()
                next_kill = time.monotonic() + 7
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        group.create_task(soak.authority(is_over))
        group.create_task(watch())
        for instance in soak.instances:
            group.create_task(calls.make(soak.store(instance), is_over, 0.05))
    took = time.monotonic() - began
    _say(
        f"\nhandovers {count} of {INSTANCES} instances in {took:.0f} s, renewal killed {kills}"
        f" times; calls {calls.done}, failed {len(calls.failed)}; logins with the delivered"
        f" secret-id {logins}, failed 0"
    )
    assert calls.failed == []
    assert count >= HANDOVERS
    accessors = [
        len(soak.bao.call("LIST", f"auth/approle/role/gatekeeper--{n}/secret-id")["data"]["keys"])
        for n in range(INSTANCES)
    ]
    assert max(accessors) <= 8, accessors


async def test_day_31_with_the_authority(month: Stage) -> None:
    month.wait_for_tokens()
    instance, calls, began = month.instances[0], Calls(), time.monotonic()

    def is_over() -> bool:
        return time.monotonic() - began > 45

    async with asyncio.TaskGroup() as group:
        group.create_task(month.authority(is_over))
        group.create_task(calls.make(month.store(instance), is_over, 0.2))
    _say(
        f"\nwith the authority: {45 / 20:.1f} lives of a secret-id, {month.handovers()} handovers,"
        f" calls {calls.done}, failed {len(calls.failed)}"
    )
    assert calls.failed == []
    assert month.status(instance)["state"] == "ok"
    assert month.can_log_in(instance)


async def test_day_31_without_the_authority_is_told_and_one_delivery_repairs_it(
    month: Stage,
) -> None:
    month.wait_for_tokens()
    instance, calls = month.instances[0], Calls()
    store = month.store(instance)
    await calls.make(store, _after(15), 0.2)
    assert calls.failed == []
    assert month.status(instance)["expires_at"] is not None
    wait_until("the end is told", lambda: month.status(instance)["state"] == "over", 15)
    reasons = _not_ready(month.health_port)
    assert "secret-id of gatekeeper/0 is over; run site.yml" in reasons
    await calls.make(store, lambda: bool(calls.failed), 0.2)
    month.deliver(instance)
    delivered = time.monotonic()
    later = Calls()
    await later.make(store, lambda: later.done > 0, 0.1)
    took = time.monotonic() - delivered
    _say(
        f"\nwithout the authority: told when it ended; {took:.1f} s from delivery to the next call"
    )
    assert took < 15
    wait_until("it is well again", lambda: month.status(instance)["state"] == "ok", 10)


async def test_a_token_file_that_vanished_is_back_and_no_call_fails(month: Stage) -> None:
    month.wait_for_tokens()
    instance = month.instances[0]
    store, calls = month.store(instance), Calls()
    folder = month.token_file(instance).parent
    longest = 0.0
    await calls.make(store, lambda: calls.done > 0, 0.05)
    for _ in range(4):
        shutil.rmtree(folder)
        gone = time.monotonic()
        await calls.make(store, month.token_file(instance).exists, 0.02)
        longest = max(longest, time.monotonic() - gone)
        await calls.make(store, _after(2), 0.05)
    _say(
        f"\ntoken folder removed 4 times: back after at most {longest:.1f} s, failed calls"
        f" {len(calls.failed)} of {calls.done}"
    )
    assert longest < 10
    assert calls.failed == []


@pytest.mark.parametrize("is_lockout", [True, False], ids=["locked-out", "as-configured"])
def test_one_stale_process_and_its_role(month: Stage, *, is_lockout: bool) -> None:
    """OpenBao's default locks the role after five failures; so it is switched off by the role."""
    tune = {"user_lockout_config": {"lockout_disable": not is_lockout}}
    month.bao.call("POST", "sys/auth/approle/tune", tune)
    instance = month.instances[0]
    role_id = (month.home(instance) / "role-id").read_text()
    body = {"role_id": role_id, "secret_id": "00000000-0000-0000-0000-000000000000"}
    for _ in range(8):
        with contextlib.suppress(AssertionError):
            month.bao.call("POST", "auth/approle/login", body, token=None)
    assert month.can_log_in(instance) is not is_lockout


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _not_ready(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()

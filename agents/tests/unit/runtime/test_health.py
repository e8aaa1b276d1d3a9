"""The health listener, asked over a real socket."""

from __future__ import annotations

import aiohttp
import pytest

from securetransport.core.base.errors import ConfigError
from securetransport.runtime.health import CACHE_SECONDS, HealthServer, Remark
from securetransport.runtime.metrics import LoopMetrics, new_registry
from securetransport.runtime.supervisor import Wakeup


async def get(server: HealthServer, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_ready_lists_reasons_until_there_are_none() -> None:
    reasons = ["no leaf", "not admitted"]
    server = HealthServer("127.0.0.1", 0, new_registry("demo"), lambda: True, lambda: reasons)
    await server.start()
    try:
        assert await get(server, "/readyz") == (503, "no leaf\nnot admitted\n")
        reasons.clear()
        await Wakeup().wait(CACHE_SECONDS)
        assert await get(server, "/readyz") == (200, "ok\n")
    finally:
        await server.stop()


async def test_a_remark_is_no_reason_not_to_be_served() -> None:
    """E12: a pod that does its work is not taken away because something will be missing later."""
    reasons: list[str] = [Remark("no key of this epoch for topic a.b")]
    server = HealthServer("127.0.0.1", 0, new_registry("demo"), lambda: True, lambda: reasons)
    await server.start()
    try:
        assert await get(server, "/readyz") == (503, "no key of this epoch for topic a.b\n")
        assert await get(server, "/servez") == (200, "ok\n")
        reasons.append("cannot pull a.b: the durable is not there")
        await Wakeup().wait(CACHE_SECONDS)
        assert await get(server, "/servez") == (503, "cannot pull a.b: the durable is not there\n")
    finally:
        await server.stop()


async def test_live_and_metrics_are_served() -> None:
    registry = new_registry("demo")
    LoopMetrics(registry).done("census")
    server = HealthServer("127.0.0.1", 0, registry, lambda: False, list)
    await server.start()
    try:
        assert (await get(server, "/livez"))[0] == 503
        status, text = await get(server, "/metrics")
        assert status == 200
        assert 'securetransport_loop_rounds_total{loop="census",result="done"} 1.0' in text
        assert 'securetransport_build_info{agent="demo"' in text
        assert (await get(server, "/other"))[0] == 404
    finally:
        await server.stop()


async def test_answers_are_cached() -> None:
    asked: list[int] = []

    def ready() -> list[str]:
        asked.append(1)
        return []

    server = HealthServer("127.0.0.1", 0, new_registry("demo"), lambda: True, ready)
    await server.start()
    try:
        for _ in range(5):
            await get(server, "/readyz")
    finally:
        await server.stop()
    assert len(asked) == 1


async def test_taken_port_is_one_clear_line() -> None:
    first = HealthServer("127.0.0.1", 0, new_registry("demo"), lambda: True, list)
    await first.start()
    second = HealthServer("127.0.0.1", first.port, new_registry("demo"), lambda: True, list)
    try:
        with pytest.raises(ConfigError) as caught:
            await second.start()
    finally:
        await first.stop()
        await second.stop()
    (line,) = caught.value.problems
    assert line.startswith(f"health.port: cannot listen on 127.0.0.1:{first._wanted_port or ''}")
    assert "choose a free port" in line

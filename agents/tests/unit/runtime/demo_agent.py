"""A smallest agent, started as a process by ``test_main.py``; its behaviour comes from ``DEMO``."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter

from securetransport.core.base.errors import SecretStoreUnavailableError
from securetransport.runtime.main import App, run_agent
from securetransport.runtime.settings import AgentSettings
from securetransport.runtime.supervisor import every

MODE = os.environ.get("DEMO", "")
ATTEMPTS: list[int] = []


class DemoSettings(AgentSettings):
    AGENT: ClassVar[str] = "demo"


async def build(settings: DemoSettings, registry: CollectorRegistry) -> App:
    Counter("demo_rounds_total", "Rounds", registry=registry)
    ATTEMPTS.append(1)
    if MODE == "never-available" or (MODE == "late" and len(ATTEMPTS) < 3):
        raise SecretStoreUnavailableError("no openbao node answers")
    marks = Path(settings.paths.state_dir)

    async def action() -> None:
        if MODE == "bug":
            raise KeyError("bug")

    async def drain() -> None:
        (marks / "drained").touch()
        if MODE == "hangs":
            import time  # noqa: PLC0415  # blocks the loop, as a bug would

            time.sleep(60)  # noqa: ASYNC251  # the point of this mode

    async def close() -> None:
        await asyncio.sleep(0)
        (marks / "closed").touch()

    return App(
        tasks={"rounds": lambda: every("rounds", timedelta(seconds=1), action)},
        ready=list,
        drain=drain,
        close=close,
    )


if __name__ == "__main__":
    run_agent("demo", DemoSettings, build)

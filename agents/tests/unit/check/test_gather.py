"""The gatherer sees what is there, and says nothing of what it could not see."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "core" / "decisions" / "check"))

from healthy import AGENTS, CLUSTERS, NOW, NUMBERS, contents, processes

from securetransport.check.gather import Eyes, Target, gather
from securetransport.core.decisions.check import BusSeen, Finding, StoreSeen, decide
from securetransport.core.ports import ProbeResult
from securetransport.core.ports.machine import HttpAnswer, Supervised
from securetransport.testing import FakeClock, FakeFiles
from securetransport.testing.machine import FakeMachine

STATE = Path("/state")
GATEKEEPER = "services/gatekeeper-1"


class Ports:
    """Every port of a server answers."""

    async def probe(self, host: str, port: int, **_options: object) -> ProbeResult:
        del host, port
        return ProbeResult(("nats-int e1 0000000000000001",))


class Program:
    """A server's program that takes every configuration."""

    def is_running(self) -> bool:
        return True

    def signal_reload(self) -> bool:
        return True

    async def problem_of(self, config: Path) -> str | None:
        del config
        return None


@pytest.fixture
def machine() -> FakeMachine:
    """The healthy platform."""
    files = FakeFiles()
    for path, content in contents().items():
        files.make_dir((STATE / path).parent)
        files.write(STATE / path, content)
    made = FakeMachine(files)
    for process in AGENTS:
        files.make_dir(Path(f"/run/{process}"))
        files.make_dir(Path(f"/run/{process}").parent, mode=0o700)
        files.write(Path(f"/run/{process}/token"), b"s.token")
    pids = {name: pid for pid, name in enumerate(processes(), 100)}
    for cluster in CLUSTERS:
        made.supervisors[STATE / cluster] = [
            Supervised(name.split("/")[1], "RUNNING", pid, 0, 60.0)
            for name, pid in pids.items()
            if name.startswith(f"{cluster}/")
        ]
    for _, _, port in AGENTS.values():
        for path in ("livez", "readyz"):
            made.answers[f"http://127.0.0.1:{port}/{path}"] = HttpAnswer(200, b"ok\n", NOW)
    for number in NUMBERS:
        told = {"initialized": True, "sealed": False, "standby": number > 1, "version": "2.7.2"}
        url = f"https://127.0.0.1:{24199 + number}/v1/sys/health"
        url += "?standbyok=true&sealedcode=200&uninitcode=200"
        made.answers[url] = HttpAnswer(200, json.dumps(told).encode(), NOW)
    return made


async def found(machine: FakeMachine, asked: list[Sequence[str]] | None = None) -> list[Finding]:
    async def visit(addresses: Sequence[str]) -> tuple[StoreSeen, BusSeen | None]:
        if asked is not None:
            asked.append(addresses)
        return StoreSeen(), None

    server: Callable[[Path], Program] = lambda _pid_file: Program()  # noqa: E731  # one line
    eyes = Eyes(machine.files, machine, Ports(), server, FakeClock(NOW))
    return decide(
        await gather(eyes, Target(STATE, "authority/admin/cli.toml", (), lambda _: [], visit))
    )


async def test_a_healthy_platform_is_seen_as_one(machine: FakeMachine) -> None:
    assert await found(machine) == []


async def test_the_acting_node_is_asked_first(machine: FakeMachine) -> None:
    asked: list[Sequence[str]] = []
    await found(machine, asked)
    assert [addresses[0] for addresses in asked] == ["https://127.0.0.1:24200"]
    assert len(asked[0]) == 3


async def test_nobody_is_asked_while_no_node_acts(machine: FakeMachine) -> None:
    asked: list[Sequence[str]] = []
    for url in [url for url in machine.answers if url.startswith("https://")]:
        del machine.answers[url]
    findings = await found(machine, asked)
    assert asked == []
    assert [finding.check for finding in findings] == ["node-away"]


async def test_the_last_words_of_a_process_are_read(machine: FakeMachine) -> None:
    machine.files.make_dir(STATE / "services" / "log")
    machine.files.write(STATE / "services/log/gatekeeper-1.log", b"one\n\nlogs.level: is wrong\n")
    machine.supervisors[STATE / "services"] = [
        Supervised("gatekeeper-1", "EXITED", 0, 78, 0.0),
        Supervised("gatekeeper-1-bao", "RUNNING", 1, 0, 9.0),
    ]
    (finding,) = await found(machine)
    assert finding.check == "process-config"
    assert finding.what.endswith("logs.level: is wrong")


async def test_reasons_not_to_be_ready_are_told(machine: FakeMachine) -> None:
    port = AGENTS[GATEKEEPER][2]
    url = f"http://127.0.0.1:{port}/readyz"
    machine.answers[url] = HttpAnswer(503, b"no leaf certificate\n", NOW)
    (finding,) = await found(machine)
    assert (finding.check, finding.subject) == ("not-ready", GATEKEEPER)
    assert "no leaf certificate" in finding.what


async def test_a_frozen_process_is_not_asked(machine: FakeMachine) -> None:
    place = processes().index(GATEKEEPER) + 100
    machine.frozen.add(place)
    assert [finding.check for finding in await found(machine)] == ["process-frozen"]


async def test_a_supervisor_that_does_not_answer_is_one_finding(machine: FakeMachine) -> None:
    del machine.supervisors[STATE / "services"]
    assert [finding.check for finding in await found(machine)] == ["supervisor"]


async def test_nothing_there_at_all_is_told(machine: FakeMachine) -> None:
    machine.files.remove(STATE)
    machine.supervisors.clear()
    (finding,) = await found(machine)
    assert finding.check == "config-missing"
    assert "no platform is here" in finding.what

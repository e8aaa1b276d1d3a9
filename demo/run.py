"""The story of the demo: build, load, rotate, hurt, wait, judge.

1. Ansible builds the three clusters, or adopts them when they are there.
2. The gatekeeper sends requests; everything is signed, encrypted, written to ledgers.
3. CA and keys rotate by their epochs; on the way one agent and one server are killed.
4. When enough rotations were seen the load stops, what is on its way arrives, the ledgers are
   compared, and the verdict is written. The platform keeps running.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from demo import evidence, platform, timeline
from demo.report import RunData, render
from demo.verdict import LEAST_WINDOWS, Verdict, Wanted
from demo.watching import Watcher
from demo.windows import Span, Window, cut, gap_figures
from securetransport.cli.settings import load_settings
from securetransport.core.base.epochs import UNIX_START
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.messages import checker

OUT = platform.ROOT / "build" / "demo"
PROFILE = "compressed"
DEFAULT_PORT_BASE = 24200
_SERVICE_OFFSETS = (26, 27)  # docs/architecture.md, "Local platform on disk"
_DRAIN_SECONDS = 40.0
_FAULT_SHADOW_SECONDS = 15.0
_CALM_AFTER_ACTIVATION_SECONDS = 20.0
_BETWEEN_FAULTS_SECONDS = 25.0

RATE_PER_SECOND = 200.0
STANDARD = Wanted(6, 10, per_second=RATE_PER_SECOND, compares_gaps=True)
# With a server or the authority away now and then, answers come later, but they must come.
FAULTS = Wanted(3, 6, per_second=0.0, compares_gaps=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something killed on purpose: ``what`` at Unix time ``at``."""

    at: float
    what: str


@dataclass
class Story:
    """One run of the demo."""

    console: Console
    limit_seconds: float
    wanted: Wanted = STANDARD
    kills: tuple[str, ...] = ()
    port_base: int = DEFAULT_PORT_BASE
    seconds: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    planned: list[tuple[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        """Plan what is killed: by default two processes, each some time after a rotation."""
        self.planned = [(0, name) for name in self.kills] or [(2, "metadata-1"), (4, "nats-2")]

    def build(self) -> None:
        """Set the platform up (1)."""
        if OUT.exists():
            shutil.rmtree(OUT)
        OUT.mkdir(parents=True)
        self.console.print("building three clusters with ansible-playbook playbooks/site.yml")
        self.seconds["deployment"] = platform.play(
            "site", OUT / "site.log", ["-e", f"local_platform_port_base={self.port_base}"]
        )
        self.console.print(f"platform is up after {self.seconds['deployment']:.0f} s")

    async def load(self) -> tuple[Watcher, Span, list[platform.Process]]:
        """Send, watch, kill, until enough was seen (2 and 3)."""
        settings = load_settings(platform.CLI_CONFIG)
        watcher = Watcher(settings, self.console, OUT / "status.jsonl")
        before = platform.processes()
        evidence.order_load(RATE_PER_SECOND, stop=False)
        began = time.time()
        run_began = began + 2.0  # the gatekeeper reads its order once a second

        def is_over() -> bool:
            self._hurt(watcher, run_began)
            return self._is_enough(watcher, run_began) or time.time() > began + self.limit_seconds

        await watcher.watch(is_over)
        run = Span(run_began, time.time())
        evidence.order_load(RATE_PER_SECOND, stop=True)
        self.seconds["load"] = run.end - run.start
        return watcher, run, before

    async def arrive(self) -> None:
        """Wait until everything on its way has arrived; what never does is a loss."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < deadline:
            requests, responses = evidence.judge()
            if not len(requests.lost) and not len(responses.lost):
                return
            await asyncio.sleep(1)

    def judge(
        self, watcher: Watcher, run: Span, before: list[platform.Process]
    ) -> tuple[Verdict, RunData]:
        """Compare ledgers, measure gaps, name every broken rule (4)."""
        requests, responses = evidence.judge()
        sender, _reader = evidence.ledgers()
        moves = timeline.steps(watcher.statuses, run)
        renewals = timeline.renewals(watcher.statuses, run)
        windows = self._windows(watcher, run)
        acks = [at for at, _ in checker.publish_points(sender, evidence.REQUESTS)]
        publishes = checker.attempt_instants(sender, evidence.REQUESTS)
        answers = [(at, wait * 1000) for at, wait in checker.answer_points(sender)]
        refused = evidence.refusals(self.port_base + offset for offset in _SERVICE_OFFSETS)
        after = platform.processes()
        answered = sum(1 for at, _ in answers if run.start <= at < run.end)
        profile = PROFILES[PROFILE]
        verdict = Verdict(
            profile=PROFILE,
            ca_rotations_completed=_rotations(watcher, run),
            key_rotations_completed=_key_rotations(profile, run),
            messages=evidence.total((requests, responses)),
            answered_per_second=answered / (run.end - run.start),
            wanted=self.wanted,
            signature_failures=refused.signature + refused.other,
            decrypt_failures=refused.decryption,
            faults_injected=[{"at": fault.at, "what": fault.what} for fault in self.faults],
            ack_gap_ms=gap_figures(acks, windows),
            publish_gap_ms=gap_figures(publishes, windows),
            process_restarts_outside_faults=self._restarts(before, after),
            excuses=_excuses(watcher, run),
            seconds=self.seconds,
            resident_megabytes=evidence.memory(after),
        ).judged()
        data = RunData(
            run=run,
            publishes=publishes,
            acks=acks,
            answers=answers,
            statuses=watcher.statuses,
            moves=moves,
            renewals=renewals,
            faults=[(fault.at, fault.what) for fault in self.faults],
            windows=windows,
            key_epochs=[(at, _key_epoch(profile, at)) for at in publishes],
        )
        return verdict, data

    def _hurt(self, watcher: Watcher, began: float) -> None:
        """Kill what is due: some time after a rotation, so that steady windows stay steady."""
        if not self.planned or not watcher.statuses:
            return
        rotations, what = self.planned[0]
        status = watcher.statuses[-1]
        active = next((e for e in status["ca"]["epochs"] if e["state"] == "active"), None)
        if active is None or _rotations(watcher, Span(began, time.time())) < rotations:
            return
        if self.kills:
            last = self.faults[-1].at if self.faults else began
            is_early = time.time() - last < _BETWEEN_FAULTS_SECONDS
        else:
            since = time.time() - timeline.unix(active["history"][-1]["at"])
            is_early = since < _CALM_AFTER_ACTIVATION_SECONDS
        if is_early:
            return
        self.planned.pop(0)
        platform.kill(what)
        self.faults.append(Fault(time.time(), what))
        self.console.print(f"killed {what} with SIGKILL")

    def _is_enough(self, watcher: Watcher, began: float) -> bool:
        run = Span(began, time.time())
        if self.planned or _rotations(watcher, run) < self.wanted.ca_rotations:
            return False
        if _key_rotations(PROFILES[PROFILE], run) < self.wanted.key_rotations:
            return False
        if not self.wanted.compares_gaps:
            return time.time() - self.faults[-1].at > _BETWEEN_FAULTS_SECONDS
        counts = [window.kind for window in self._windows(watcher, run)]
        return min(counts.count("rotation"), counts.count("steady")) >= LEAST_WINDOWS

    def _windows(self, watcher: Watcher, run: Span) -> list[Window]:
        moves = timeline.steps(watcher.statuses, run)
        spans = timeline.active_spans(moves, timeline.renewals(watcher.statuses, run))
        shadows = [Span(fault.at, fault.at + _FAULT_SHADOW_SECONDS) for fault in self.faults]
        return cut(run, spans, shadows)

    def _restarts(self, before: list[platform.Process], after: list[platform.Process]) -> int:
        killed = {fault.what for fault in self.faults}
        pids = {process.name: process.pid for process in before}
        return sum(
            1
            for process in after
            if process.name not in killed and process.pid != pids.get(process.name)
        )


def tell(console: Console, verdict: Verdict, data: RunData) -> None:
    """Write verdict and report, and say where they are."""
    (OUT / "verdict.json").write_text(json.dumps(verdict.to_json(), indent=2), encoding="utf-8")
    (OUT / "report.html").write_text(render(data, verdict), encoding="utf-8")
    plain: dict[str, Any] = verdict.to_json()
    plain.pop("resident_megabytes")
    console.print_json(json.dumps(plain))
    console.print(
        f"report: {_shown(OUT / 'report.html')}   verdict: {_shown(OUT / 'verdict.json')}"
    )
    console.print("the platform keeps running: `make status` looks, `make down` stops it")


def _shown(path: Path) -> Path:
    return path.relative_to(platform.ROOT)


def _rotations(watcher: Watcher, run: Span) -> int:
    """Return the activations inside the run."""
    moves = timeline.steps(watcher.statuses, run)
    return sum(1 for step in moves if step.state == "active")


def _excuses(watcher: Watcher, run: Span) -> int:
    """Return how many gates were passed without their evidence inside the run."""
    listed = watcher.statuses[-1]["ca"]["excuses"] if watcher.statuses else []
    return sum(1 for excuse in listed if timeline.unix(excuse["at"]) >= run.start)


def _key_rotations(profile: Profile, run: Span) -> int:
    return _key_epoch(profile, run.end) - _key_epoch(profile, run.start)


def _key_epoch(profile: Profile, at: float) -> int:
    return profile.key_schedule.number_at(UNIX_START + timedelta(seconds=at))

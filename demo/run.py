"""One run of the demo: build, load, rotate, hurt, wait, judge.

1. Ansible builds the three clusters, or adopts them when they are there.
2. The gatekeeper sends requests; everything is signed, encrypted, written to ledgers.
3. CA and keys rotate by their epochs; the first rotation is told as soon as it is proven. On the
   way one agent and one server are killed.
4. When enough rotations were seen the load stops, what is on its way is delivered, the ledgers are
   compared, and the verdict is written. The platform keeps running.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from demo import picture, rotation
from demo.watching import Watcher
from evaluation import checker, evidence, platform, timeline
from evaluation.errors import EvaluationError
from evaluation.footprint import Footprint
from evaluation.load import LoadControl
from evaluation.report import RunData, render
from evaluation.verdict import LEAST_WINDOWS, Refusals, Verdict, Wanted
from evaluation.windows import Span, Window, cut, gap_figures
from securetransport.cli.settings import load_settings
from securetransport.core.base.errors import SecureTransportError

OUT = platform.ROOT / "build" / "demo"
PROFILE = "compressed"
DEFAULT_PORT_BASE = 24200
_SERVICE_OFFSETS = (26, 27)  # docs/architecture.md, "Local platform on disk"
_DELIVERY_SECONDS = 40.0
# Receipt to effect; a message on its way for longer counts as lost until it arrives.
_ON_ITS_WAY_SECONDS = 3.0
_PATIENCE_SECONDS = 15.0
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
class DemoRun:
    """One run of the demo.

    Attributes:
        console: Where progress is told.
        limit_seconds: Longest time under load.
        wanted: What the run must show.
        kills: Processes to kill one after the other, instead of the standard two.
        port_base: First of the hundred ports that the platform uses.
        only_first: End when the first rotation is proven.
        pictures: Further files for the picture of the first rotation.
        seconds: How long each part took.
    """

    console: Console
    limit_seconds: float
    wanted: Wanted = STANDARD
    kills: tuple[str, ...] = ()
    port_base: int = DEFAULT_PORT_BASE
    only_first: bool = False
    pictures: tuple[Path, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    planned: list[tuple[int, str]] = field(init=False)
    first: rotation.Rotation | None = None
    is_proven: bool = False

    def __post_init__(self) -> None:
        """Plan what is killed: by default two processes, each some time after a rotation."""
        self.planned = [(0, name) for name in self.kills] or [(2, "metadata-1"), (4, "nats-2")]
        if self.only_first:
            self.planned = []
        self._is_fresh = not platform.STATE.exists()
        self._loaded_since: float | None = None
        self._refused = Refusals(0, 0, 0, 0)
        self._refused_then = self._refused
        self._load = LoadControl(platform.SERVICES / "gatekeeper-1" / "state" / "load.json")

    # --- the parts, in order -----------------------------------------------------------------

    def build(self) -> None:
        """Set the platform up (1)."""
        if OUT.exists():
            shutil.rmtree(OUT)
        OUT.mkdir(parents=True)
        if self.only_first and platform.is_running():
            # Its gatekeeper sends all the time, so a rotation since the command was under load.
            self._loaded_since = time.time() - seconds_since_start()
            self._load.order(RATE_PER_SECOND)
            self.console.print("the three clusters are up; `make up` compares them with the roles")
            self.seconds["deployment"] = 0.0
            return
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
        self._load.order(RATE_PER_SECOND)
        began = time.time()
        self._refused_then = self._refusals()
        run_began = began + 2.0  # the gatekeeper reads its order once a second

        first_after = run_began if self._loaded_since is None else self._loaded_since

        def is_over() -> bool:
            self._tell_first(watcher, first_after)
            if self.only_first and self.first is not None:
                return True
            self._hurt(watcher, run_began)
            return self._is_enough(watcher, run_began) or time.time() > began + self.limit_seconds

        await watcher.watch(is_over)
        run = Span(run_began, time.time())
        if not self.only_first:
            self._load.order(0)
        self.seconds["load"] = run.end - run.start
        return watcher, run, before

    def wait_until_delivered(self) -> None:
        """Wait until everything on its way has arrived; what never does is a loss."""
        deadline = time.monotonic() + _DELIVERY_SECONDS
        while time.monotonic() < deadline and self._ledgers().judge().lost:
            time.sleep(1)

    def judge(
        self, watcher: Watcher, run: Span, before: list[platform.Process]
    ) -> tuple[Verdict, RunData]:
        """Compare ledgers, measure gaps, name every broken rule (4)."""
        ledgers = self._ledgers()
        sender = ledgers.gatekeepers[0]
        used = ledgers.received_keys(run.start, run.end)
        windows = self._windows(watcher, run)
        acks = [at for at, _ in checker.publish_points(sender, evidence.REQUESTS)]
        publishes = checker.attempt_instants(sender, evidence.REQUESTS)
        answers = [(at, wait * 1000) for at, wait in checker.answer_points(sender)]
        self._keep_refusals()
        after = platform.processes()
        answered = sum(1 for at, _ in answers if run.start <= at < run.end)
        resident = evidence.memory(after)
        self.seconds["all"] = seconds_since_start()
        verdict = Verdict(
            profile=PROFILE,
            ca_rotations_completed=timeline.activations(watcher.statuses, run),
            keys=timeline.key_rotations(used),
            messages=ledgers.judge(),
            answered_per_second=answered / (run.end - run.start),
            wanted=self.wanted,
            refused=self._refused,
            faults_injected=[{"at": fault.at, "what": fault.what} for fault in self.faults],
            ack_gap_ms=gap_figures(acks, windows),
            publish_gap_ms=gap_figures(publishes, windows),
            process_restarts_outside_faults=self._restarts(before, after),
            excuses=timeline.excuses(watcher.statuses, run),
            seconds=self.seconds,
            resident_megabytes=resident,
            footprint=Footprint(
                memory_megabytes=resident["platform"],
                disk_megabytes=evidence.disk_megabytes(platform.STATE),
                seconds=self.seconds["all"],
                is_fresh=self._is_fresh,
                is_judged=self.wanted is STANDARD,
            ),
        ).judged()
        data = RunData(
            run=run,
            publishes=publishes,
            acks=acks,
            answers=answers,
            statuses=watcher.statuses,
            moves=timeline.steps(watcher.statuses, run),
            renewals=timeline.renewals(watcher.statuses, run),
            faults=[(fault.at, fault.what) for fault in self.faults],
            windows=windows,
            key_epochs=[(use.at, use.key_epoch) for use in used],
        )
        return verdict, data

    def release(self) -> None:
        """Let the gatekeeper go on at the rate that it is configured with."""
        self._load.release()

    # --- on the way --------------------------------------------------------------------------

    def _ledgers(self) -> evidence.Ledgers:
        return evidence.Ledgers.of(platform.SERVICES)

    def _refusals(self) -> Refusals:
        return evidence.refusals(self.port_base + offset for offset in _SERVICE_OFFSETS)

    def _keep_refusals(self) -> None:
        """Add what was refused since the last look: a killed process forgets its counters."""
        now = self._refusals()
        self._refused = self._refused.plus(evidence.rise(self._refused_then, now))
        self._refused_then = now

    def _tell_first(self, watcher: Watcher, began: float) -> None:
        """Tell the first rotation once, with the ledgers' comparison until now."""
        if self.first is not None:
            return
        found = rotation.first(watcher.statuses, began)
        if found is None:
            return
        now = time.time()
        messages = self._ledgers().judge(acked_before=now - _ON_ITS_WAY_SECONDS)
        self.is_proven = rotation.is_proven(found, messages)
        if not self.is_proven and now < found.steps["active"] + _PATIENCE_SECONDS:
            return  # what a busy machine is late with comes with the next look
        self.first = found
        self.seconds["first_rotation"] = seconds_since_start()
        told = rotation.lines(self.first, messages, self.seconds["first_rotation"])
        for line in told:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        picture.write(picture.draw(self.first, told), OUT / "rotation.svg", *self.pictures)

    def _hurt(self, watcher: Watcher, began: float) -> None:
        """Kill what is due: some time after a rotation, so that steady windows stay steady."""
        if not self.planned or not watcher.statuses:
            return
        rotations, what = self.planned[0]
        status = watcher.statuses[-1]
        active = next((e for e in status["ca"]["epochs"] if e["state"] == "active"), None)
        seen = timeline.activations(watcher.statuses, Span(began, time.time()))
        if active is None or seen < rotations:
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
        self._keep_refusals()
        platform.kill(what)
        self._forget_counters(what)
        self.faults.append(Fault(time.time(), what))
        self.console.print(f"killed {what} with SIGKILL")

    def _forget_counters(self, what: str) -> None:
        """Wait until a killed service shows its counters again; they begin anew."""
        if not what.startswith(("gatekeeper", "auth-controller")):
            return
        deadline = time.monotonic() + _BETWEEN_FAULTS_SECONDS
        while True:
            try:
                self._refused_then = self._refusals()
            except EvaluationError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def _is_enough(self, watcher: Watcher, began: float) -> bool:
        run = Span(began, time.time())
        seen = timeline.activations(watcher.statuses, run)
        if self.planned or seen < self.wanted.ca_rotations:
            return False
        used = self._ledgers().received_keys(run.start, run.end)
        if timeline.key_rotations(used).completed < self.wanted.key_rotations:
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
        return platform.restarts(before, after, killed)


def seconds_since_start() -> float:
    """Return how long this process has been running, its imports included."""
    started_ticks = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    uptime = float(Path("/proc/uptime").read_text("utf-8").split()[0])
    return uptime - int(started_ticks) / os.sysconf("SC_CLK_TCK")


def perform(run: DemoRun) -> int:
    """Carry a run out and return the exit code: 0 good, 1 bad, 2 for a run without verdict."""
    try:
        run.build()
        watcher, span, before = asyncio.run(run.load())
        if run.only_first:
            return _end_with_first(run)
        run.wait_until_delivered()
        verdict, data = run.judge(watcher, span, before)
    except (EvaluationError, SecureTransportError) as err:
        run.console.print(f"demo: {err}", markup=False)
        return 2
    run.release()
    tell(run.console, verdict, data)
    return 0 if verdict.ok else 1


def _end_with_first(run: DemoRun) -> int:
    run.release()
    if run.first is None:
        waited = f"{run.limit_seconds:.0f} s"
        run.console.print(f"demo: no rotation within {waited}; `make status` looks")
        return 2
    run.console.print(
        f"picture: {_shown(OUT / 'rotation.svg')}\n"
        "the platform keeps running: `make status` looks, `make demo` goes on to a verdict,"
        " `make down` stops it"
    )
    return 0 if run.is_proven else 1


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

"""A lane driven from outside: two worker processes, their orders, what a window of time cost."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.bench.cluster import Cluster, LaneNames
from evaluation.bench.figures import Sample
from evaluation.errors import EvaluationError

ROOT = Path(__file__).resolve().parents[2]
FULL_SPEED = -1.0
_WARM_SECONDS = 1.5
_DRAIN_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout with its environment made."""

    root: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / ".venv" / "bin" / "python"


class Worker:
    """One process of a lane."""

    def __init__(self, checkout: Checkout, lane_file: Path, kind: str) -> None:
        self._log = lane_file.with_suffix(f".{kind}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(checkout.python), "-m", "evaluation.bench.worker", str(lane_file), kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                text=True,
            )
        self.greeting = self._answer()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return the answer."""
        self._write(command)
        return self._answer()

    def end(self) -> None:
        """Let it close."""
        try:
            self._write({"do": "end"})
            self._process.wait(15)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _write(self, command: dict[str, Any]) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            self._process.wait(10)
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise EvaluationError(f"a worker of the bench ended: {tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Lane:
    """A sender and a receiver of one checkout on the cluster."""

    def __init__(self, cluster: Cluster, names: LaneNames, checkout: Checkout) -> None:
        self._cluster = cluster
        folder = cluster.folder
        for service in (names.sender, names.receiver):
            cluster.authority.issue(service)
        lane = {
            "lane": names.lane,
            "folder": str(folder),
            "urls": cluster.urls,
            "anchor": str(cluster.authority.anchor),
            "secret": base64.b64encode(secrets.token_bytes(32)).decode(),
            "stream": names.stream,
            "topic": names.topic,
            "plain": names.plain,
            "plain_durable": names.plain_durable,
            "sender": names.sender,
            "receiver": names.receiver,
        }
        file = folder / f"{names.lane}.json"
        _write_private(file, lane)
        self._sender = Worker(checkout, file, "sender")
        _write_private(file, {**lane, **self._sender.greeting})
        self._receiver = Worker(checkout, file, "receiver")

    def measure(self, mode: str, rate: float, seconds: float) -> Sample:
        """Send for a while and return what a window of it cost; then everything is delivered.

        Raises:
            EvaluationError: A message was refused, or not everything arrived.
        """
        self._sender.ask(do="rate", mode=mode, rate=rate)
        time.sleep(_WARM_SECONDS)
        before = self._look()
        time.sleep(seconds)
        after = self._look()
        self._sender.ask(do="rate", mode=mode, rate=0)
        self._wait_until_delivered(mode)
        return Sample.between(mode, rate, before, after)

    def end(self) -> None:
        """End both processes."""
        self._sender.end()
        self._receiver.end()

    def _look(self) -> dict[str, Any]:
        return {
            "at": time.monotonic(),
            "sender": self._sender.ask(do="look"),
            "receiver": self._receiver.ask(do="look"),
            "servers": sum(_process_seconds(each.pid) for each in self._cluster.processes),
        }

    def _wait_until_delivered(self, mode: str) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        while True:
            sent = self._sender.ask(do="look")["counts"][mode]
            receiver = self._receiver.ask(do="look")
            if receiver["refused"]:
                raise EvaluationError(f"{receiver['refused']:.0f} messages were refused")
            time.sleep(0.2)
            again = self._sender.ask(do="look")["counts"][mode]
            if sent == again and receiver["counts"][mode] >= sent:
                return
            if time.monotonic() > deadline:
                got = receiver["counts"][mode]
                raise EvaluationError(f"{sent - got} of {sent} messages did not arrive")


@contextmanager
def lanes(cluster: Cluster, wanted: Sequence[tuple[LaneNames, Checkout]]) -> Iterator[list[Lane]]:
    """Run lanes for a while."""
    made: list[Lane] = []
    try:
        for names, checkout in wanted:
            made.append(Lane(cluster, names, checkout))
        yield made
    finally:
        for lane in made:
            lane.end()


def _write_private(path: Path, content: dict[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")


def _process_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, in user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS

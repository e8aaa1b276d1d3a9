"""Hurt a platform, ask ``securetransport check``, compare its first line with the truth, heal.

Usage: ``score.py [--seed N] [--count N] [--slice FROM:TO] [--keep] [--only TEXT]``

Builds a platform of its own under ``build/check-score`` or starts the one that is there.
``--slice`` takes some of the list only, so that a run stays short; results of all slices are kept
in ``build/check-score/results.json``, and the score is that of all.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "idempotence"))

from by_hand import BY_HAND  # noqa: E402
from generator import Fault, generated  # noqa: E402
from local_platform import BIN, Platform, free_port_base  # noqa: E402
from scene import CLUSTERS, Scene, wait_until  # noqa: E402

from securetransport.cli.check import look  # noqa: E402

FOLDER = ROOT / "build" / "check-score"
RESULTS = FOLDER / "results.json"
_MAY_TAKE_SECONDS = 10.0
_LIMIT_SECONDS = 60.0
_HEALED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the command said.

    Attributes:
        findings: Lines, the first is the cause.
        seconds: How long it took.
        trouble: What it said instead of findings, empty when it did its work.
    """

    findings: list[str]
    seconds: float
    trouble: str

    @property
    def first(self) -> str:
        """The first line."""
        return self.findings[0] if self.findings else self.trouble or "nothing"


def ask(platform: Platform) -> Answer:
    """Run ``securetransport check``."""
    config = platform.state_dir / "authority" / "admin" / "cli.toml"
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [BIN / "securetransport", "check", "--json", "--config", config],
            cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer([], _LIMIT_SECONDS, "it did not end")
    took = time.monotonic() - begun
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return Answer([], took, " ".join((done.stderr or done.stdout).split())[-300:])
    return Answer([f"{row['subject']}: {row['what']}" for row in told["findings"]], took, "")


def try_one(platform: Platform, scene: Scene, fault: Fault) -> dict[str, Any]:
    """Inject a fault, ask, heal; return the row of the result."""
    trouble = ""
    answer = Answer([], 0.0, "not asked")
    try:
        fault.inject(scene)
        time.sleep(fault.settle_seconds)
        answer = ask(platform)
    except Exception as error:  # a fault that cannot be made is a row, not the end of the run
        trouble = f"not injected: {type(error).__name__}: {error}"
    finally:
        scene.heal()
    config = platform.state_dir / "authority" / "admin" / "cli.toml"
    is_healed = wait_until(lambda: not look(config), _HEALED_SECONDS)
    return {
        "fault": fault.name,
        "first": trouble or answer.first,
        "findings": len(answer.findings),
        "seconds": round(answer.seconds, 1),
        "is_right": not trouble and fault.is_named_by(answer.first),
        "is_in_time": answer.seconds <= _MAY_TAKE_SECONDS,
        "is_healed": is_healed,
    }


def built() -> Platform:
    """Build the platform, or start the one of an earlier slice."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    told = FOLDER / "platform.json"
    if not told.exists():
        told.write_text(json.dumps({"port_base": free_port_base()}), encoding="utf-8")
    base = json.loads(told.read_text(encoding="utf-8"))["port_base"]
    platform = Platform(FOLDER / "state", base)
    done = platform.play("site")
    assert done.exit_code == 0, done.text[-3000:]
    return platform


def run_dir_of(state_dir: Path) -> Path:
    """Return where the tokens lie, as an agent is told."""
    text = (state_dir / "services" / "gatekeeper-1" / "config.toml").read_text(encoding="utf-8")
    token = next(line for line in text.splitlines() if line.startswith("token_file"))
    return Path(json.loads(token.partition("=")[2])).parents[1]


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table and the score."""
    for row in rows:
        mark = "ok " if row["is_right"] and row["is_in_time"] else "NO "
        print(f"{mark}{row['seconds']:5.1f} s  {row['fault']:<55} {row['first'][:150]}")
    right = sum(row["is_right"] for row in rows)
    slow = sum(not row["is_in_time"] for row in rows)
    ill = sum(not row["is_healed"] for row in rows)
    share = 100 * right / len(rows) if rows else 0
    print(f"first line right: {right} of {len(rows)} ({share:.0f} %), over 10 s: {slow}")
    print(f"not clean afterwards: {ill}")


def chosen(scene: Scene, wanted: argparse.Namespace) -> list[Fault]:
    """Return the faults of this slice."""
    faults = generated(scene, wanted.seed, wanted.count)
    mixed = [*BY_HAND, *faults]
    if wanted.only:
        return [fault for fault in mixed if wanted.only in fault.name]
    first, _, last = wanted.slice.partition(":")
    return mixed[int(first or 0) : int(last) if last else None]


def main() -> None:
    """Score a slice."""
    # Whoever ends this run wants its fault healed and its platform stopped, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--slice", default=":")
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true", help="also what has a result already")
    parser.add_argument("--limit-seconds", type=float, default=3600.0)
    parser.add_argument("--keep", action="store_true", help="leave the platform running")
    wanted = parser.parse_args()
    platform = built()
    deadline = time.monotonic() + wanted.limit_seconds
    scene = Scene(platform.state_dir, run_dir_of(platform.state_dir))
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    rows = {row["fault"]: row for row in known}
    try:
        healthy = ask(platform)
        print(f"healthy: {healthy.first} in {healthy.seconds:.1f} s; {len(CLUSTERS)} clusters")
        for fault in chosen(scene, wanted):
            if time.monotonic() > deadline:
                break
            if fault.name in rows and not wanted.again:
                continue
            rows[fault.name] = try_one(platform, scene, fault)
            RESULTS.write_text(json.dumps([*rows.values()], indent=1), encoding="utf-8")
    finally:
        if not wanted.keep:
            platform.play("down")
    show([*rows.values()])


if __name__ == "__main__":
    main()

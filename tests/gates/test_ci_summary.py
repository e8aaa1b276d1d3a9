"""The last line of CI counts what ran, and never turns a failure into a success."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = (
    '<testsuites><testsuite name="pytest" tests="10" failures="{failures}" errors="0"'
    ' skipped="2" time="1.0"/></testsuites>'
)


def summary(
    folder: Path, *, stages: dict[str, str] | None, failures: int = 0, exit_code: int = 0
) -> tuple[int, str]:
    """Run a copy of the script beside reports of our making; returns exit code and last line."""
    (folder / "tools").mkdir()
    script = folder / "tools" / "ci_summary.py"
    script.write_bytes((ROOT / "tools" / "ci_summary.py").read_bytes())
    (folder / "build" / "junit").mkdir(parents=True, exist_ok=True)
    (folder / "build" / "junit" / "unit.xml").write_text(REPORT.format(failures=failures), "utf-8")
    if stages is not None:
        rows = [{"name": name, "result": result} for name, result in stages.items()]
        (folder / "build" / "gates.json").write_text(json.dumps(rows), "utf-8")
    done = subprocess.run(
        [sys.executable, script, "12.5", str(exit_code)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()[-1]


def test_all_green_is_zero(tmp_path: Path) -> None:
    code, line = summary(tmp_path, stages={"lint": "ok", "unit": "ok"})
    assert (code, line) == (0, "==== 8 passed, 2 skipped in 12.50s ====")


def test_a_failed_test_is_counted_once(tmp_path: Path) -> None:
    code, line = summary(tmp_path, stages={"unit": "FAILED"}, failures=1, exit_code=1)
    assert (code, line) == (1, "==== 1 failed, 7 passed, 2 skipped in 12.50s ====")


def test_a_failed_gate_without_a_test_is_an_error(tmp_path: Path) -> None:
    code, line = summary(tmp_path, stages={"lint": "FAILED", "unit": "ok"})
    assert (code, line) == (1, "==== 8 passed, 2 skipped, 1 error in 12.50s ====")


@pytest.mark.parametrize(("stages", "exit_code"), [(None, 0), ({}, 0), ({"unit": "ok"}, 2)])
def test_a_run_that_ended_early_is_an_error(
    tmp_path: Path, stages: dict[str, str] | None, exit_code: int
) -> None:
    code, line = summary(tmp_path, stages=stages, exit_code=exit_code)
    assert code == 1
    assert "1 error" in line


def test_a_gate_that_did_not_run_is_told_and_counted_as_skipped(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "not-run.txt").write_text("lab: no root here\n", encoding="utf-8")
    code, line = summary(tmp_path, stages={"unit": "ok"})
    assert (code, line) == (0, "==== 8 passed, 3 skipped in 12.50s ====")

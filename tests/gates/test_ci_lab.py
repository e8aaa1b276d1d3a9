"""CI's lab step never passes in silence: a lab that did not run is told, counted, or a failure."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """How ``.ci/lab`` ended on a machine of our making."""

    code: int
    output: str
    not_run: str


def ci_lab(folder: Path, *, check: int, nox: int = 0, requires: str = "") -> Result:
    """Run a copy of the script beside an environment whose programs end with given codes."""
    (folder / ".ci").mkdir()
    script = folder / ".ci" / "lab"
    script.write_bytes((ROOT / ".ci" / "lab").read_bytes())
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text, code in (("python", "lab: the reason", check), ("nox", "lab tested", nox)):
        program = programs / name
        program.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n", encoding="utf-8")
        program.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CI_REQUIRES_LAB": requires},
    )
    row = folder / "build" / "not-run.txt"
    told = row.read_text(encoding="utf-8") if row.exists() else ""
    return Result(done.returncode, done.stdout, told)


@pytest.mark.parametrize("nox", [0, 1])
def test_a_fit_machine_runs_the_lab_and_its_result_counts(tmp_path: Path, nox: int) -> None:
    result = ci_lab(tmp_path, check=0, nox=nox)
    assert (result.code, result.not_run) == (nox, "")
    assert "lab tested" in result.output


def test_a_machine_of_another_kind_tells_why_and_leaves_a_row(tmp_path: Path) -> None:
    result = ci_lab(tmp_path, check=3)
    assert (result.code, result.not_run) == (0, "lab: the reason\n")
    assert "NOT RUN here: lab: the reason" in result.output


def test_where_the_lab_is_required_a_machine_of_another_kind_fails(tmp_path: Path) -> None:
    assert ci_lab(tmp_path, check=3, requires="1").code == 1


@pytest.mark.parametrize("check", [1, 2, 127])
def test_a_fit_machine_on_which_it_cannot_run_fails(tmp_path: Path, check: int) -> None:
    result = ci_lab(tmp_path, check=check)
    assert (result.code, result.not_run) == (1, "")
    assert "lab tested" not in result.output

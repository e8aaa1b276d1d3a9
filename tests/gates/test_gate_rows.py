"""The time table's rows outlive a second run: `.ci/run` calls nox twice and counts once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOX = Path(sys.executable).with_name("nox")


def test_a_second_run_adds_its_rows_and_renews_those_it_repeats(tmp_path: Path) -> None:
    shutil.copy2(ROOT / "noxfile.py", tmp_path)
    (tmp_path / "build").mkdir()
    file = tmp_path / "build" / "gates.json"
    earlier = {"name": "yaml", "budget_seconds": 10, "took_seconds": 1.0, "result": "ok"}
    repeated = {**earlier, "name": "unit"}
    file.write_text(json.dumps([earlier, repeated]), encoding="utf-8")
    # The copy has nothing to check, so the gate refuses.
    done = subprocess.run(
        [NOX, "-f", tmp_path / "noxfile.py", "-s", "unit"], capture_output=True, check=False
    )
    assert done.returncode == 1
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert [(row["name"], row["result"]) for row in rows] == [("yaml", "ok"), ("unit", "FAILED")]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("securetransport", "agents"),
        ("securetransport-examples", "examples"),
        ("securetransport-lab", "lab"),
    ],
)
def test_the_environment_has_what_lies_in_this_checkout(name: str, folder: str) -> None:
    told = distribution(name).read_text("direct_url.json")
    assert told is not None
    assert json.loads(told)["url"] == (ROOT / folder).as_uri()

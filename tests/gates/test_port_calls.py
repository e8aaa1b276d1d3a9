"""The search for port calls that no test misses finds one, names it, and knows the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "port_calls.py"
PORT = """
from typing import Protocol

class Store(Protocol):
    async def get(self, path: str) -> int | None: ...
    async def put(self, path: str, value: int) -> None: ...
    def note(self, text: str) -> bool: ...
"""
LOOP = '''
import asyncio

class Loop:
    def __init__(self, store):
        self._store = store

    async def round(self):
        """Read both, write the sum, say so."""
        one, two = await asyncio.gather(self._store.get("one"), self._store.get("two"))
        await self._store.put("sum", one + two)
        await asyncio.to_thread(self._store.note, "done")
'''
TEST = """
from planted.loop import Loop

class Store:
    def __init__(self):
        self.values = {"one": 1, "two": 2}
        self.notes = []

    async def get(self, path):
        return self.values[path]

    async def put(self, path, value):
        self.values[path] = value

    def note(self, text):
        self.notes.append(text)
        return True

async def test_the_sum_is_written():
    store = Store()
    await Loop(store).round()
    assert store.values["sum"] == 3
"""
NOTED = "    assert store.notes == ['done']\n"
CONFIG = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
MAPPING = """
source = "planted"
config = "pytest.ini"
ports = "ports"
receivers = ["self._store"]

[[loop]]
module = "loop.py"
tests = ["tests/test_loop.py"]
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A package with one loop, whose last call no test looks at."""
    package = tmp_path / "planted"
    (package / "ports").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "ports" / "store.py").write_text(PORT, encoding="utf-8")
    (package / "loop.py").write_text(LOOP, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_loop.py").write_text(TEST, encoding="utf-8")
    (tmp_path / "calls.toml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def search(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--mapping", folder / "calls.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_call_that_nobody_misses_is_named(planted: Path) -> None:
    code, said = search(planted)
    assert code == 1, said
    rows = [line.split() for line in said.splitlines() if line.startswith("loop.py:")]
    assert [(row[1], " ".join(row[2:])) for row in rows] == [
        ("self._store.get", "test_the_sum_is_written"),
        ("self._store.get", "test_the_sum_is_written"),
        ("self._store.put", "test_the_sum_is_written"),
        ("self._store.note", "NOBODY NOTICES"),
    ]


def test_it_is_quiet_once_a_test_misses_it(planted: Path) -> None:
    (planted / "tests" / "test_loop.py").write_text(TEST + NOTED, encoding="utf-8")
    code, said = search(planted)
    assert code == 0, said


def test_a_call_is_excused_with_its_reason_only_while_it_is_there(planted: Path) -> None:
    mapping = planted / "calls.toml"
    excuse = '[loop.excused]\n"self._store.note" = "a courtesy"\n'
    mapping.write_text(MAPPING + excuse, encoding="utf-8")
    code, said = search(planted)
    assert code == 0, said
    assert "excused: a courtesy" in said
    mapping.write_text(MAPPING + excuse.replace("note", "gone"), encoding="utf-8")
    code, said = search(planted)
    assert code == 1
    assert "the row does not fit: self._store.gone" in said


def test_tests_that_fail_anyway_prove_nothing(planted: Path) -> None:
    (planted / "tests" / "test_loop.py").write_text(TEST + "    assert False\n", encoding="utf-8")
    code, said = search(planted)
    assert code == 1
    assert "fails as it is" in said


def test_tests_that_use_another_copy_prove_nothing(planted: Path) -> None:
    (planted / "tests" / "planted").symlink_to(planted / "planted")
    code, said = search(planted)
    assert code == 1
    assert "its tests do not use the copy" in said

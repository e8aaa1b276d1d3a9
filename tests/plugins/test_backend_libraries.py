# SPDX-License-Identifier: Apache-2.0
"""A library that is missing, older or broken is one line, before anything changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# -I and -S: nothing is installed but what a test lays into the folder.
_PYTHON = [sys.executable, "-I", "-S", "-B", "-c"]
_ASK = """
import sys
sys.path[:0] = [{folder!r}, {plugins!r}]
from module_utils._errors import LibraryError
from module_utils import _core
from module_utils._libraries import require_library
try:
    {call}
except LibraryError as err:
    print(err.message)
else:
    print("there")
"""


def answer(folder: Path, call: str) -> str:
    code = _ASK.format(folder=str(folder), plugins=str(PLUGINS), call=call)
    done = subprocess.run([*_PYTHON, code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def install(folder: Path, name: str, version: str, *modules: str) -> None:
    """Lay out a package with empty modules, as an installer would."""
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    for module in modules:
        path = folder / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_collection_without_the_wheel_says_what_to_install(tmp_path: Path) -> None:
    text = answer(tmp_path, "_core.require()")
    assert text == (
        "the Python package securetransport is missing; "
        f"install securetransport>=0.1.0 for {sys.executable}"
    )


def test_a_collection_beside_an_older_wheel_says_so(tmp_path: Path) -> None:
    install(tmp_path, "securetransport", "0.0.9", "securetransport/__init__")
    text = answer(tmp_path, "_core.require()")
    assert "the Python package securetransport 0.0.9 is too old; install" in text


def test_a_wheel_without_the_parts_that_are_needed_says_which(tmp_path: Path) -> None:
    install(tmp_path, "securetransport", "0.1.0", "securetransport/__init__")
    text = answer(tmp_path, "_core.require()")
    assert "securetransport 0.1.0 cannot be imported (No module named" in text
    assert "\n" not in text


def test_whoever_translates_errors_of_the_wheel_needs_it(tmp_path: Path) -> None:
    text = answer(tmp_path, "_core.translated('x').__enter__()")
    assert "the Python package securetransport is missing" in text


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [
        ("2.4.0", True),
        ("2.10", True),
        ("3", True),
        ("2.4.0rc1", True),
        ("2.3.9", False),
        ("2", False),
    ],
)
def test_versions_are_compared_by_number(tmp_path: Path, version: str, is_enough: bool) -> None:
    install(tmp_path, "hvac", version)
    text = answer(tmp_path, "require_library('hvac', '2.4.0', None)")
    assert (text == "there") is is_enough, text

"""The bootstrap tells a wrong interpreter in one line, and does nothing when nothing is to do."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "bootstrap.py"


@pytest.fixture
def bootstrap() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (3, 14)])
def test_an_unsupported_python_is_refused_in_one_line(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: tuple[int, int],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        bootstrap.find_python((*version, 0), "python3")
    message = str(stopped.value)
    assert message.startswith("bootstrap: Python 3.11 to 3.13 is needed")
    assert f"is Python 3.{version[1]}" in message
    assert "\n" not in message


def test_an_unsupported_python_hands_over_to_a_supported_one(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"python3.{sys.version_info.minor}"
    (tmp_path / name).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.find_python((3, 10, 0), "python3") == str(tmp_path / name)


def test_the_script_can_be_read_by_an_old_python() -> None:
    compiled = subprocess.run(
        [
            sys.executable,
            "-c",
            "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 6))",
            SCRIPT,
        ],
        check=False,
    )
    assert compiled.returncode == 0


def test_lock_files_pin_hashes_and_name_no_place() -> None:
    for name in ("bootstrap.txt", "dev.txt", "sanity.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index-url" not in text
        assert "--find-links" not in text


def test_the_sanity_lock_has_what_the_locked_ansible_test_asks_for() -> None:
    folder = Path(str(files("ansible_test")))
    wanted = {
        line
        for file in (folder / "_data" / "requirements").glob("sanity.*.txt")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    text = (ROOT / "requirements" / "sanity.in").read_text(encoding="utf-8")
    assert {line for line in text.splitlines() if line and not line.startswith("#")} == wanted

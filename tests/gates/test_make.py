"""Make targets do not care where the checkout lies or what the terminal's environment says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make") or "make"
SHOW = f"""#!{sys.executable}
import json, os, sys
print(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in a path that is not plain, whose programs tell what they were given."""
    folder = tmp_path / "a b ü"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy2(ROOT / "Makefile", folder)
    for name in ("ansible-playbook", "python", "securetransport", "nox"):
        program = folder / ".venv" / "bin" / name
        program.write_text(SHOW, encoding="utf-8")
        program.chmod(0o755)
    return folder


def made(checkout: Path, target: str, **environment: str) -> dict[str, Any]:
    """Run a target with a bootstrap that does nothing; return what its program was given."""
    done = subprocess.run(
        [MAKE, "--silent", "--no-print-directory", target, "PYTHON=true"],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("target", ["demo", "try", "up", "status", "down", "clean", "test", "lock"])
def test_every_target_works_from_a_path_with_a_space_and_an_umlaut(
    checkout: Path, target: str
) -> None:
    assert made(checkout, target)["arguments"] is not None


def test_a_locale_that_the_machine_does_not_have_is_not_passed_on(checkout: Path) -> None:
    assert made(checkout, "up", LC_ALL="en_US.UTF-8")["environment"]["LC_ALL"] == "C.UTF-8"


def test_what_runs_here_is_never_asked_through_a_proxy(checkout: Path) -> None:
    proxy = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "intern.example"}
    found = made(checkout, "status", **proxy)["environment"]
    assert found["HTTPS_PROXY"] == proxy["HTTPS_PROXY"]
    for name in ("NO_PROXY", "no_proxy"):
        assert {"127.0.0.1", "localhost", "intern.example"} <= set(found[name].split(","))


def test_ansible_reads_the_configuration_even_where_others_may_write(checkout: Path) -> None:
    checkout.chmod(0o777)
    found = made(checkout, "up", ANSIBLE_CONFIG="/elsewhere.cfg")["environment"]
    assert found["ANSIBLE_CONFIG"] == str(checkout / "ansible.cfg")


def test_trying_stops_after_the_first_rotation(checkout: Path) -> None:
    assert made(checkout, "try")["arguments"] == ["-m", "demo", "--only-first-rotation"]

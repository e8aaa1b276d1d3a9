"""What a newcomer meets first: links lead somewhere, commands exist, the path is as promised."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from evaluation.footprint import PROMISED

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#:]+?)(?:#[^)]*)?\)")
PAGES = ("README.md", "CONTRIBUTING.md")


def targets(page: str) -> list[Path]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [ROOT / link for link in LINK.findall(text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_something(page: str) -> None:
    found = targets(page)
    assert found
    assert [str(target) for target in found if not target.exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_from_the_readme_to_the_rule_of_activation_it_is_three_files() -> None:
    rotation = ROOT / "docs" / "rotation.md"
    assert rotation in targets("README.md")
    assert "core/decisions/ca/decide.py" in rotation.read_text(encoding="utf-8")


def test_every_folder_that_the_readme_maps_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("## The tree")[1].split("##")[0]
    folders = [
        name for row in table.splitlines()[4:] for name in re.findall(r"`([^`]+/)`", row[:60])
    ]
    assert len(folders) > 6
    assert [name for name in folders if not (ROOT / name).is_dir()] == []


def test_every_make_target_of_the_readme_exists() -> None:
    wanted = set(re.findall(r"make ([a-z]+)\b", (ROOT / "README.md").read_text(encoding="utf-8")))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test", "up", "status", "down", "clean"} <= wanted
    assert [name for name in wanted if f"\n{name}: " not in makefile] == []


def test_every_gate_of_contributing_is_a_session() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Gates")[1]
    named = {
        name
        for row in table.split("##")[0].splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = set(re.findall(r'^@gate\("([^"]+)"', noxfile, re.MULTILINE))
    assert named == sessions - {"lock"}


def test_the_readme_promises_what_the_verdict_asserts() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    found = re.search(r"at most (\d+) minutes, ([\d.]+) GB of memory and (\d+) MB of disk", text)
    assert found is not None
    minutes, gigabytes, megabytes = map(float, found.groups())
    assert minutes * 60 == PROMISED.seconds
    assert gigabytes * 1000 == pytest.approx(PROMISED.memory_megabytes)
    assert megabytes == PROMISED.disk_megabytes


def test_the_command_has_the_version_of_the_collection() -> None:
    project = tomllib.loads((ROOT / "agents" / "pyproject.toml").read_text(encoding="utf-8"))
    galaxy = (ROOT / "galaxy.yml").read_text(encoding="utf-8")
    assert f"\nversion: {project['project']['version']}\n" in galaxy

"""Writes CHANGELOG.md: the releases in changelogs/changelog.yaml, and what is not released yet.

antsibull-changelog writes releases only. So in a copy the waiting fragments are made a release of
the next version, the changelog is rendered there, and that version is called "Unreleased". At a
real release, ``antsibull-changelog release`` moves the fragments into changelog.yaml; this tool
then writes the same page with the version's name.

``--check`` writes nothing and ends with 1 when CHANGELOG.md is not what the fragments say.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "CHANGELOG.md"
FRAGMENTS = ROOT / "changelogs" / "fragments"
# What antsibull-changelog reads: its own folder, and the collection for the list of new modules.
_READ = ("galaxy.yml", "changelogs", "plugins", "meta")
_WAITING = "unreleased"


def render() -> str:
    """Return the page.

    Raises:
        SystemExit: antsibull-changelog refuses a fragment; its own words were printed.
    """
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "ansible_collections", galaxy["namespace"], galaxy["name"])
        copy.mkdir(parents=True)
        skip = shutil.ignore_patterns("__pycache__", ".plugin-cache.yaml")
        for name in _READ:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=skip)
            elif source.is_file():
                shutil.copy2(source, copy / name)
        version = _next(copy)
        if any(FRAGMENTS.glob("*.y*ml")):
            _run(copy, "release", "--version", version, "--date", "2026-01-01")
        else:
            _run(copy, "generate")
        text = (copy / PAGE.name).read_text(encoding="utf-8")
    escaped = version.replace(".", "\\.").replace("-", "\\-")
    anchor = version.replace(".", "-")
    text = text.replace(f"v{escaped}", "Unreleased").replace(f"v{anchor}", _WAITING)
    return text.rstrip("\n") + "\n"


def _next(copy: Path) -> str:
    """Return a version above every released one, for the fragments that wait."""
    text = (copy / "changelogs" / "changelog.yaml").read_text(encoding="utf-8")
    released = [str(name) for name in yaml.safe_load(text)["releases"]]
    numbers = [tuple(int(part) for part in name.split("-")[0].split(".")) for name in released]
    major, minor, _ = max(numbers, default=(0, 0, 0))
    return f"{major}.{minor + 1}.0-{_WAITING}"


def _run(folder: Path, *arguments: str) -> None:
    """Run antsibull-changelog of this environment; its ansible-doc is found beside it."""
    programs = Path(sys.executable).parent
    path = os.pathsep.join((str(programs), os.environ.get("PATH", os.defpath)))
    command = [str(programs / "antsibull-changelog"), *arguments]
    done = subprocess.run(  # noqa: S603  # our own arguments, no shell
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"changelog: {(done.stderr or done.stdout).strip()}")


def main() -> None:
    """Write the page, or compare it."""
    text = render()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return
    held = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    if held != text:
        lines = (held.splitlines(), text.splitlines())
        sys.stderr.write(
            "\n".join(difflib.unified_diff(*lines, PAGE.name, "changelogs/", lineterm=""))
        )
        sys.exit("\nCHANGELOG.md is not what changelogs/ says: run tools/changelog.py")


if __name__ == "__main__":
    main()

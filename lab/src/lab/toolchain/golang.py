"""The ``go`` program: which one it is, and how it is asked to download and to build."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.run import run
from lab.toolchain.families import Family

OLDEST = (1, 26)
"""What the ``go`` lines of the families ask for."""
_INSTALL = f"install Go {OLDEST[0]}.{OLDEST[1]} or newer"
_BUILD_SECONDS = 3600.0
_DOWNLOAD_SECONDS = 1800.0


def version() -> str:
    """Return what ``go version`` says.

    Raises:
        LabError: It is not on this machine, or too old.
    """
    if shutil.which("go") is None:
        raise LabError("go is not on this machine", _INSTALL)
    told = run(["go", "version"], env=_environment()).strip()
    number = re.search(r"go(\d+)\.(\d+)", told)
    if number and (int(number[1]), int(number[2])) < OLDEST:
        raise LabError(f"{told.removeprefix('go version ')} is too old", _INSTALL)
    return told


def download(family: Family, log: Path) -> None:
    """Bring the modules that a family's packages need into the module cache.

    Raises:
        LabError: The Go proxy was not there, or a checksum differs; ``log`` has the lines.
    """
    if family.programs:
        ask = ["go", "list", "-mod=readonly", "-deps", "-f={{/* nothing */}}", *family.flags()]
        packages = sorted(set(family.programs.values()))
        _go([*ask, *packages], family, log, _DOWNLOAD_SECONDS)
    for data in family.data:
        _go(["go", "mod", "download", data.module], family, log, _DOWNLOAD_SECONDS)


def build(family: Family, to: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Build a family's programs into a folder, each under its own name.

    Args:
        family: What to build.
        to: An existing folder.
        log: Gets what ``go`` says.
        environment: Further variables.

    Raises:
        LabError: It does not compile; ``log`` has the lines.
    """
    packages = sorted(set(family.programs.values()))
    ask = ["go", "build", "-mod=readonly", *family.flags()]
    if len(packages) == 1:
        (name,) = family.programs
        _go([*ask, "-o", to / name, *packages], family, log, _BUILD_SECONDS, environment)
        return
    _go([*ask, "-o", f"{to}/", *packages], family, log, _BUILD_SECONDS, environment)
    for name, package in family.programs.items():
        made = to / package.rsplit("/", 1)[-1]
        if made.name != name:
            made.rename(to / name)


def module_folder(family: Family, module: str) -> Path:
    """Return where the module cache has a module that a family requires.

    Raises:
        LabError: The family does not require it, or it cannot be downloaded.
    """
    told = run(
        ["go", "mod", "download", "-json", module],
        cwd=family.folder,
        env=_environment(),
        limit_seconds=_DOWNLOAD_SECONDS,
    )
    found: dict[str, Any] = json.loads(told)
    if "Dir" not in found:
        raise LabError(f"{family.name}: {module}: {found.get('Error', 'is not to be had')}")
    return Path(found["Dir"])


def _go(
    command: Sequence[str | Path],
    family: Family,
    log: Path,
    limit_seconds: float,
    more: Mapping[str, str] | None = None,
) -> None:
    cgo = "1" if family.libraries else "0"
    environment = {**_environment(), "CGO_ENABLED": cgo, **(more or {})}
    run(command, cwd=family.folder, env=environment, limit_seconds=limit_seconds, log=log)


def _environment() -> dict[str, str]:
    """Return what keeps a build the same on every machine; caches stay where the user has them.

    Flags are given on the command line, which outranks the user's ``GOFLAGS``.
    """
    return {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOEXPERIMENT": ""}

"""Debian packages from the machine's own apt, fetched and never installed."""

from __future__ import annotations

import threading
from pathlib import Path

from lab.errors import LabError
from lab.run import run

_UPDATING = threading.Lock()
_LIMIT_SECONDS = 300.0


def download(package: str, to: Path) -> Path:
    """Fetch a package's file.

    A machine whose package lists are missing, or name what the mirror no longer has, gets new lists
    once.

    Args:
        package: Its name.
        to: An existing folder.

    Returns:
        The ``.deb`` in that folder.

    Raises:
        LabError: apt does not know it, or the mirror does not answer.
    """
    try:
        _fetch(package, to)
    except LabError:
        with _UPDATING:
            run(["apt-get", "--quiet", "update"], limit_seconds=_LIMIT_SECONDS)
        _fetch(package, to)
    (file,) = to.glob(f"{package}_*.deb")
    return file


def _fetch(package: str, to: Path) -> None:
    fetch = ["apt-get", "--quiet", "--option=APT::Sandbox::User=root", "download", package]
    run(fetch, cwd=to, limit_seconds=_LIMIT_SECONDS)

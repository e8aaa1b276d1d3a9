"""Take out of a Debian tree what nobody reads, and what differs from one making to the next."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.images import debian

_UNREAD = (
    "usr/share/bash-completion",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/lib/python3*/ensurepip",
    "usr/lib/python3*/idlelib",
    "usr/lib/python3*/pydoc_data",
    "usr/lib/python3*/turtledemo",
)
_OF_THIS_MAKING = (
    *debian.TEMPORARY,
    "etc/.pwd.lock",
    "etc/*-",
    "etc/hostname",
    "etc/machine-id",
    "root/.*",
    "run/*",
    "tmp/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/log/*",
    "var/tmp/*",
)
_SHADOW_DAY = "20000"
"""Day of the last change of each password; there are no passwords."""
_PYTHON_FOLDERS = ("/usr/lib/python3", "/usr/lib/python3.*", "/usr/share/python3")


def trim(tree: Path) -> None:
    """Trim a tree; apt and dpkg still work in it afterwards.

    Raises:
        LabError: The tree's Python does not run.
    """
    for pattern in (*_UNREAD, *_OF_THIS_MAKING):
        for found in tree.glob(pattern):
            _remove(found)
    for found in tree.glob("usr/share/doc/*/*"):
        if found.name != "copyright":
            _remove(found)
    for name in debian.MOUNTPOINTS:
        (tree / name).touch()
    shadow = tree / "etc/shadow"
    lines = [line.split(":") for line in shadow.read_text().splitlines()]
    days = [":".join([*fields[:2], _SHADOW_DAY, *fields[3:]]) for fields in lines]
    shadow.write_text("\n".join(days) + "\n")
    _compile(tree)


def _compile(tree: Path) -> None:
    """Compile Python's library anew: bytecode that holds files' times is stale in an image."""
    for cache in tree.glob("usr/**/__pycache__"):
        shutil.rmtree(cache)
    found = (place for pattern in _PYTHON_FOLDERS for place in tree.glob(pattern[1:]))
    folders = sorted(f"/{place.relative_to(tree)}" for place in found if place.is_dir())
    if not folders:
        return
    mode = "--invalidation-mode=unchecked-hash"
    # One process, always in the same order: marshal's output depends on what was compiled before.
    debian.inside(tree, ["python3", "-I", "-m", "compileall", "-q", "-j1", mode, *folders])


def _remove(found: Path) -> None:
    if found.is_dir() and not found.is_symlink():
        shutil.rmtree(found)
    else:
        found.unlink()

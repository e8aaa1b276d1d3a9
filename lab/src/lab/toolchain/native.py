"""C libraries for the families that need some: unpacked from Debian's packages, never installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab import apt
from lab.errors import LabError
from lab.run import run
from lab.toolchain.families import Family

_UNPACKED = "libraries"


def environment(family: Family, work: Path) -> dict[str, str]:
    """Return what makes cgo find a family's libraries; empty where it has none.

    Args:
        family: The family to be built.
        work: An existing folder for the packages.

    Raises:
        LabError: No C compiler, or apt cannot fetch a package.
    """
    if not family.libraries:
        return {}
    compiler = os.environ.get("CC") or "gcc"
    if shutil.which(compiler.split()[0]) is None:
        raise LabError(
            f"{compiler} is not on this machine, and {family.name} needs it",
            "install gcc and libc6-dev",
        )
    tree = work / _UNPACKED
    for package in family.libraries:
        run(["dpkg-deb", "--extract", apt.download(package, work), tree])
    archives = sorted(tree.glob("usr/lib/*/lib*.a"))
    if not archives:
        raise LabError(f"{' '.join(family.libraries)}: no static library in it")
    return {
        # Asked for flags, `true` says none: they are all here, so no pkg-config is needed.
        "PKG_CONFIG": "true",
        "CGO_CFLAGS": f"-O2 -g -I{tree / 'usr/include'}",
        "CGO_LDFLAGS": " ".join([f"-L{archives[0].parent}", *map(_link, archives)]),
    }


def _link(archive: Path) -> str:
    return f"-l{archive.stem.removeprefix('lib')}"

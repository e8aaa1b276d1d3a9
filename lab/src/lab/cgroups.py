"""The lab's groups in each cgroup hierarchy of version 1: make, list, empty and remove.

The kubelet wants its group in *every* hierarchy, the one named ``systemd`` included, and a cpuset
whose lists are filled: a group with an empty list accepts no process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    Attributes:
        root: Where it is mounted.
        controllers: ``cpu``, ``memory`` ...; ``name=systemd`` for a named one; none for version 2.
        version: 1 or 2.
    """

    root: Path
    controllers: frozenset[str]
    version: int


def parse_hierarchies(mountinfo: str) -> list[Hierarchy]:
    """Read the hierarchies from the text of ``mountinfo``; each once, at its first mount."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if not kind or kind[0] not in {"cgroup", "cgroup2"} or fields[2] in found:
            continue
        options = kind[2].split(",") if len(kind) > 2 else []
        controllers = frozenset(
            word
            for word in options
            if word not in {"rw", "ro", "xattr", "clone_children", "noprefix"}
            and not word.startswith("release_agent=")
        )
        version = 1 if kind[0] == "cgroup" else 2
        found[fields[2]] = Hierarchy(
            Path(unescape(fields[4])), controllers if version == 1 else frozenset(), version
        )
    return list(found.values())


def unescape(field: str) -> str:
    """Return a path of ``mountinfo`` with its octal escapes (space, tab, backslash) resolved."""
    return field.encode().decode("unicode_escape").encode("latin-1").decode()


def hierarchies() -> list[Hierarchy]:
    """Return the hierarchies mounted here."""
    return parse_hierarchies(_MOUNTS.read_text())


def make(name: str) -> list[Path]:
    """Make a group in each hierarchy of version 1, with every parent.

    Args:
        name: Path of the group below a hierarchy's root, such as ``securetransport-lab/c1``.

    Returns:
        Its folders; a process joins by writing its pid to ``cgroup.procs`` of each.

    Raises:
        LabError: A hierarchy does not let us.
    """
    made = []
    for hierarchy in hierarchies():
        if hierarchy.version != 1:
            continue
        group = hierarchy.root
        try:
            for word in Path(name).parts:
                group /= word
                group.mkdir(exist_ok=True)
                if "cpuset" in hierarchy.controllers:
                    _fill_cpuset(group)
        except OSError as error:
            raise LabError(f"the cgroup {group} cannot be made: {error.strerror}") from error
        made.append(group)
    return made


def _fill_cpuset(group: Path) -> None:
    """Give a group the processors and memory nodes of its parent, and its children the same."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not (group / file).read_text().strip():
            (group / file).write_text((group.parent / file).read_text())
    (group / "cgroup.clone_children").write_text("1")


def existing(name: str) -> list[Path]:
    """Return the folders of a group that exist, in hierarchies of either version."""
    return [group for each in hierarchies() if (group := each.root / name).is_dir()]


def processes(groups: list[Path]) -> set[int]:
    """Return the ids of the processes in these groups and all below, dead ones left out."""
    found: set[int] = set()
    for folder in _all(groups):
        with suppress(OSError):  # a group may vanish while we look
            found.update(int(word) for word in (folder / "cgroup.procs").read_text().split())
    return found - {0}


def thaw(groups: list[Path]) -> None:
    """Thaw what is frozen: a frozen process does not die of a signal."""
    for folder in _all(groups):
        file = folder / "freezer.state"
        with suppress(OSError):  # other hierarchies have none, and a group may vanish
            if file.read_text().strip() != "THAWED":
                file.write_text("THAWED")


def _all(groups: list[Path]) -> Iterator[Path]:
    """Return these groups and all below; one that vanishes meanwhile is left out."""
    for group in groups:
        for folder, _, _ in os.walk(group):
            yield Path(folder)


def remove(groups: list[Path], *, limit_seconds: float = 5.0) -> None:
    """Remove groups and all below them, deepest first.

    A group stays busy for some milliseconds after its last process died; that is waited for.

    Raises:
        LabError: One was still busy at the limit.
    """
    until = time.monotonic() + limit_seconds
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            _remove_one(Path(folder), until)


def _remove_one(group: Path, until: float) -> None:
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > until:
                busy = " ".join(map(str, sorted(processes([group])))) or "none that is seen"
                raise LabError(
                    f"the cgroup {group} cannot be removed: {error.strerror}; its processes: {busy}"
                ) from error
            time.sleep(0.02)
        else:
            return

"""What was changed on the machine, and what was there before, as ``State.host`` keeps it."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.errors import LabError
from lab.paths import State
from lab.plan import Cluster

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_writing = threading.Lock()


@dataclass
class Record:
    """What was changed, in the order of the changes.

    Attributes:
        boot: The boot of the machine in which it was.
        settings: Kernel settings with their values before.
        links: Names of links.
        cgroups: Folders of cgroups.
    """

    boot: str = field(default_factory=lambda: _BOOT.read_text().strip())
    settings: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)


def recorded(state: State) -> Record | None:
    """Return what was changed since the machine started; ``None`` when nothing was.

    Raises:
        LabError: The record cannot be read.
    """
    try:
        record = Record(**json.loads(state.host.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise LabError(
            f"{state.host} cannot be read: {error}",
            "put the kernel settings back by hand, remove it, then run `python -m lab down`",
        ) from error
    return record if record.boot == Record().boot else None


def note(
    state: State,
    *,
    setting: tuple[str, str | None] | None = None,
    link: str = "",
    cgroup: str = "",
) -> None:
    """Write a change down before it is made; what is noted already keeps its first value."""
    with _writing:
        record = recorded(state) or Record()
        if setting is not None and setting[1] is not None:
            record.settings.setdefault(setting[0], setting[1])
        for value, known in ((link, record.links), (cgroup, record.cgroups)):
            if value and value not in known:
                known.append(value)
        new = temporary(state)
        with new.open("w") as file:
            json.dump(asdict(record), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(state.host)


def temporary(state: State) -> Path:
    """Return where the record is written before it takes its place."""
    return state.host.with_name(state.host.name + ".new")


def is_part(path: Path) -> bool:
    """Whether an entry of the state's folder is the lab's: the record, or a cluster's folder."""
    try:
        return path.name.startswith("host.json") or Cluster(int(path.name[1:])).name == path.name
    except (LabError, ValueError):
        return False

"""What the lab did to a cluster and when, for whoever reads a test's result later."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.paths import State
from lab.plan import Cluster


@dataclass(frozen=True)
class Event:
    """One thing done to a cluster.

    Attributes:
        at: When, in UTC.
        what: Such as ``up``, ``partition``, ``kill``.
        detail: What belongs to it, such as the component's name.
    """

    at: datetime
    what: str
    detail: dict[str, Any]


def record(state: State, cluster: Cluster, what: str, **detail: Any) -> None:
    """Write an event down; several threads and programs may do so at once.

    Args:
        state: Of this machine.
        cluster: To which it was done.
        what: Such as ``partition``.
        detail: Anything that JSON can hold.
    """
    row = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "what": what, **detail}
    file = state.of(cluster).events
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # One write, so that lines of two writers do not mix.
        os.write(descriptor, (json.dumps(row) + "\n").encode())
    finally:
        os.close(descriptor)


def read(state: State, cluster: Cluster) -> list[Event]:
    """Return the events of a cluster, oldest first; none when it is not up."""
    try:
        lines = state.of(cluster).events.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [_event(json.loads(line)) for line in lines]


def _event(row: dict[str, Any]) -> Event:
    return Event(datetime.fromisoformat(row.pop("at")), row.pop("what"), row)

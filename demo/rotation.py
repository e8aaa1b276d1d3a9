"""The first rotation that a run sees: what was proven, by whom, and when.

An epoch becomes active only after every server in service and every admitted member has shown a
trust set that contains it. So the first epoch that becomes active after the load began is proven,
with the names of those who showed it, and the ledgers say what became of the messages meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.timeline import unix
from evaluation.verdict import Messages

_STATES = ("prepared", "distributed", "confirmed", "active")
_TRUSTED = frozenset({"distributed", "confirmed", "active"})


@dataclass(frozen=True, slots=True)
class Rotation:
    """A CA epoch that became active; instants are Unix seconds.

    Attributes:
        epoch: Number of the epoch.
        issuer: Name of its intermediate.
        previous: Epoch that was active before.
        steps: When it reached each state.
        servers: Servers whose files and handshakes showed a trust set that contains it.
        members: Services and agents that attested one.
        status: The status that first showed it.
    """

    epoch: int
    issuer: str
    previous: int | None
    steps: dict[str, float]
    servers: tuple[str, ...]
    members: tuple[str, ...]
    status: Mapping[str, Any]


def first(statuses: Sequence[Mapping[str, Any]], after: float) -> Rotation | None:
    """Return the first epoch that became active at or after a Unix time, ``None`` if none did."""
    for number, status in enumerate(statuses):
        for entry in status["ca"]["epochs"]:
            steps = {step["state"]: unix(step["at"]) for step in entry["history"]}
            if entry["state"] != "active" or steps["active"] < after:
                continue
            earlier = [one["ca"]["active"] for one in statuses[:number]]
            servers, members = _who_showed(entry["epoch"], statuses)
            return Rotation(
                epoch=entry["epoch"],
                issuer=entry["issuer"],
                previous=next((e for e in reversed(earlier) if e != entry["epoch"]), None),
                steps={state: steps[state] for state in _STATES if state in steps},
                servers=servers,
                members=members,
                status=status,
            )
    return None


def _who_showed(
    epoch: int, statuses: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the servers and members that were seen with a trust set that contains an epoch.

    The set in force contains it from ``distributed`` on; it may be replaced at any moment, so every
    status since then counts.
    """
    servers: set[str] = set()
    members: set[str] = set()
    for status in statuses:
        states = {entry["epoch"]: entry["state"] for entry in status["ca"]["epochs"]}
        digest = (status["ca"]["bundle"] or {}).get("digest")
        if states.get(epoch) not in _TRUSTED or digest is None:
            continue
        servers |= {
            one["server"]
            for one in status["servers"]
            if one["digest"] == digest and one["is_served"]
        }
        members |= {one["instance"] for one in status["members"] if one["digest"] == digest}
    return tuple(sorted(servers)), tuple(sorted(members))


def is_proven(rotation: Rotation, messages: Messages) -> bool:
    """Tell whether it shows what it should: confirmed first, by somebody, nothing lost."""
    steps = rotation.steps
    return (
        "confirmed" in steps
        and steps["confirmed"] <= steps["active"]
        and bool(rotation.servers)
        and bool(rotation.members)
        and messages.acked > 0
        and messages.lost == 0
    )


def lines(rotation: Rotation, messages: Messages, seconds: float) -> list[str]:
    """Return what a person is told, in plain lines.

    Args:
        rotation: What was seen.
        messages: The ledgers' comparison until now.
        seconds: Since the command.
    """
    moments = ", ".join(f"{state} {_clock(at)}" for state, at in rotation.steps.items())
    counted = f"{messages.lost} of {messages.acked} acknowledged"
    word = "proven" if is_proven(rotation, messages) else "NOT PROVEN"
    instead = f", instead of {rotation.previous}" if rotation.previous is not None else ""
    return [
        f"rotation {word}: CA epoch {rotation.epoch} signs now{instead} ({rotation.issuer})",
        f"  steps, UTC: {moments}",
        f"  servers that showed a trust set with it: {', '.join(rotation.servers) or 'none'}",
        f"  members that showed a trust set with it: {', '.join(rotation.members) or 'none'}",
        f"  messages lost so far: {counted}, by comparing the ledgers of both ends",
        f"  {seconds:.0f} s since the command",
    ]


def _clock(at: float) -> str:
    return f"{int(at) // 3600 % 24:02d}:{int(at) // 60 % 60:02d}:{at % 60:04.1f}"

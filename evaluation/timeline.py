"""What rotated during the run: the authority's history, and the keys that messages came with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evaluation.checker import KeyUse
from evaluation.windows import Span

# Reloads and moved connections trail the step that caused them by a moment.
_TAIL_SECONDS = 1.0
# Statuses come once a second; a takeover of the authority lasts a few.
_SILENCE_SECONDS = 30.0
_SHOWN_STATES = (
    "planned",
    "prepared",
    "distributed",
    "confirmed",
    "active",
    "legacy",
    "retired",
    "destroyed",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One transition of one CA epoch, at a Unix time."""

    at: float
    epoch: int
    state: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """One announced window in which members moved to a new issuer."""

    epoch: int
    span: Span


def unix(instant: str) -> float:
    """Return an ISO 8601 instant as Unix seconds."""
    return datetime.fromisoformat(instant).timestamp()


def steps(statuses: Sequence[Mapping[str, Any]], run: Span) -> list[Step]:
    """Return every transition that happened inside the run, oldest first."""
    found: dict[tuple[int, int, str], Step] = {}
    for status in statuses:
        for entry in status["ca"]["epochs"]:
            for change in entry["history"]:
                step = Step(unix(change["at"]), entry["epoch"], change["state"])
                if run.start <= step.at < run.end and step.state in _SHOWN_STATES:
                    found[entry["epoch"], entry["attempt"], step.state] = step
    return sorted(found.values(), key=lambda step: step.at)


def renewals(statuses: Sequence[Mapping[str, Any]], run: Span) -> list[Renewal]:
    """Return the renewal windows announced inside the run."""
    found: dict[int, Renewal] = {}
    for status in statuses:
        window = status["ca"].get("renewal")
        if window is None:
            continue
        span = Span(unix(window["opens_at"]), unix(window["closes_at"]))
        if span.touches(run):
            found[window["epoch"]] = Renewal(window["epoch"], span)
    return [found[epoch] for epoch in sorted(found)]


def activations(statuses: Sequence[Mapping[str, Any]], run: Span) -> int:
    """Return how many CA epochs became active inside the run."""
    return sum(1 for step in steps(statuses, run) if step.state == "active")


def excuses(statuses: Sequence[Mapping[str, Any]], run: Span) -> int | None:
    """Return how many gates were passed without their evidence inside the run.

    Every status counts, because the record forgets; ``None`` when there are none, or the last one
    is too old to speak for the end of the run.
    """
    if not statuses or run.end - unix(statuses[-1]["at"]) > _SILENCE_SECONDS:
        return None
    found = {
        json.dumps(excuse, sort_keys=True)
        for status in statuses
        for excuse in status["ca"]["excuses"]
        if unix(excuse["at"]) >= run.start
    }
    return len(found)


@dataclass(frozen=True, slots=True)
class KeyRotations:
    """Changes of keys, seen in messages that were verified and opened.

    Attributes:
        topic: Distinct epochs of the topic key, less the first.
        signing: Distinct signing keys of the sender, less the first.
    """

    topic: int
    signing: int

    @property
    def completed(self) -> int:
        """Rotations in which both kinds changed."""
        return min(self.topic, self.signing)


def key_rotations(used: Sequence[KeyUse]) -> KeyRotations:
    """Count the rotations in the keys that arrived; a clock that turned does not count."""
    return KeyRotations(
        topic=max(len({use.key_epoch for use in used}) - 1, 0),
        signing=max(len({use.key_id for use in used}) - 1, 0),
    )


def active_spans(moves: Sequence[Step], windows: Sequence[Renewal]) -> list[Span]:
    """Return when trust or leaf certificates changed hands: what makes a window a rotation window.

    From ``distributed`` to ``confirmed`` servers reload and members take new anchors; from
    ``active`` to the end of the renewal window leaf certificates change; at ``retired`` servers
    reload again.
    """
    spans: list[Span] = []
    opened: dict[int, float] = {}
    closes = {window.epoch: window.span.end for window in windows}
    for step in moves:
        if step.state == "distributed":
            opened[step.epoch] = step.at
        elif step.state == "confirmed" and step.epoch in opened:
            spans.append(Span(opened.pop(step.epoch), step.at + _TAIL_SECONDS))
        elif step.state == "active":
            end = max(closes.get(step.epoch, step.at), step.at) + _TAIL_SECONDS
            spans.append(Span(step.at, end))
        elif step.state == "retired":
            spans.append(Span(step.at, step.at + 2 * _TAIL_SECONDS))
    spans.extend(Span(at, at + 2 * _TAIL_SECONDS) for at in opened.values())
    return spans

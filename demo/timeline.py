"""What the rotation did during the run, read from the authority's own history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demo.windows import Span

# Reloads and moved connections trail the step that caused them by a moment.
_TAIL_SECONDS = 1.0
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

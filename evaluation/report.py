"""One self-contained HTML page about a run: no script, no network, plots as inline SVG."""

from __future__ import annotations

import html
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib import lines
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation import checker
from evaluation.timeline import Renewal, Step, unix
from evaluation.verdict import Verdict
from evaluation.windows import Span, Window, gaps_in

mpl.use("svg")
_COLOURS = {"rotation": "#fde7c3", "fault": "#f6c9c9", "steady": "#ffffff"}
_STATE_COLOURS = {
    "planned": "#b0b0b0",
    "prepared": "#8c8c8c",
    "distributed": "#e0a100",
    "confirmed": "#c77700",
    "active": "#1a7f37",
    "legacy": "#5b7fb0",
    "retired": "#8a1c1c",
    "destroyed": "#d9d9d9",
}
_WIDTH_INCHES = 11.0


@dataclass(frozen=True, slots=True)
class RunData:
    """What the page is drawn from; instants are Unix seconds.

    Attributes:
        run: From the first to the last second of load.
        publishes: When each message was handed to the bus.
        acks: When each receipt came.
        answers: When each answer came, and how long after its request, in milliseconds.
        statuses: What ``securetransport status`` said, about once a second.
        moves: Transitions of CA epochs.
        renewals: Announced renewal windows.
        faults: When what was killed.
        windows: How the run was cut.
        key_epochs: When each response arrived, and the epoch of the key that it was sealed with.
    """

    run: Span
    publishes: Sequence[float]
    acks: Sequence[float]
    answers: Sequence[tuple[float, float]]
    statuses: Sequence[dict[str, Any]]
    moves: Sequence[Step]
    renewals: Sequence[Renewal]
    faults: Sequence[tuple[float, str]]
    windows: Sequence[Window]
    key_epochs: Sequence[tuple[float, int]]


def render(data: RunData, verdict: Verdict) -> str:
    """Return the page."""
    plots = (
        ("Gaps between receipts and between publishes, largest of each second", _gaps(data)),
        ("Connections by CA epoch", _connections(data)),
        ("Messages per second by key epoch", _key_epochs(data)),
        ("Request to answer, in rotation and in steady windows", _latency(data)),
        ("One line per CA epoch: from planned to destroyed", _epochs(data)),
    )
    sections = "\n".join(f"<h2>{html.escape(title)}</h2>\n{svg}" for title, svg in plots)
    return _PAGE.format(
        word="passed" if verdict.ok else "failed",
        colour="#1a7f37" if verdict.ok else "#b3261e",
        failures="".join(f"<li>{html.escape(text)}</li>" for text in verdict.failures),
        facts=_facts(verdict),
        sections=sections,
        verdict=html.escape(json.dumps(verdict.to_json(), indent=2)),
    )


def _facts(verdict: Verdict) -> str:
    gaps, messages = verdict.ack_gap_ms, verdict.messages
    rows = {
        "CA rotations": verdict.ca_rotations_completed,
        "key rotations, topic / signing": f"{verdict.keys.topic} / {verdict.keys.signing}",
        "messages sent / confirmed": f"{messages.attempted} / {messages.acked}",
        "lost / effected twice / unexpected": (
            f"{messages.lost} / {_claimed(messages.duplicates)} / {messages.unexpected}"
        ),
        "refused: signature / not decrypted / otherwise": (
            f"{verdict.refused.signature} / {verdict.refused.decryption} / {verdict.refused.other}"
        ),
        "answers per second": f"{verdict.answered_per_second:.0f}",
        "largest receipt gap of a window, median, rotation / steady": (
            f"{_ms(gaps.rotation_median_of_max)} / {_ms(gaps.steady_median_of_max)}"
        ),
        "p99.9 of receipt gaps, rotation / steady": (
            f"{_ms(gaps.rotation_p999)} / {_ms(gaps.steady_p999)}"
        ),
        "windows, rotation / steady / after a fault": (
            f"{gaps.windows['rotation']} / {gaps.windows['steady']} / {gaps.windows['fault']}"
        ),
        "killed on purpose": ", ".join(fault["what"] for fault in verdict.faults_injected),
        "restarts that nobody caused": verdict.process_restarts_outside_faults,
    }
    return "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )


def _claimed(value: int | None) -> str:
    return "not claimed" if value is None else str(value)


def _ms(value: float | None) -> str:
    return "no window" if value is None else f"{value:.1f} ms"


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _background(axes: Axes, data: RunData) -> None:
    """Shade windows by kind, and draw each rotation step and each fault as a line."""
    for window in data.windows:
        if window.kind != "steady":
            axes.axvspan(
                window.span.start - data.run.start,
                window.span.end - data.run.start,
                color=_COLOURS[window.kind],
                linewidth=0,
                zorder=0,
            )
    for step in data.moves:
        axes.axvline(
            step.at - data.run.start, color=_STATE_COLOURS[step.state], linewidth=0.7, alpha=0.7
        )
    top = axes.get_ylim()[1]
    for at, what in data.faults:
        axes.axvline(at - data.run.start, color="#b3261e", linewidth=1.2, linestyle="--")
        axes.text(
            at - data.run.start, top, f" kill {what}", color="#b3261e", fontsize=7, va="bottom"
        )
    axes.set_xlim(0, data.run.end - data.run.start)
    axes.set_xlabel("seconds of load")


def _gaps(data: RunData) -> str:
    figure, axes = _figure(3.4)
    for name, instants, colour in (
        ("receipts", data.acks, "#1f4e8c"),
        ("publishes", data.publishes, "#3c9d6b"),
    ):
        seconds = range(int(data.run.end - data.run.start))
        largest = [
            max(gaps_in(instants, Span(data.run.start + s, data.run.start + s + 1)), default=1000)
            for s in seconds
        ]
        axes.plot(list(seconds), largest, color=colour, linewidth=0.9, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("largest gap, ms")
    _background(axes, data)
    handles, labels = axes.get_legend_handles_labels()
    for state, colour in _STATE_COLOURS.items():
        handles.append(lines.Line2D([], [], color=colour))
        labels.append(state)
    axes.legend(handles, labels, fontsize=7, ncols=5, loc="upper left", bbox_to_anchor=(0, -0.18))
    return _svg(figure)


def _connections(data: RunData) -> str:
    figure, axes = _figure(2.6)
    times = [_at(status) - data.run.start for status in data.statuses]
    epochs = sorted(
        {int(epoch) for status in data.statuses for epoch in status["census"]["by_epoch"]}
    )
    series = [
        [status["census"]["by_epoch"].get(str(epoch), 0) for status in data.statuses]
        for epoch in epochs
    ]
    if series:
        axes.stackplot(times, series, labels=[f"e{epoch}" for epoch in epochs], alpha=0.85)
        axes.legend(fontsize=7, ncols=len(epochs), loc="upper left", bbox_to_anchor=(0, -0.25))
    axes.set_ylabel("connections")
    _background(axes, data)
    return _svg(figure)


def _key_epochs(data: RunData) -> str:
    figure, axes = _figure(2.6)
    counts: dict[int, Counter[int]] = {}
    for at, epoch in data.key_epochs:
        counts.setdefault(epoch, Counter())[int(at - data.run.start)] += 1
    for epoch, per_second in sorted(counts.items()):
        seconds = sorted(per_second)
        axes.bar(seconds, [per_second[s] for s in seconds], width=1.0, label=f"{epoch}")
    axes.set_ylabel("messages per second")
    _background(axes, data)
    return _svg(figure)


def _latency(data: RunData) -> str:
    figure, axes = _figure(2.6)
    kinds: dict[str, list[float]] = {"steady": [], "rotation": []}
    ordered = sorted(data.answers)
    index = 0
    for window in data.windows:
        while index < len(ordered) and ordered[index][0] < window.span.start:
            index += 1
        while index < len(ordered) and ordered[index][0] < window.span.end:
            if window.kind in kinds:
                kinds[window.kind].append(ordered[index][1])
            index += 1
    for kind, colour in (("steady", "#1f4e8c"), ("rotation", "#c77700")):
        values = sorted(kinds[kind])
        if values:
            share = [(i + 1) / len(values) for i in range(len(values))]
            keep = max(len(values) // 2000, 1)
            middle, tail = checker.quantile(values, 0.5), checker.quantile(values, 0.99)
            label = f"{kind}: n={len(values)}, p50 {_ms(middle)}, p99 {_ms(tail)}"
            axes.plot(values[::keep], share[::keep], color=colour, label=label)
            axes.legend(fontsize=8, loc="lower right")
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from request to answer")
    axes.set_ylabel("share of answers")
    return _svg(figure)


def _epochs(data: RunData) -> str:
    epochs = sorted({step.epoch for step in data.moves})
    figure, axes = _figure(0.7 + 0.34 * max(len(epochs), 1))
    for row, epoch in enumerate(epochs):
        moves = [step for step in data.moves if step.epoch == epoch]
        ends = [step.at for step in moves[1:]] + [data.run.end]
        for step, end in zip(moves, ends, strict=True):
            axes.barh(
                row,
                end - step.at,
                left=step.at - data.run.start,
                color=_STATE_COLOURS[step.state],
                height=0.6,
            )
        for step, following in pairwise(moves):
            if following.at - step.at > 4:
                axes.text(step.at - data.run.start + 0.5, row, step.state, fontsize=6, va="center")
    axes.set_yticks(range(len(epochs)), [f"e{epoch}" for epoch in epochs], fontsize=7)
    axes.set_xlim(0, data.run.end - data.run.start)
    axes.set_xlabel("seconds of load")
    return _svg(figure)


def _at(status: dict[str, Any]) -> float:
    return unix(str(status["at"]))


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>SecureTransport demo: {word}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; }}
h1 span {{ color: {colour}; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; font-weight: normal; padding: .15rem 1.2rem .15rem 0;
  border-bottom: 1px solid #ddd; }}
td {{ font-variant-numeric: tabular-nums; font-weight: 600; }}
svg {{ width: 100%; height: auto; }}
pre {{ background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 12px; }}
ul {{ color: #b3261e; }}
</style>
<h1>SecureTransport demo: <span>{word}</span></h1>
<ul>{failures}</ul>
<table>{facts}</table>
<p>Shaded: windows in which trust or leaf certificates changed (amber), and those after something
was killed on purpose (red); neither counts as steady. Vertical lines are the rotation's steps.</p>
{sections}
<h2>verdict.json</h2>
<pre>{verdict}</pre>
</html>
"""

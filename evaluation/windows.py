"""Comparing gaps like with like: equal windows, rotation and steady ones interleaved.

A maximum over a long time is larger than one over a short time, and a maximum compared with a
percentile condemns a system in which nothing happens at all. So the run is cut into windows of one
length; a window is a *rotation* window when trust or leaf certificates changed in it, *steady* when
nothing of the kind happened, and *fault* when something was killed on purpose shortly before.
Medians of the windows' maxima are compared, and 99.9th percentiles with each other; fault windows
are in neither. A median of a few dozen maxima is itself uncertain, so the ratio has an interval.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from evaluation import checker

Kind = Literal["rotation", "steady", "fault"]
KINDS: tuple[Kind, ...] = ("rotation", "steady", "fault")
WINDOW_SECONDS = 3.0
_MILLISECONDS = 1000.0
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of the run, in Unix seconds."""

    start: float
    end: float

    def touches(self, other: Span) -> bool:
        """Tell whether the two have a moment in common."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the run."""

    span: Span
    kind: Kind


@dataclass(frozen=True, slots=True)
class GapFigures:
    """Gaps in milliseconds.

    Attributes:
        steady_median_of_max: Median over the steady windows of their largest gap.
        rotation_median_of_max: The same over rotation windows.
        steady_p999: 99.9th percentile of all gaps that end in steady windows.
        rotation_p999: The same for rotation windows.
        windows: Number of windows of each kind.
        ratio_low: Lower end of the 90 % interval of :attr:`ratio`, by resampling windows of each
            kind; ``None`` as the ratio.
        ratio_high: Its upper end.
    """

    steady_median_of_max: float | None
    rotation_median_of_max: float | None
    steady_p999: float | None
    rotation_p999: float | None
    windows: dict[str, int]
    ratio_low: float | None = None
    ratio_high: float | None = None

    @property
    def ratio(self) -> float | None:
        """Rotation to steady median; ``None`` when one kind has no window."""
        if not self.steady_median_of_max or self.rotation_median_of_max is None:
            return None
        return self.rotation_median_of_max / self.steady_median_of_max


def cut(run: Span, rotations: Sequence[Span], faults: Sequence[Span]) -> list[Window]:
    """Cut the run into windows of :data:`WINDOW_SECONDS`; a rest at the end is dropped."""
    windows: list[Window] = []
    start = run.start
    while start + WINDOW_SECONDS <= run.end:
        span = Span(start, start + WINDOW_SECONDS)
        kind: Kind = "steady"
        if any(span.touches(fault) for fault in faults):
            kind = "fault"
        elif any(span.touches(rotation) for rotation in rotations):
            kind = "rotation"
        windows.append(Window(span, kind))
        start += WINDOW_SECONDS
    return windows


def gap_figures(instants: Sequence[float], windows: Sequence[Window]) -> GapFigures:
    """Return the figures of the gaps between consecutive ``instants``.

    Args:
        instants: Unix seconds, sorted.
        windows: From :func:`cut`; a gap belongs to the window in which it ends.
    """
    largest: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    every: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for window in windows:
        gaps = gaps_in(instants, window.span)
        every[window.kind].extend(gaps)
        # Nothing at all in a window is the worst gap there is, not the best.
        largest[window.kind].append(max(gaps, default=WINDOW_SECONDS * _MILLISECONDS))
    low, high = _interval(largest["rotation"], largest["steady"])
    return GapFigures(
        ratio_low=low,
        ratio_high=high,
        steady_median_of_max=_median(largest["steady"]),
        rotation_median_of_max=_median(largest["rotation"]),
        steady_p999=_p999(every["steady"]),
        rotation_p999=_p999(every["rotation"]),
        windows={kind: len(values) for kind, values in largest.items()},
    )


def gaps_in(instants: Sequence[float], span: Span) -> list[float]:
    """Return the gaps, in milliseconds, that end inside ``span``."""
    first = max(bisect_left(instants, span.start), 1)
    last = bisect_left(instants, span.end)
    return [(late - early) * _MILLISECONDS for early, late in pairwise(instants[first - 1 : last])]


def _interval(
    rotation: Sequence[float], steady: Sequence[float]
) -> tuple[float | None, float | None]:
    """Return the 90 % interval of the ratio of two medians."""
    if not rotation or not steady:
        return None, None
    draw = random.Random(0)  # noqa: S311  repeatable, and no secret

    def once(values: Sequence[float]) -> float:
        return median(draw.choices(values, k=len(values)))

    ratios = sorted(once(rotation) / once(steady) for _ in range(_RESAMPLES))
    return ratios[int(0.05 * _RESAMPLES)], ratios[int(0.95 * _RESAMPLES) - 1]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _p999(values: Sequence[float]) -> float | None:
    return checker.quantile(values, 0.999) if values else None

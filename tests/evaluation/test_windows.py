from __future__ import annotations

import random

import pytest

from evaluation.windows import WINDOW_SECONDS, GapFigures, Span, Window, cut, gap_figures, gaps_in

STEP = 0.01


def instants(spans: list[tuple[float, float, float]]) -> list[float]:
    """Evenly spaced instants: from, to, distance."""
    found: list[float] = []
    for start, end, step in spans:
        found.extend(start + number * step for number in range(round((end - start) / step)))
    return found


def alternating(count: int) -> list[Window]:
    return [
        Window(
            Span(number * WINDOW_SECONDS, (number + 1) * WINDOW_SECONDS),
            "rotation" if number % 2 else "steady",
        )
        for number in range(count)
    ]


def test_run_is_cut_into_equal_windows_and_the_rest_is_dropped() -> None:
    windows = cut(Span(0, 10), [], [])
    assert [window.span for window in windows] == [Span(0, 3), Span(3, 6), Span(6, 9)]
    assert {window.kind for window in windows} == {"steady"}


def test_window_that_a_rotation_touches_is_a_rotation_window() -> None:
    kinds = [window.kind for window in cut(Span(0, 9), [Span(2.9, 3.1)], [])]
    assert kinds == ["rotation", "rotation", "steady"]


def test_window_after_a_fault_is_neither() -> None:
    kinds = [window.kind for window in cut(Span(0, 9), [Span(0, 9)], [Span(4, 5)])]
    assert kinds == ["rotation", "fault", "rotation"]


def test_gap_belongs_to_the_window_in_which_it_ends() -> None:
    assert gaps_in([0.0, 1.0, 4.0, 4.5], Span(3, 6)) == [3000.0, 500.0]
    assert gaps_in([0.0, 1.0, 4.0], Span(1, 3)) == [1000.0]


def test_even_traffic_has_a_ratio_of_one() -> None:
    windows = alternating(40)
    figures = gap_figures(instants([(0, 120, STEP)]), windows)
    assert figures.ratio == pytest.approx(1.0)
    assert figures.windows == {"rotation": 20, "steady": 20, "fault": 0}


def test_gaps_planted_in_rotation_windows_raise_the_ratio() -> None:
    spans = []
    for window in alternating(40):
        start, middle, end = window.span.start, window.span.start + 2, window.span.end
        wide = STEP * (3 if window.kind == "rotation" else 1)
        spans += [(start, middle, wide), (middle, end, STEP)]
    figures = gap_figures(instants(spans), alternating(40))
    assert figures.ratio == pytest.approx(3.0, rel=0.05)
    assert figures.ratio_low == pytest.approx(3.0, rel=0.05)


def test_silent_window_is_the_worst_gap_not_the_best() -> None:
    windows = alternating(2)
    figures = gap_figures(instants([(0, 3, STEP)]), windows)
    assert figures.rotation_median_of_max == WINDOW_SECONDS * 1000


def test_without_windows_of_a_kind_there_is_no_ratio() -> None:
    figures = gap_figures(instants([(0, 9, STEP)]), cut(Span(0, 9), [], []))
    assert (figures.ratio, figures.ratio_low, figures.ratio_high) == (None, None, None)


def test_interval_is_wider_the_more_the_windows_differ() -> None:
    draw = random.Random(1)  # noqa: S311  repeatable, and no secret
    calm, wild = (
        gap_figures(sorted(draw.uniform(0, 240) for _ in range(count)), alternating(80))
        for count in (24_000, 480)
    )
    for figures in (calm, wild):
        assert figures.ratio is not None
        assert figures.ratio_low is not None
        assert figures.ratio_high is not None
        assert figures.ratio_low <= figures.ratio <= figures.ratio_high
    assert width(wild) > width(calm)


def width(figures: GapFigures) -> float:
    return (figures.ratio_high or 0) - (figures.ratio_low or 0)

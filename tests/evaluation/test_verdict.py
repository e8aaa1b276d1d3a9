"""Each rule of the verdict fails when its fault is planted, and only that rule."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from evaluation.footprint import PROMISED, Footprint
from evaluation.timeline import KeyRotations
from evaluation.verdict import Messages, Refusals, Verdict, Wanted
from evaluation.windows import GapFigures

WANTED = Wanted(6, 10, per_second=200.0, compares_gaps=True)
MESSAGES = Messages(
    attempted=1000,
    acked=1000,
    lost=0,
    duplicates=0,
    answered_twice=0,
    unexpected=0,
    recovered=0,
    unknown=0,
)
GAPS = GapFigures(
    steady_median_of_max=10.0,
    rotation_median_of_max=10.5,
    steady_p999=12.0,
    rotation_p999=12.0,
    windows={"steady": 30, "rotation": 30, "fault": 5},
    ratio_low=0.9,
    ratio_high=1.2,
)
NO_REFUSALS = Refusals(signature=0, decryption=0, other=0, older_key=0)
SIZE = Footprint(
    memory_megabytes=PROMISED.memory_megabytes,
    disk_megabytes=PROMISED.disk_megabytes,
    seconds=PROMISED.seconds - 1,
    is_fresh=True,
    is_judged=True,
)
GOOD = Verdict(
    profile="compressed",
    ca_rotations_completed=6,
    keys=KeyRotations(topic=10, signing=10),
    messages=MESSAGES,
    answered_per_second=199.0,
    wanted=WANTED,
    refused=NO_REFUSALS,
    faults_injected=[],
    ack_gap_ms=GAPS,
    publish_gap_ms=GAPS,
    process_restarts_outside_faults=0,
    excuses=0,
    seconds={},
    resident_megabytes={},
    footprint=SIZE,
)


def test_a_run_that_shows_everything_passes() -> None:
    verdict = GOOD.judged()
    assert verdict.failures == []
    assert verdict.to_json()["ok"] is True


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"ca_rotations_completed": 5}, "fewer than 6 CA rotations"),
        ({"keys": KeyRotations(9, 10)}, "fewer than 10 key rotations in messages"),
        ({"keys": KeyRotations(10, 9)}, "fewer than 10 key rotations in messages"),
        ({"messages": replace(MESSAGES, lost=1)}, "messages were lost"),
        ({"messages": replace(MESSAGES, duplicates=1)}, "effects happened twice"),
        ({"messages": replace(MESSAGES, answered_twice=1)}, "requests got two different answers"),
        ({"messages": replace(MESSAGES, unexpected=1)}, "effects that nobody asked for"),
        ({"messages": replace(MESSAGES, attempted=0)}, "no message was sent"),
        ({"answered_per_second": 190.0}, "less than 200 requests/s were answered"),
        ({"refused": replace(NO_REFUSALS, signature=1)}, "signatures failed"),
        ({"refused": replace(NO_REFUSALS, decryption=1)}, "messages could not be decrypted"),
        ({"refused": replace(NO_REFUSALS, other=1)}, "messages were refused"),
        ({"process_restarts_outside_faults": 1}, "processes restarted that nobody killed"),
        ({"excuses": 1}, "a gate was passed without its evidence"),
        ({"excuses": None}, "no status says whether gates were passed without evidence"),
        (
            {"ack_gap_ms": replace(GAPS, windows={"steady": 19, "rotation": 30, "fault": 0})},
            "fewer than 20 windows of a kind",
        ),
        (
            {"ack_gap_ms": replace(GAPS, rotation_median_of_max=14.0, ratio_low=1.21)},
            "rotation gaps are shown to be over 1.2 times the steady ones",
        ),
        (
            {"ack_gap_ms": replace(GAPS, ratio_low=None)},
            "rotation gaps are shown to be over 1.2 times the steady ones",
        ),
        (
            {"ack_gap_ms": replace(GAPS, rotation_median_of_max=15.1)},
            "rotation gaps are over 1.5 times the steady ones",
        ),
        (
            {"ack_gap_ms": replace(GAPS, steady_median_of_max=None)},
            "rotation gaps are over 1.5 times the steady ones",
        ),
    ],
)
def test_a_planted_fault_fails_the_verdict(changes: dict[str, Any], failure: str) -> None:
    verdict = replace(GOOD, **changes).judged()
    assert verdict.failures == [failure]
    assert verdict.to_json()["ok"] is False


@pytest.mark.parametrize("factor", [0.7, 1.3])
@pytest.mark.parametrize("what", ["memory_megabytes", "disk_megabytes"])
def test_memory_and_disk_off_by_more_than_a_quarter_fail(what: str, factor: float) -> None:
    size = replace(SIZE, **{what: getattr(SIZE, what) * factor})
    [failure] = replace(GOOD, footprint=size).judged().failures
    assert failure.startswith(what.removesuffix("_megabytes"))


def test_a_run_that_took_longer_than_promised_fails() -> None:
    size = replace(SIZE, seconds=PROMISED.seconds + 1)
    [failure] = replace(GOOD, footprint=size).judged().failures
    assert "README.md says" in failure


def test_disk_of_an_older_platform_is_not_judged() -> None:
    size = replace(SIZE, disk_megabytes=SIZE.disk_megabytes * 5, is_fresh=False)
    assert replace(GOOD, footprint=size).judged().ok


def test_what_could_not_be_shown_is_named_and_not_zero() -> None:
    verdict = replace(GOOD, messages=replace(MESSAGES, duplicates=None)).judged()
    told = json.loads(json.dumps(verdict.to_json()))
    assert told["ok"] is True
    assert told["duplicates"] is None
    assert told["not_claimed"] == [
        "that no effect happens in two instances: every service has one here"
    ]

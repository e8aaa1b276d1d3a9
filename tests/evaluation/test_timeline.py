from __future__ import annotations

from statuses import START, epoch, iso, status

from evaluation.checker import KeyUse
from evaluation.timeline import (
    activations,
    active_spans,
    excuses,
    key_rotations,
    renewals,
    steps,
)
from evaluation.windows import Span

RUN = Span(START, START + 100)


def test_steps_are_told_once_and_in_order_however_often_they_are_seen() -> None:
    first = status(START + 5, epoch(1, active=START + 1))
    later = status(START + 9, epoch(1, active=START + 1, legacy=START + 8))
    found = steps([first, later], RUN)
    assert [(step.epoch, step.state) for step in found] == [(1, "active"), (1, "legacy")]


def test_step_outside_the_run_does_not_count() -> None:
    seen = [status(START, epoch(1, active=START - 1), epoch(2, active=RUN.end))]
    assert activations(seen, RUN) == 0


def test_rotation_windows_are_where_trust_or_leaf_certificates_change() -> None:
    window = {"epoch": 2, "opens_at": iso(START + 20), "closes_at": iso(START + 30)}
    entry = epoch(2, distributed=START + 5, confirmed=START + 8, active=START + 20)
    seen = [status(START + 40, entry, ca={"renewal": window})]
    spans = active_spans(steps(seen, RUN), renewals(seen, RUN))
    assert spans == [Span(START + 5, START + 9), Span(START + 20, START + 31)]


def test_excuses_of_the_run_are_counted_once() -> None:
    excuse = {"at": iso(START + 5), "subject": "nats-1"}
    old = {"at": iso(START - 5), "subject": "nats-2"}
    seen = [
        status(at, epoch(1, active=START), ca={"excuses": [old, excuse]})
        for at in (START + 50, START + 99)
    ]
    assert excuses(seen, RUN) == 1


def test_excuse_that_the_record_has_forgotten_still_counts() -> None:
    excuse = {"at": iso(START + 5), "subject": "nats-1"}
    seen = [
        status(START + 50, epoch(1, active=START), ca={"excuses": [excuse]}),
        status(START + 99, epoch(1, active=START)),
    ]
    assert excuses(seen, RUN) == 1


def test_without_a_status_excuses_are_unknown_not_none() -> None:
    assert excuses([], RUN) is None


def test_a_status_too_old_for_the_end_of_the_run_leaves_excuses_unknown() -> None:
    assert excuses([status(START + 10, epoch(1, active=START))], RUN) is None


def used(*keys: tuple[int, str]) -> list[KeyUse]:
    return [KeyUse(START + number, at, name) for number, (at, name) in enumerate(keys)]


def test_key_rotations_are_those_that_arrived_in_messages() -> None:
    found = key_rotations(used((1, "a"), (1, "a"), (2, "b"), (3, "c"), (2, "b")))
    assert (found.topic, found.signing, found.completed) == (2, 2, 2)


def test_a_clock_that_turns_without_new_keys_is_no_rotation() -> None:
    assert key_rotations(used(*[(1, "a")] * 10)).completed == 0
    assert key_rotations(used((1, "a"), (2, "a"), (3, "a"))).completed == 0
    assert key_rotations([]).completed == 0

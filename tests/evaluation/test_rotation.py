"""A first rotation is proven by names, order and ledgers; anything less says so."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from statuses import START, epoch, status

from demo import picture, rotation
from demo.rotation import Rotation, is_proven, lines
from evaluation.verdict import Messages

MESSAGES = Messages(
    attempted=100,
    acked=90,
    lost=0,
    duplicates=None,
    answered_twice=0,
    unexpected=0,
    recovered=0,
    unknown=10,
)
OLD = epoch(1, active=START - 60)
NEW = epoch(2, prepared=START + 1, distributed=START + 2, confirmed=START + 6, active=START + 20)


def seen() -> Rotation:
    before = status(START + 19, OLD)
    after = status(START + 21, epoch(1, active=START - 60, legacy=START + 21), NEW)
    found = rotation.first([before, after], START)
    assert found is not None
    return found


def test_epoch_that_was_active_before_the_load_is_no_rotation() -> None:
    assert rotation.first([status(START + 5, OLD)], START) is None


def test_rotation_names_who_showed_the_trust_set_and_only_them() -> None:
    found = seen()
    assert (found.epoch, found.previous) == (2, 1)
    assert found.servers == ("nats-1",)
    assert found.members == ("gatekeeper/1",)
    assert is_proven(found, MESSAGES)


def test_who_showed_a_set_that_was_replaced_at_once_still_counts() -> None:
    told = epoch(2, prepared=START + 1, distributed=START + 2, confirmed=START + 6)
    during = status(START + 7, OLD, told)
    replaced = {"bundle": {"digest": "f" * 64}}
    after = status(START + 21, NEW, ca=replaced)
    found = rotation.first([during, after], START)
    assert found is not None
    assert (found.servers, found.members) == (("nats-1",), ("gatekeeper/1",))


def test_who_showed_a_set_before_the_epoch_was_in_it_does_not_count() -> None:
    before = status(START + 1, OLD, epoch(2, prepared=START + 1))
    after = status(START + 21, NEW, ca={"bundle": {"digest": "f" * 64}})
    found = rotation.first([before, after], START)
    assert found is not None
    assert (found.servers, found.members) == ((), ())


@pytest.mark.parametrize(
    "fault",
    [
        {"servers": ()},
        {"members": ()},
        {"steps": {"active": START + 20}},
        {"steps": {"active": START + 20, "confirmed": START + 21}},
    ],
)
def test_rotation_without_its_evidence_is_not_proven(fault: dict[str, object]) -> None:
    assert not is_proven(replace(seen(), **fault), MESSAGES)  # type: ignore[arg-type]  # a table


@pytest.mark.parametrize("fault", [{"lost": 1}, {"acked": 0}])
def test_rotation_is_not_proven_when_messages_were_lost_or_none_was_sent(
    fault: dict[str, int],
) -> None:
    messages = replace(MESSAGES, **fault)
    assert not is_proven(seen(), messages)
    assert "NOT PROVEN" in lines(seen(), messages, 42.0)[0]


def test_lines_say_epoch_names_moments_losses_and_time() -> None:
    text = "\n".join(lines(seen(), MESSAGES, 42.4))
    assert "rotation proven: CA epoch 2 signs now, instead of 1" in text
    assert "nats-1" in text
    assert "gatekeeper/1" in text
    assert "confirmed " in text
    assert "0 of 90 acknowledged" in text
    assert "42 s since the command" in text


def test_picture_is_an_svg_that_needs_no_network() -> None:
    svg = picture.draw(seen(), lines(seen(), MESSAGES, 42.0))
    ET.fromstring(svg)  # noqa: S314  # made a line above
    assert "https://" not in svg
    assert "proven" in svg.replace("&#160;", " ")

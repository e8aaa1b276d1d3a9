"""The record of what the machine lends; the changes themselves are tested on a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import record
from lab.errors import LabError
from lab.paths import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_nothing_recorded_is_no_error(state: State) -> None:
    assert record.recorded(state) is None


def test_a_record_of_an_earlier_boot_does_not_count(state: State) -> None:
    state.host.write_text(json.dumps({"boot": "earlier", "settings": {"kernel.panic": "0"}}))
    assert record.recorded(state) is None


def test_a_record_of_this_boot_counts(state: State) -> None:
    boot = record.Record().boot
    state.host.write_text(json.dumps({"boot": boot, "settings": {"kernel.panic": "0"}}))
    found = record.recorded(state)
    assert found is not None
    assert found.settings == {"kernel.panic": "0"}


@pytest.mark.parametrize("text", ["", "{", '{"strange": 1}', "[]"])
def test_a_broken_record_is_told_in_one_line_with_what_to_do(state: State, text: str) -> None:
    state.host.write_text(text)
    with pytest.raises(LabError, match=r"host.json cannot be read: .*lab down"):
        record.recorded(state)


@pytest.mark.parametrize("name", ["c1", "c9", "host.json", "host.json.new"])
def test_what_the_lab_makes_is_its_part(name: str) -> None:
    assert record.is_part(Path(name))


@pytest.mark.parametrize("name", ["c0", "c10", "c", "c1x", "c01", "d1", "letters", "c1.new"])
def test_what_it_does_not_make_is_not(name: str) -> None:
    assert not record.is_part(Path(name))

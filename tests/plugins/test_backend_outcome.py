# SPDX-License-Identifier: Apache-2.0
"""What changes is told the same way in check mode, and nothing changes before all was compared."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from module_utils._errors import ImmutableFieldError, PlatformError
from module_utils._outcome import Outcome, Step, ensure_each, reconcile


class Shelf:
    """Objects by name, as a server would have them.

    Attributes:
        held: The objects.
        calls: Every change that was made.
    """

    def __init__(self, **held: dict[str, int]) -> None:
        self.held = held
        self.calls: list[str] = []

    def ensure(self, name: str, wanted: dict[str, int] | None, check_mode: bool) -> Outcome:
        """Have an object with these fields; its ``size`` cannot change."""
        current = self.held.get(name)
        if current and wanted and current.get("size") != wanted.get("size"):
            raise ImmutableFieldError(name, "size", current.get("size"), wanted.get("size"))

        def apply() -> None:
            self.calls.append(name)
            self.held[name] = wanted or {}

        return reconcile(current, wanted, apply=apply, check_mode=check_mode)


@pytest.mark.parametrize("check_mode", [True, False])
def test_only_fields_that_are_named_and_differ_are_told(check_mode: bool) -> None:
    shelf = Shelf(a={"size": 1, "colour": 2, "other": 3})
    outcome = shelf.ensure("a", {"size": 1, "colour": 5}, check_mode)
    assert (outcome.changed, outcome.before, outcome.after) == (True, {"colour": 2}, {"colour": 5})
    assert shelf.calls == ([] if check_mode else ["a"])


def test_an_object_that_is_as_wanted_is_left_alone() -> None:
    shelf = Shelf(a={"size": 1})
    assert shelf.ensure("a", {"size": 1}, False) == Outcome(changed=False)
    assert shelf.ensure("none", None, False) == Outcome(changed=False)
    assert shelf.calls == []


def steps(shelf: Shelf, **wanted: dict[str, int]) -> Iterator[Step]:
    """Return one step per object."""
    for name, fields in wanted.items():
        yield f"box {name}", partial(shelf.ensure, name, fields)


@pytest.mark.parametrize("check_mode", [True, False])
def test_several_objects_tell_each_change_by_name(check_mode: bool) -> None:
    shelf = Shelf(a={"size": 1}, b={"size": 2})
    outcome = ensure_each(
        lambda: steps(shelf, a={"size": 1, "colour": 4}, b={"size": 2}, c={"size": 3}), check_mode
    )
    assert outcome.facts == {"changed_objects": ["box a", "box c"]}
    assert outcome.after == {"box a": {"colour": 4}, "box c": {"size": 3}}
    assert outcome.before == {"box a": {}, "box c": {}}
    assert shelf.calls == ([] if check_mode else ["a", "c"])


def test_nothing_is_changed_when_a_later_object_cannot_be_changed() -> None:
    shelf = Shelf(b={"size": 2})
    with pytest.raises(PlatformError) as caught:
        ensure_each(lambda: steps(shelf, a={"size": 1}, b={"size": 9}), False)
    assert caught.value.message.startswith("box b: b: size is 2 and cannot be changed to 9")
    assert caught.value.fields == {"field": "size"}
    assert shelf.calls == []

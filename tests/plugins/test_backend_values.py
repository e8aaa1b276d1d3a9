# SPDX-License-Identifier: Apache-2.0
"""What people write is one value, or one line that says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from module_utils._errors import PlatformError
from module_utils._values import (
    clean_path,
    coerce,
    comparable,
    seconds,
    subject_token,
    wanted_fields,
    within,
)

CENTURY = 100 * 365 * 86400


@pytest.mark.parametrize(
    ("text", "value"),
    [(0, 0), (90, 90), ("90", 90), (" 90s ", 90), ("1h30m", 5400), ("10d", 864000)],
)
def test_a_duration_is_whole_seconds(text: object, value: int) -> None:
    assert seconds(text, option="ttl") == value


@pytest.mark.parametrize(
    "text",
    ["", "ten", "-1", "1.5", 1.5, True, None, "s", "1 h", "1w", "²", "٣", "٣s", "1h\n2m", [], {}],
)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(PlatformError) as caught:
        seconds(text, option="ttl")
    assert caught.value.message.startswith("ttl: ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", [CENTURY + 1, 10**15, "1" * 5000, "36501d", "9" * 5000 + "h"])
def test_a_duration_ends_within_a_century(text: object) -> None:
    assert seconds(CENTURY, option="ttl") == CENTURY
    with pytest.raises(PlatformError, match=r"ttl: .* is longer than a hundred years"):
        seconds(text, option="ttl")


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans() | st.lists(st.text()))
def test_no_value_whatever_ends_in_anything_but_seconds_or_our_error(value: object) -> None:
    try:
        assert 0 <= seconds(value, option="ttl") <= CENTURY
    except PlatformError as err:
        assert "\n" not in err.message  # noqa: PT017  # either end is right


@pytest.mark.parametrize(
    ("wanted", "like", "value"),
    [
        (True, False, True),
        ("True", False, True),
        ("false", True, False),
        ("90s", 0, 90),
        (90, 0, 90),
        ("b, a,", [], ["a", "b"]),
        (["b", "a"], [], ["a", "b"]),
        (None, [], []),
        ("text", "", "text"),
    ],
)
def test_values_are_compared_in_the_servers_form(wanted: Any, like: Any, value: Any) -> None:
    assert coerce(wanted, like, option="x") == value


@pytest.mark.parametrize("wanted", ["yes", 1, 0, "", None])
def test_truth_is_true_or_false_and_nothing_else(wanted: object) -> None:
    with pytest.raises(PlatformError, match="is neither true nor false"):
        coerce(wanted, False, option="x")


def test_fields_that_are_not_given_have_their_defaults_and_unknown_ones_are_refused() -> None:
    defaults = {"ttl": 0, "names": []}
    assert wanted_fields({"ttl": "1m"}, defaults, what="a role") == {"ttl": 60, "names": []}
    with pytest.raises(PlatformError, match="a role has no ltt, x"):
        wanted_fields({"x": 1, "ltt": 1, "ttl": 1}, defaults, what="a role")
    assert comparable({"ttl": 60, "more": 1, "names": None}, defaults) == {"ttl": 60, "names": []}
    assert comparable(None, defaults) is None


@pytest.mark.parametrize("text", ["a", "/a/b/", "a.b", "nats_int", "a-b/c_d"])
def test_a_path_keeps_its_folder(text: str) -> None:
    assert clean_path(text, option="path") == text.strip("/")


@pytest.mark.parametrize("text", ["", "/", "..", "a/../b", ".a", "a//b", "a b", "a\n", "ä", "a?b"])
def test_a_path_that_could_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(PlatformError, match="is not a path"):
        clean_path(text, option="path")


@pytest.mark.parametrize("text", ["", "a.b", "a b", "*", ">", "a\n", None, 5])
def test_a_name_that_is_more_than_one_token_is_refused(text: object) -> None:
    with pytest.raises(PlatformError, match="is not a name"):
        subject_token(text, option="name")


def test_limits_are_included() -> None:
    assert [within(value, 1, 3, option="nodes") for value in (1, 3)] == [1, 3]
    for value in (0, 4):
        with pytest.raises(PlatformError, match=f"nodes: {value} is not between 1 and 3"):
            within(value, 1, 3, option="nodes")

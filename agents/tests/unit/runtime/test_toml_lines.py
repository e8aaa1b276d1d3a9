"""A complaint about a value of a file says the line, as far as the file is written as usual."""

from __future__ import annotations

import pytest

from securetransport.runtime.toml_lines import line_of

TEXT = """\
# a comment = 1
top = 1

[identity]
service = "a"
"instance" = "b"
nested = {deep = 1}

[[servers]]
name = "one"
[[servers]]
name = "two"

[a.b]
c = 1
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 2),
        (("identity",), 4),
        (("identity", "service"), 5),
        (("identity", "instance"), 6),
        (("identity", "nested", "deep"), 7),
        (("identity", "absent"), 4),
        (("servers", 0, "name"), 10),
        (("servers", 1, "name"), 12),
        (("servers", 1, "absent"), 11),
        (("a", "b", "c"), 15),
        (("absent",), None),
        ((), None),
    ],
)
def test_the_line_of_a_key_is_found(place: tuple[str | int, ...], line: int | None) -> None:
    assert line_of(TEXT, place) == line


@pytest.mark.parametrize("text", ["", "\x00", "[", "]", "[[", "= 1", "[]\na = 1", "a" * 10_000])
def test_no_text_is_a_reason_to_fail(text: str) -> None:
    line_of(text, ("a", "b"))

# SPDX-License-Identifier: Apache-2.0
"""What is written for supervisord is what supervisord reads."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from module_utils._errors import PlatformError
from module_utils._local.programs import ProgramSpec
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser


def spec(**changes: Any) -> ProgramSpec:
    fields: dict[str, Any] = {
        "name": "clock-1",
        "command": ["/bin/clock"],
        "directory": None,
        "environment": {},
        "digest": "one",
        "stop_seconds": 10,
    }
    return ProgramSpec(**{**fields, **changes})


def read(text: str) -> dict[str, str]:
    """Return the values as supervisord's own parser has them, percent signs taken back."""
    parser = UnhosedConfigParser()
    parser.read_string(text)
    return {name: value.replace("%%", "%") for name, value in parser.items("program:clock-1")}


def test_a_program_logs_into_the_folder_and_its_output_apart_when_asked() -> None:
    values = read(spec().render("/srv/x"))
    assert values["directory"] == "/srv/x"
    assert values["stdout_logfile"] == "/srv/x/log/clock-1.log"
    assert values["redirect_stderr"] == "true"
    values = read(spec(stdout_file="/srv/x/audit.log", directory="/srv/y").render("/srv/x"))
    assert values["directory"] == "/srv/y"
    assert values["stdout_logfile"] == "/srv/x/audit.log"
    assert values["stderr_logfile"] == "/srv/x/log/clock-1.log"
    assert values["redirect_stderr"] == "false"


def test_another_digest_is_another_file() -> None:
    assert spec().render("/x") != spec(digest="two").render("/x")


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])), min_size=1),
    st.text(st.characters(codec="ascii")),
)
@example(["a ;b"], "")
@example(["a #b"], "")
@example(["a\nb"], "")
@example(["100%%"], "100%%")
@example([], 'x"y')
@example([], "'x'")
@example([], "a,b=c")
def test_command_and_variables_arrive_as_they_were_or_are_refused(
    command: list[str], variable: str
) -> None:
    program = spec(command=["/bin/clock", *command], environment={"A": variable})
    try:
        text = program.render("/srv/x")
    except PlatformError as err:
        assert "\n" not in err.message  # noqa: PT017  # either end is right
        return
    values = read(text)
    assert shlex.split(values["command"]) == ["/bin/clock", *command]
    told = dict_of_key_value_pairs(values["environment"])
    assert told == {"A": variable, "CONFIGURATION_DIGEST": "one"}


@pytest.mark.parametrize("name", ["", "../x", "a b", "a:b", "a\n", ".x", "a/b", "a]"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(PlatformError, match="is not a name"):
        spec(name=name).render("/srv/x")

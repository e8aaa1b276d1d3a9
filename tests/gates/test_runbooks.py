"""The runbooks name every reason that the code can give, in its words, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pages import GAP, Function, code_spans, functions, rows, section, text_of, words

from securetransport.core.decisions.member.publishing import Obstacle
from securetransport.core.decisions.member.settling import LAST_DELIVERY, Park, Refused, refused
from securetransport.core.trust.opening import Refusal

READINESS = text_of("runbooks/member-not-ready.md")
LETTERS = text_of("runbooks/dead-letters.md")
HOLDS = text_of("runbooks/rotation-waits.md")


def told(page: str, heading: str, first_column: str) -> set[str]:
    """Return the reasons in a table: the code spans of its first column."""
    cells = [row[0] for row in rows(section(page, heading), first_column)]
    return {span for cell in cells for span in code_spans(cell)}


def same(on_page: set[str], in_code: set[str]) -> None:
    """Refuse a difference, and say which rows to write and which to remove."""
    lines = [f"no row for: {text}" for text in sorted(in_code - on_page)]
    lines += [f"a row that nothing says: {text}" for text in sorted(on_page - in_code)]
    assert not lines, "\n".join(lines)


def said(found: Iterable[Function]) -> set[str]:
    """Return the sentences in some functions: literals of more than one word."""
    return {text for node in found for text in words(node) if " " in text.strip(f" {GAP}")}


# --- not ready -------------------------------------------------------------------------------


def test_every_reason_not_to_be_ready_has_a_row() -> None:
    reasons = said(node for _, node in functions(r"_?not_ready(_reasons)?|extra_reasons"))
    reasons |= {text for _, node in functions("_reasons") for text in words(node)}
    same(told(READINESS, "Reasons", "reason"), reasons)


def test_every_thing_that_a_keeper_waits_for_has_a_row() -> None:
    rests = [argument for _, argument in first_arguments("Wait", "server_files/decide.py")]
    made = {_called(node) for node in rests if isinstance(node, ast.Call)}
    waits = {text for node in rests for text in words(node)}
    waits |= {text for name in made for _, node in functions(name) for text in returned(node)}
    waits |= {text for _, node in first_arguments("_rest") for text in words(node)} - {"; "}
    waits |= {"the first round"}  # before any step
    same(told(READINESS, "What a keeper waits for", "waits for"), waits)


def test_every_thing_that_a_server_start_waits_for_has_a_row() -> None:
    path = functions("missing_for_start")[0][0]
    found = functions("missing_for_start|_missing_.*")
    waits = {text for place, node in found if place == path for text in returned(node)}
    same(told(READINESS, "What a server start waits for", "waits for"), waits)


# --- messages -------------------------------------------------------------------------------


def test_every_obstacle_of_publishing_has_a_row_that_says_whether_waiting_helps() -> None:
    table = rows(section(READINESS, "What keeps a member from publishing"), "code of publish")
    said_so = {span: row[2] == "yes" for row in table for span in code_spans(row[0])}
    assert said_so == {code.value: not code.is_lasting for code in Obstacle}


def test_every_code_of_a_dead_letter_has_a_row() -> None:
    parked = {
        code.value
        for code in Refusal
        if isinstance(refused(Refused(code, None, LAST_DELIVERY)), Park)
    }
    unsettled = {"transient", "failed", "deliveries"}
    same(told(LETTERS, "What to do, by code", "parked for"), parked | unsettled)


# --- holds -----------------------------------------------------------------------------------


def test_everything_that_a_rotation_waits_for_has_a_row() -> None:
    path = functions("servers_confirm")[0][0]
    gates = {node for place, node in functions(".*") if place == path}
    constants = {text for text in constants_of(path) if ": " in text}
    waiting = {function for function, _ in calls("Wait", "decisions/ca/")}
    lines = {text for text in said(gates | waiting) if ": " in text} | constants
    same(told(HOLDS, "What it waits for", "status prints"), lines)


def test_every_step_that_can_wait_has_a_row() -> None:
    steps = {
        text
        for function, call in calls("Wait", "decisions/ca/")
        for node in meant(step_of(call), function)
        for text in words(node)
    }
    same(told(HOLDS, "Which step waits", "step"), steps)


# --- reading code ----------------------------------------------------------------------------


def constants_of(path: Path) -> set[str]:
    """Return the sentences that a module keeps as constants; fields are gaps."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    values = [entry.value for entry in body if isinstance(entry, ast.AnnAssign)]
    texts = [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
    return {re.sub(r"{[^}]*}", GAP, text) for text in texts}


def step_of(call: ast.Call) -> ast.expr:
    """Return what a call of ``Wait`` gives as its step: by name, or as the third argument."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "step"]
    return named[0] if named else call.args[2]


@cache
def _all_calls() -> tuple[tuple[Path, Function, ast.Call], ...]:
    return tuple(
        (path, function, node)
        for path, function in functions(".*")
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    )


def calls(name: str, place: str = "") -> list[tuple[Function, ast.Call]]:
    """Return the calls of ``name`` in files whose path has ``place``, with their functions."""
    return [
        (function, call)
        for path, function, call in _all_calls()
        if _called(call) == name and place in path.as_posix()
    ]


def first_arguments(name: str, place: str = "") -> list[tuple[Function, ast.expr]]:
    """Return what is given first to calls of ``name``."""
    return [(function, call.args[0]) for function, call in calls(name, place) if call.args]


def meant(node: ast.expr, function: Function) -> list[ast.expr]:
    """Return ``node``, or what the function assigns to it when it is a variable."""
    if not isinstance(node, ast.Name):
        return [node]
    return [
        entry.value
        for entry in ast.walk(function)
        if isinstance(entry, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == node.id for target in entry.targets)
    ]


def returned(function: Function) -> set[str]:
    """Return the sentences that a function returns."""
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    return {text for node in returns for text in words(node) if " " in text}


def _called(node: ast.Call) -> str:
    target = node.func
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")

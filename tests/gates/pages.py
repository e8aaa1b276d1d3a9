"""What the tests of documents share: pages as tables, and the words that the code says.

Words are read from the syntax tree, not by importing, so a function may move to another module
without a change here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "agents" / "src" / "securetransport"
GAP = "…"
"""Stands for a value in a message, in the code's f-strings and on the pages alike."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def text_of(page: str) -> str:
    """Return a page of ``docs/``, or of the root when it begins with a slash."""
    path = ROOT / page.lstrip("/") if page.startswith("/") else DOCS / page
    return path.read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"no section {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found.group(1))}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str, first_column: str) -> list[list[str]]:
    """Return the rows of every table whose first column has this name; there is at least one."""
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    found = [table.strip().splitlines() for table in tables if _cells(table)[0] == first_column]
    assert found, f"no table begins with the column {first_column!r}"
    return [_cells(line) for table in found for line in table[2:]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.splitlines()[0].strip().strip("|").split("|")]


def code_spans(text: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Return every module of the package with its syntax tree."""
    return tuple(
        (path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))
    )


@cache
def _all_functions() -> tuple[tuple[Path, Function], ...]:
    return tuple(
        (path, node)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def functions(name: str) -> list[tuple[Path, Function]]:
    """Return every function whose name matches the pattern ``name`` as a whole."""
    found = [entry for entry in _all_functions() if re.fullmatch(name, entry[1].name)]
    assert found, f"the package has no function {name!r} any more: adapt this test"
    return found


def constant(name: str) -> object:
    """Return the literal value of the module-level constant ``name``, wherever it is."""
    found = [
        node.value
        for _, tree in modules()
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and name in {target.id for target in _targets(node) if isinstance(target, ast.Name)}
    ]
    assert len(found) == 1, f"the package has {len(found)} constants {name!r}: adapt this test"
    return ast.literal_eval(found[0])


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def words(node: ast.AST, keep: Callable[[str], bool] = lambda _: True) -> set[str]:
    """Return the sentences that stand literally in a piece of code, without docstrings.

    A value in an f-string becomes ``…``; neighbouring literals are one sentence.
    """
    return {text for text in _words(node) if keep(text)}


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
        return
    if isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values
        )
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _words(part.value)
        return
    for child in ast.iter_child_nodes(node):
        yield from _words(child)


@cache
def strings() -> frozenset[str]:
    """Return every string and bytes constant of the package."""
    values = (
        node.value
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )
    return frozenset(
        value if isinstance(value, str) else value.decode("latin-1") for value in values
    )

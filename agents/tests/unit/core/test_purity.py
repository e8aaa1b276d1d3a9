"""The core reads no clock and draws no randomness: both are arguments, so a simulation repeats.

The import contract refuses ``time``, ``random`` and ``secrets``; ``datetime``, ``os`` and ``uuid``
have other uses, so their calls are looked for here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import securetransport.core

CORE = Path(securetransport.core.__file__).parent
FORBIDDEN = frozenset(
    {
        "date.today",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "os.getenv",
        "os.getrandom",
        "os.urandom",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid.uuid6",
        "uuid.uuid7",
    }
)


def impure(source: str) -> list[str]:
    """Return the forbidden names that a module uses, called or passed on."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            tail = ".".join(ast.unparse(node).split(".")[-2:])
            if tail in FORBIDDEN:
                found.append(f"{node.lineno}: {tail}")
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found += [f"{node.lineno}: {name}" for name in names if name in FORBIDDEN]
    return found


def test_nothing_in_the_core_reads_a_clock_or_draws_randomness() -> None:
    found = {
        str(file.relative_to(CORE)): lines
        for file in sorted(CORE.rglob("*.py"))
        if (lines := impure(file.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "import datetime; datetime.datetime.now()",
        "from datetime import datetime; at = datetime.now(UTC)",
        "import os; salt = os.urandom(32)",
        "from os import urandom",
        "import uuid; uuid.uuid4()",
        "default = os.urandom",
    ],
)
def test_a_planted_call_is_found(line: str) -> None:
    assert impure(line)


@pytest.mark.parametrize("line", ["uuid.UUID(int=5)", "datetime(2026, 1, 1)", "os.path.join(a)"])
def test_other_uses_are_none_of_its_business(line: str) -> None:
    assert not impure(line)

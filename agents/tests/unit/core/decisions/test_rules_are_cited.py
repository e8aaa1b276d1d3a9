"""Each numbered rule of a decision is cited by a test: no rule loses its last test unseen."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2]
CITED_IN: dict[str, tuple[str, ...]] = {
    "broker_health": ("core/decisions/test_broker_health.py",),
    "ca.decide": ("core/decisions/test_decide.py", "core/decisions/test_gates.py"),
    "ca.gates": ("core/decisions/test_gates.py",),
    "server_files.decide": ("keeper/test_server_files.py",),
    "topic_keys": ("core/decisions/test_topic_keys.py", "metadata/test_authority_keys.py"),
}


def rules(module: str) -> set[str]:
    """Return the numbers of a docstring's list, with the letters of its parts: 3a, 3b."""
    found: set[str] = set()
    number = ""
    text = import_module(f"securetransport.core.decisions.{module}").__doc__ or ""
    for line in text.splitlines():
        if match := re.match(r"(\d+)\. ", line):
            number = match[1]
            found.add(number)
        elif match := re.match(r"   ([a-z])\. ", line):
            found.discard(number)
            found.add(f"{number}{match[1]}")
    return found


def cited(text: str) -> set[str]:
    """Return the numbers that docstrings name: ``Rule 4``, ``Rules 3c and 6``, ``Rules 4 to 6``."""
    phrases = re.findall(r"[Rr]ules? (\d+[a-z]?(?:(?:, | and )\d+[a-z]?)*)", text)
    return {number for phrase in phrases for number in re.findall(r"\d+[a-z]?", phrase)}


@pytest.mark.parametrize("module", CITED_IN)
def test_every_rule_is_cited_by_a_test(module: str) -> None:
    assert rules(module), "the docstring lists no rules"
    text = "".join((UNIT / name).read_text(encoding="utf-8") for name in CITED_IN[module])
    assert rules(module) - cited(text) == set()


def test_a_rule_without_a_test_is_found() -> None:
    assert cited("Rules 1 and 3d, Rule 7.") == {"1", "3d", "7"}
    assert rules("ca.decide") >= {"1", "2", "3a", "3b", "3c", "3d", "8"}

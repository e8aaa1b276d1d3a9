"""`securetransport explain` knows every reason that the code can give."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pages import ROOT, code_spans, rows, section, text_of

from securetransport.cli.explain import explain, known
from securetransport.core.base.errors import RejectedMessageError
from securetransport.core.decisions.check import CATALOGUE
from securetransport.core.decisions.member.publishing import Obstacle
from securetransport.core.trust.opening import Refusal

HOLDS = text_of("runbooks/rotation-waits.md")
READINESS = text_of("runbooks/member-not-ready.md")


def families(base: type[RejectedMessageError] = RejectedMessageError) -> set[str]:
    """Return the reason of every kind of refusal."""
    return {kind.reason for kind in base.__subclasses__()}


def told(page: str, heading: str, first_column: str) -> list[str]:
    return [
        span for row in rows(section(page, heading), first_column) for span in code_spans(row[0])
    ]


def test_what_explain_knows_is_what_the_documents_say() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reasons.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "reason",
    [
        *Refusal,
        *Obstacle,
        *sorted(families()),
        *CATALOGUE,
        *told(READINESS, "Reasons", "reason"),
        *told(READINESS, "What a keeper waits for", "waits for"),
        *told(READINESS, "What a server start waits for", "waits for"),
        *told(HOLDS, "What it waits for", "status prints"),
        *told(HOLDS, "Which step waits", "step"),
    ],
)
def test_every_reason_can_be_explained(reason: str) -> None:
    assert any(entry.reason == reason for entry in explain(reason))


def test_nothing_is_explained_twice_in_two_ways() -> None:
    pairs = [(entry.reason, entry.kind, entry.page) for entry in known()]
    assert sorted(set(pairs)) == sorted(pairs)


def test_a_line_with_its_values_is_explained() -> None:
    (found,) = explain("server nats-2: connections unknown")
    assert found.reason == "server …: connections unknown"

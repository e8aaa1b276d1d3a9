"""Which rows are run, and the table of their results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from securetransport.core.base.profile import PROFILES

RESULTS = Path(__file__).resolve().parents[3] / "build" / "cut-off"
_COLUMNS = ("row", "cut for s", "acked", "lost", "ready after s", "says while cut off")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--rows`` and ``--cut-seconds``."""
    group = parser.getgroup("cut-off")
    group.addoption("--rows", default="", help="rows to run, by commas; without it, every row")
    burst = PROFILES["burst"]
    longest = max(burst.ca_validity, burst.key_validity, burst.leaf_validity).total_seconds()
    group.addoption(
        "--cut-seconds",
        type=float,
        default=3 * longest,
        help="how long each is cut off; less than the default proves less",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the rows of this run, and of earlier ones, found."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    if not found:
        return
    terminalreporter.section("cut off")
    terminalreporter.write_line(" | ".join(_COLUMNS))
    for result in found:
        terminalreporter.write_line(" | ".join(str(result[column]) for column in _COLUMNS))

#!/usr/bin/env python3
"""Print one line over all test runs of ``.ci/run``, in the manner of pytest's last line.

Usage: ``ci_summary.py SECONDS EXIT_CODE``, both of the whole run. Reads ``build/junit/*.xml`` and
``build/gates.json``, which the nox sessions write, and ``build/not-run.txt``, one line for
each gate that this machine cannot run; those count as skipped. Ends non-zero when anything failed.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

BUILD = Path(__file__).resolve().parent.parent / "build"


def count_tests(folder: Path) -> dict[str, int]:
    """Return the numbers of passed, failed, skipped tests and errors in pytest's reports."""
    counts = dict.fromkeys(("failed", "passed", "skipped", "error"), 0)
    for report in sorted(folder.glob("*.xml")):
        for suite in ET.parse(report).iter("testsuite"):  # noqa: S314  # as above
            failed = int(suite.get("failures", "0"))
            errors = int(suite.get("errors", "0"))
            skipped = int(suite.get("skipped", "0"))
            counts["failed"] += failed
            counts["error"] += errors
            counts["skipped"] += skipped
            counts["passed"] += int(suite.get("tests", "0")) - failed - errors - skipped
    return counts


def main(seconds: str, exit_code: str) -> int:
    """Print the line and return the exit code."""
    counts = count_tests(BUILD / "junit")
    gates = BUILD / "gates.json"
    stages = json.loads(gates.read_text(encoding="utf-8")) if gates.exists() else []
    broken = [stage["name"] for stage in stages if stage["result"] == "FAILED"]
    if broken:
        print(f"gates that failed: {', '.join(broken)}")
    not_run = BUILD / "not-run.txt"
    missing = not_run.read_text(encoding="utf-8").splitlines() if not_run.exists() else []
    for line in missing:
        print(f"gate that did not run: {line}")
    counts["skipped"] += len(missing)
    is_bad = exit_code != "0" or bool(broken) or not stages
    if is_bad and not counts["failed"]:
        counts["error"] = max(counts["error"], len(broken), 1)
    is_bad = bool(is_bad or counts["failed"] or counts["error"])
    if counts["error"] > 1:
        counts["errors"] = counts.pop("error")
    shown = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    print(f"==== {shown or 'no tests ran'} in {float(seconds):.2f}s ====")
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

"""Take what `securetransport explain` knows from the tables of the documents.

Usage: ``python tools/reasons.py [--check]``. The tables of the runbooks and of the wire format are
compared with the code by the gates, row by row; so what is taken from them is complete. Writes
``agents/src/securetransport/cli/reasons.json``; ``--check`` only says whether it is up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "agents" / "src" / "securetransport" / "cli" / "reasons.json"
# Page, first column of the tables, kind, and the column that holds the reason.
TABLES = (
    ("runbooks/member-not-ready.md", "reason", "why a process is not ready", 0),
    ("runbooks/member-not-ready.md", "code of publish", "why a member does not publish", 0),
    ("runbooks/dead-letters.md", "parked for", "why a message lies among the dead letters", 0),
    ("runbooks/member-not-ready.md", "waits for", "what a keeper or a server start waits for", 0),
    ("runbooks/rotation-waits.md", "status prints", "what a rotation waits for", 0),
    ("runbooks/rotation-waits.md", "step", "a step of the rotation that waits", 0),
    ("wire-format.md", "check|code", "why a message was refused: the check that failed", 1),
    ("wire-format.md", "check|reason", "why a document was refused: the check that failed", 1),
)
NUMBERED = 1  # tables whose first column is a number without a heading


def cells(line: str) -> list[str]:
    """Return the cells of a row."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield heading and rows of every table; an empty first column is left out."""
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        lines = [cells(line) for line in table.strip().splitlines()]
        skipped = NUMBERED if not lines[0][0] else 0
        yield lines[0][skipped:], [row[skipped:] for row in lines[2:]]


def plain(text: str) -> str:
    """Return a cell as a terminal shows it: links become the name of their page."""
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r"\1 (\2)", text)
    return text.replace("`", "").replace("\\|", "|")


def reasons() -> list[dict[str, object]]:
    """Return every reason with what its table says of it, in the order of the pages."""
    found: list[dict[str, object]] = []
    for page, columns, kind, place in TABLES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        wanted = columns.split("|")
        for heading, rows in tables(text):
            if heading[: len(wanted)] != wanted:
                continue
            for row in rows:
                said = {
                    name: plain(cell)
                    for number, (name, cell) in enumerate(zip(heading, row, strict=True))
                    if number != place
                }
                found += [
                    {"reason": span, "kind": kind, "page": f"docs/{page}", "says": said}
                    for span in re.findall(r"`([^`\n]+)`", row[place])
                ]
    return [*found, *families(found)]


def families(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the few words that counters have for the many codes of refused messages."""
    codes: dict[str, list[str]] = {}
    for row in found:
        said = row["says"]
        if isinstance(said, dict) and "code" not in said and "check" in said and "reason" in said:
            codes.setdefault(str(said["reason"]), []).append(str(row["reason"]))
    kind = "why a message was refused, as counters have it"
    return [
        {"reason": name, "kind": kind, "page": "docs/wire-format.md",
         "says": {"one of the codes": ", ".join(listed)}}
        for name, listed in sorted(codes.items())
    ]  # fmt: skip


def main() -> None:
    """Write the file, or say that it is old."""
    text = json.dumps(reasons(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        if not OUT.exists() or OUT.read_text(encoding="utf-8") != text:
            sys.exit(f"{OUT.relative_to(ROOT)} is not what the documents say: tools/reasons.py")
        return
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

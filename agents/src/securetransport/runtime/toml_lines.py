"""Where in a TOML text a key stands, so that a complaint about its value says the line.

Python's reader keeps no lines. This one looks for table headers and for keys at the start of a
line, which is how the roles write their files and people theirs; a key that it does not find has
the line of its table, and one in no table that it knows has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_TABLE: Final = re.compile(r"\s*\[(?P<many>\[)?\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"\s*(?P<name>[A-Za-z0-9_.\"' -]+?)\s*=")


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Return the line of the deepest part of ``place`` that is found, from 1.

    Args:
        text: The file.
        place: Keys, and positions in lists of tables, from the root on.
    """
    best: tuple[int, int] | None = None
    here: tuple[str | int, ...] = ()
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        table = _TABLE.match(line)
        key = None if table else _KEY.match(line)
        if table:
            here = _parts(table["name"])
            if table["many"]:
                seen[table["name"]] = seen.get(table["name"], -1) + 1
                here = (*here, seen[table["name"]])
            found = here
        elif key:
            found = (*here, *_parts(key["name"]))
        else:
            continue
        if tuple(place[: len(found)]) == found and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return best[1] if best else None


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))

"""``securetransport explain REASON``: what a reason means, and what to do.

Known are the reasons of ``/readyz`` and of ``status``, the codes of refused messages and documents,
and the names of the checks. The first ones come from the documents' tables (``reasons.json``, made
by ``tools/reasons.py``), the last ones from the catalogue of the checks.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from securetransport.core.base.errors import NotFoundError
from securetransport.core.decisions.check import CATALOGUE

_GAP: Final = "…"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one reason.

    Attributes:
        reason: As it is printed; ``…`` stands for a value.
        kind: Where it comes from.
        says: What is told of it, by heading.
        page: Where more stands, empty for nowhere.
    """

    reason: str
    kind: str
    says: Mapping[str, str]
    page: str

    def fits(self, text: str) -> bool:
        """Whether a text is this reason, with any values in its gaps."""
        pattern = ".+".join(re.escape(part) for part in self.reason.split(_GAP))
        return re.fullmatch(pattern, text, re.IGNORECASE) is not None

    def lines(self) -> list[str]:
        """Return it for a terminal."""
        told = [f"{name}: {text}" for name, text in self.says.items() if text]
        more = [f"more: {self.page}"] if self.page else []
        return [f"{self.reason}  ({self.kind})", *(f"  {line}" for line in (*told, *more))]


@cache
def known() -> tuple[Explanation, ...]:
    """Return everything that can be explained."""
    told = json.loads(files(__package__).joinpath("reasons.json").read_text(encoding="utf-8"))
    reasons = [Explanation(row["reason"], row["kind"], row["says"], row["page"]) for row in told]
    checks = [
        Explanation(
            name,
            f"a check, {advice.area}",
            {"looks at": advice.looks_at, "why": advice.why, "do": advice.next},
            "",
        )
        for name, advice in CATALOGUE.items()
    ]
    return (*reasons, *checks)


def explain(text: str) -> list[Explanation]:
    """Return what fits a reason: the exact ones, or those of which it is a part.

    Raises:
        NotFoundError: Nothing fits; the nearest ones are named.
    """
    wanted = " ".join(text.split())
    entries = known()
    found = [entry for entry in entries if entry.reason.lower() == wanted.lower()]
    found = found or [entry for entry in entries if entry.fits(wanted)]
    if not found and len(wanted) > 3:  # a word, not a letter
        # A line of /readyz or of check holds the reason among other words.
        found = [entry for entry in entries if " " in entry.reason and _is_in(entry, wanted)]
    if not found:
        near = difflib.get_close_matches(wanted, [entry.reason for entry in entries], n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise NotFoundError(f"nothing is known of {wanted!r}{hint}")
    return found


def _is_in(entry: Explanation, text: str) -> bool:
    pattern = ".+?".join(re.escape(part) for part in entry.reason.split(_GAP))
    return re.search(pattern, text, re.IGNORECASE) is not None

"""Every check by name: what it looks at, why that matters, what to do next.

The table is ``catalogue.toml`` beside this module. In its commands ``{state}`` is the state
directory, ``{cluster}`` and ``{name}`` are the parts of a process, ``{subject}`` what is named.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from securetransport.core.decisions.check.finding import Finding


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person is told beside the finding.

    Attributes:
        area: Machine, files, credentials, certificates, configuration, processes, OpenBao, trust,
            servers, members, rotation, streams or clocks.
        looks_at: What the check compares.
        why: What does not work, or will not.
        next: The next command, or what to do by hand.
    """

    area: str
    looks_at: str
    why: str
    next: str

    def next_for(self, finding: Finding, state: str) -> str:
        """Return the next step with its names filled in.

        Args:
            finding: What was found.
            state: Path of the state directory.
        """
        cluster, _, rest = finding.subject.partition("/")
        names = {
            "{state}": state,
            "{cluster}": cluster,
            "{name}": rest.partition("/")[0],
            "{subject}": finding.subject,
            "{reason}": finding.what,
        }
        text = self.next
        for place, value in names.items():
            text = text.replace(place, value)
        return text


def _load() -> dict[str, Advice]:
    text = files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return {name: Advice(**told) for name, told in tomllib.loads(text).items()}


CATALOGUE: Final[dict[str, Advice]] = _load()
"""Every check by its name."""

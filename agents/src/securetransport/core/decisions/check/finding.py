"""One thing that is wrong, told so that a person can act."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name in the catalogue.
        subject: Of what: a file relative to the state directory, a process, a server, a stream.
        what: What is wrong with it.
        breaks: What does not work because of it, as words that other findings may need.
        needs: What must work for this to be a cause of its own.
    """

    check: str
    subject: str
    what: str
    breaks: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


def words(*parts: str) -> frozenset[str]:
    """Return what a finding breaks or needs."""
    return frozenset(parts)

"""Why a run cannot be judged; the command line prints it as one line."""

from __future__ import annotations


class EvaluationError(Exception):
    """The run cannot go on or be judged; the text says why and where to look."""


class EvidenceError(EvaluationError):
    """Something that the verdict needs could not be observed."""

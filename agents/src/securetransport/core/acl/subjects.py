"""NATS subjects with wildcards: does one match, contain or overlap another.

``*`` stands for exactly one token, ``>`` for one or more at the end. Pure text; nothing here knows
what a subject means.
"""

from __future__ import annotations


def contains(pattern: str, subject: str) -> bool:
    """Tell whether every subject that ``subject`` stands for is also one of ``pattern``.

    Args:
        pattern: A subject, wildcards allowed.
        subject: A subject, wildcards allowed; ``a.*`` is contained in ``a.>``, not the reverse.
    """
    wanted, given = pattern.split("."), subject.split(".")
    for position, part in enumerate(wanted):
        if part == ">":
            return len(given) > position
        if position >= len(given) or given[position] == ">":
            return False
        if part not in {"*", given[position]}:
            return False
    return len(given) == len(wanted)


def overlaps(one: str, other: str) -> bool:
    """Tell whether some subject belongs to both patterns."""
    left, right = one.split("."), other.split(".")
    for a, b in zip(left, right, strict=False):
        if ">" in {a, b}:
            return True
        if a != b and "*" not in {a, b}:
            return False
    return len(left) == len(right)


def is_literal(subject: str) -> bool:
    """Tell whether a subject holds no wildcard."""
    return not {"*", ">"} & set(subject.split("."))

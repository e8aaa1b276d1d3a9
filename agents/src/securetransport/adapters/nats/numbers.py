"""Numbers in what a server says: unsigned, 64 bits, or refused."""

from __future__ import annotations

from typing import Final, TypeGuard

_MAX: Final = 2**64 - 1
_MAX_DIGITS: Final = len(str(_MAX))


def is_unsigned(value: object) -> TypeGuard[int]:
    """Tell whether a decoded JSON value is a whole number of 64 bits; ``True`` is none."""
    return type(value) is int and 0 <= value <= _MAX


def unsigned(text: str) -> int:
    """Return the number that ``text`` states in decimal digits.

    Raises:
        ValueError: Anything else than ASCII digits, or more than 64 bits.
    """
    if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        raise ValueError("not a whole number of 64 bits")
    number = int(text)
    if number > _MAX:
        raise ValueError("not a whole number of 64 bits")
    return number

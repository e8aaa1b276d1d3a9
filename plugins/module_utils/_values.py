# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing what people write with what servers answer: durations, lists, truth, names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ._errors import PlatformError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]+)([smhd])")
_NUMBER: Final = re.compile(r"[0-9]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+")
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
# A century: within what OpenBao, NATS and Python's dates can hold.
_LONGEST_SECONDS: Final = 100 * 365 * 86400


def seconds(value: object, *, option: str) -> int:
    """Return a duration as whole seconds, at most a century.

    Args:
        value: An integer (seconds), or text such as ``90``, ``90s``, ``1h30m``, ``10d``.
        option: What to name in the error.

    Raises:
        PlatformError: Not such a duration.
    """
    text = str(value).strip()
    parts = _DURATION.findall(text)
    if _NUMBER.fullmatch(text):
        parts = [(text, "s")]
    elif not parts or "".join(number + unit for number, unit in parts) != text:
        raise PlatformError(
            f"{option}: {value!r} is not a duration; write seconds or for example 90s, 1h30m, 10d"
        )
    # The length first: Python refuses to read numbers of thousands of digits.
    is_long = any(len(number) > len(str(_LONGEST_SECONDS)) for number, _unit in parts)
    total = 0 if is_long else sum(int(number) * _UNITS[unit] for number, unit in parts)
    if is_long or total > _LONGEST_SECONDS:
        raise PlatformError(f"{option}: {text[:40]} is longer than a hundred years")
    return total


def coerce(wanted: Any, like: Any, *, option: str) -> Any:
    """Return ``wanted`` in the form in which the server gives ``like``.

    Durations become seconds, comma-separated text becomes a list; lists of text are sorted, since
    their order has no meaning where this is used.

    Raises:
        PlatformError: ``wanted`` cannot be such a value.
    """
    if isinstance(like, bool):
        truth = {"true": True, "false": False}.get(str(wanted).lower())
        if truth is None:
            raise PlatformError(f"{option}: {wanted!r} is neither true nor false")
        return truth
    if isinstance(like, int):
        return seconds(wanted, option=option)
    if isinstance(like, list) and isinstance(wanted, str):
        wanted = [part.strip() for part in wanted.split(",") if part.strip()]
    return canonical(wanted, like=like)


def canonical(value: Any, *, like: Any = None) -> Any:
    """Return ``value`` with lists of text sorted, and an empty list for ``None`` among lists."""
    if value is None and isinstance(like, list):
        return []
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return sorted(value)
    return value


def comparable(answer: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> Any:
    """Return the fields of ``defaults`` as a server has them; ``None`` for no answer."""
    if answer is None:
        return None
    return {
        name: canonical(answer.get(name, default), like=default)
        for name, default in defaults.items()
    }


def wanted_fields(
    given: Mapping[str, Any], defaults: Mapping[str, Any], *, what: str
) -> dict[str, Any]:
    """Return every field of ``defaults``, with the values given, in the server's form.

    Raises:
        PlatformError: A field is unknown, or its value cannot be.
    """
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise PlatformError(f"{what} has no {', '.join(unknown)}")
    return {
        name: coerce(given.get(name, default), default, option=f"{what}: {name}")
        for name, default in defaults.items()
    }


def clean_path(text: str, *, option: str) -> str:
    """Return a name or mount path without slashes at its ends.

    Raises:
        PlatformError: It could lead elsewhere: empty parts, dots at a start, other characters.
    """
    path = text.strip("/")
    if not _PATH.fullmatch(path):
        raise PlatformError(f"{option}: {text!r} is not a path of letters, digits, '_', '-', '.'")
    return path


def subject_token(text: object, *, option: str) -> str:
    """Return the name of a stream or consumer, which is one token of API subjects.

    Raises:
        PlatformError: It holds anything but letters, digits, ``_`` and ``-``.
    """
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise PlatformError(f"{option}: {text!r} is not a name of letters, digits, '_' and '-'")
    return text


def within(value: int, least: int, most: int, *, option: str) -> int:
    """Return ``value`` when it lies within the limits, both included.

    Raises:
        PlatformError: It does not.
    """
    if not least <= value <= most:
        raise PlatformError(f"{option}: {value} is not between {least} and {most}")
    return value

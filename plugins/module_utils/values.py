# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing what people write with what servers answer: durations, lists, truth, paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(\d+)([smhd])")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+")
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def seconds(value: Any, *, option: str) -> int:
    """Return a duration as whole seconds.

    Args:
        value: An integer (seconds), or text such as ``90``, ``90s``, ``1h30m``, ``10d``.
        option: What to name in the error.

    Raises:
        PlatformError: Not such a duration.
    """
    text = str(value).strip()
    if text.isdigit():
        return int(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise PlatformError(
            f"{option}: {value!r} is not a duration; write seconds or for example 90s, 1h30m, 10d"
        )
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def coerce(wanted: Any, like: Any, *, option: str) -> Any:
    """Return ``wanted`` in the form in which the server gives ``like``.

    Durations become seconds, comma-separated text becomes a list; lists of text are sorted, since
    their order has no meaning where this is used.

    Raises:
        PlatformError: ``wanted`` cannot be such a value.
    """
    if isinstance(like, bool):
        try:
            return boolean(wanted)
        except TypeError as err:
            raise PlatformError(f"{option}: {wanted!r} is not a truth value") from err
    if isinstance(like, int) and isinstance(wanted, str):
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


def wanted_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given; an option that was not has the value ``None``."""
    return {name: value for name, value in params.items() if value is not None}


def clean_path(text: str, *, option: str) -> str:
    """Return a name or mount path without slashes at its ends.

    Raises:
        PlatformError: It could lead elsewhere: empty parts, dots at a start, other characters.
    """
    path = text.strip("/")
    if not _PATH.fullmatch(path):
        raise PlatformError(f"{option}: {text!r} is not a path of letters, digits, '_', '-', '.'")
    return path


def nanoseconds(value: Any, *, option: str) -> int:
    """Return a duration of NATS: a number is nanoseconds already, text such as ``90s`` is not.

    Raises:
        PlatformError: Not such a duration.
    """
    if str(value).strip().isdigit():
        return int(value)
    return seconds(value, option=option) * 1_000_000_000


def subject_token(text: str, *, option: str) -> str:
    """Return the name of a stream or consumer, which is one token of API subjects.

    Raises:
        PlatformError: It holds anything but letters, digits, ``_`` and ``-``.
    """
    if not _TOKEN.fullmatch(text):
        raise PlatformError(f"{option}: {text!r} is not a name of letters, digits, '_' and '-'")
    return text

"""Values that more than one place reads: hosts, ports, addresses, durations.

The one place that says what such a value may look like: settings, roles, modules and the command
ask the functions here, so what one of them accepts, all accept. They judge the whole value: a line
feed at the end of a text is a part of it, a truth value is no number, and only ASCII digits count.
"""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import timedelta
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_DURATION: Final = re.compile(r"([0-9]{1,12})([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_HOST: Final = 253
_MAX_LABEL: Final = 63
_PORTS: Final = range(1, 65536)

LONGEST: Final = timedelta(days=100 * 365)
"""A century: within what OpenBao, NATS and Python's dates can hold."""


def parse_port(value: object) -> int:
    """Return a TCP port that somebody can listen on.

    Raises:
        ValueError: Not a whole number from 1 to 65535.
    """
    number = -1
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _DIGITS.fullmatch(value):
        number = int(value)
    if number not in _PORTS:
        raise ValueError(f"port {value!r} is not 1 to 65535")
    return number


def parse_host(text: object) -> str:
    """Return a host: an IPv4 address, a DNS name, or an IPv6 address, without brackets.

    Args:
        text: As people write it; an IPv6 address may have brackets.

    Raises:
        ValueError: None of these.
    """
    if not isinstance(text, str) or not text.isascii():
        raise ValueError(f"{text!r} is not a host")
    plain = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in plain:
        # A zone belongs to one machine, and may hold any character.
        if "%" in plain:
            raise ValueError(f"{text!r} is not an IPv6 address without a zone")
        try:
            return str(ipaddress.IPv6Address(plain))
        except ValueError:
            raise ValueError(f"{text!r} is not an IPv6 address") from None
    labels = plain.split(".")
    is_number = labels[-1].isdigit()
    if plain != text or len(plain) > _MAX_HOST or not all(map(_is_label, labels)):
        raise ValueError(f"{text!r} is not a host")
    if is_number:
        try:
            return str(ipaddress.IPv4Address(plain))
        except ValueError:
            raise ValueError(f"{text!r} is not an IPv4 address") from None
    return plain


def _is_label(text: str) -> bool:
    return len(text) <= _MAX_LABEL and _LABEL.fullmatch(text) is not None


def parse_ip(text: object) -> str:
    """Return an IP address, without brackets.

    Raises:
        ValueError: Not one.
    """
    host = parse_host(text)
    if ":" not in host and not host.rpartition(".")[2].isdigit():
        raise ValueError(f"{text!r} is not an IP address")
    return host


def split_address(text: object) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[IPv6]:port``.

    Raises:
        ValueError: Not that; an IPv6 address needs its brackets here.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not host:port")  # noqa: TRY004  # one error for one kind
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise ValueError(f"{text!r} is not host:port")
    try:
        found = parse_host(host)
    except ValueError:
        raise ValueError(f"{text!r} is not host:port") from None
    try:
        return found, parse_port(port)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def join_address(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_url(text: object, *schemes: str) -> str:
    """Return ``scheme://host:port``, without path, user or anything else.

    Raises:
        ValueError: Not that.
    """
    scheme, separator, address = text.partition("://") if isinstance(text, str) else ("", "", "")
    if not separator or scheme not in schemes:
        raise ValueError(f"{text!r} is not {schemes[0]}://host:port")
    try:
        host, port = split_address(address)
    except ValueError as error:
        raise ValueError(f"{text!r} is not {schemes[0]}://host:port: {error}") from None
    return f"{scheme}://{join_address(host, port)}"


def parse_duration(value: object) -> timedelta:
    """Return a duration: seconds as a number, or text such as ``90``, ``0.5``, ``90s``, ``1h30m``.

    Raises:
        ValueError: Not such a duration, not longer than nothing, or longer than a century.
    """
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= LONGEST.total_seconds() else math.inf
    elif isinstance(value, str):
        parts = _DURATION.findall(value)
        if _DECIMAL.fullmatch(value):
            seconds = float(value)
        elif parts and "".join(number + unit for number, unit in parts) == value:
            seconds = float(sum(int(number) * _UNITS[unit] for number, unit in parts))
    if math.isnan(seconds):
        raise ValueError(f"{value!r} is not a duration; write seconds, or for example 90s, 1h30m")
    if not 0 < seconds <= LONGEST.total_seconds():
        raise ValueError(f"{value!r} is not between nothing and a hundred years")
    return timedelta(seconds=seconds)

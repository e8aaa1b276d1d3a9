"""Hosts, ports, addresses and durations: one answer for every reader."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base import values

PORTS = st.integers(1, 65535)
HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,6}){0,2}", fullmatch=True),
)


@given(HOSTS, PORTS)
def test_an_address_is_read_as_it_was_written(host: str, port: int) -> None:
    assert values.split_address(values.join_address(host, port)) == (host, port)
    assert values.parse_url(f"tls://{values.join_address(host, port)}", "tls").startswith("tls://")


@given(st.text(), PORTS)
def test_no_text_is_an_error_of_another_kind(text: str, port: int) -> None:
    for call in (
        values.parse_port,
        values.parse_host,
        values.parse_ip,
        values.split_address,
        values.parse_duration,
    ):
        for candidate in (text, f"{text}:{port}", f"[{text}]"):
            with suppress(ValueError):
                call(candidate)


@pytest.mark.parametrize(
    "value", [0, 65536, -1, True, False, None, 1.0, "", "0", "65536", "\u0664\u0664", "\u00b2",
              "80\n", " 80", "+80", "0x50", "1e3", "9" * 5000],
)  # fmt: skip
def test_what_is_no_port_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="port"):
        values.parse_port(value)


@pytest.mark.parametrize("value", [1, 65535, "1", "65535", "080"])
def test_a_port_is_a_number_or_its_digits(value: object) -> None:
    assert values.parse_port(value) == int(str(value))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("nats-1.bus.example", "nats-1.bus.example"),
        ("my_host", "my_host"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("2001:DB8::0:1", "2001:db8::1"),
    ],
)
def test_a_host_is_an_address_or_a_name(text: str, host: str) -> None:
    assert values.parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "-a", "a-", "a b", "a/b", "a@b", "a\n", "\na", "\u00fc", "\uff11.1.1.1",
     "1.2.3", "256.1.1.1", "1.2.3.4.5", "[127.0.0.1]", "[::1", "::1]", "::g", "a" * 64, "a." * 130,
     "fe80::1%eth0\n", None, 1],
)  # fmt: skip
def test_what_is_no_host_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not"):
        values.parse_host(text)


@pytest.mark.parametrize(
    "text", ["::1:4222", "::1", "host", "host:", ":1", "a:b:1", "h:0", "h:1\n"]
)
def test_an_address_says_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        values.split_address(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (300, 300),
        (0.5, 0.5),
        ("300", 300),
        ("0.5", 0.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
    ],
)
def test_a_duration_is_seconds_or_says_its_units(value: object, seconds: float) -> None:
    assert values.parse_duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [0, -1, True, False, None, float("nan"), float("inf"), 1e300, 10**400, "", "5 m", "5m\n", "m",
     "1.5h", "\u0665m", "1e3", "-5m", "0s", "99999999999d", [], {}],
)  # fmt: skip
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|hundred years"):
        values.parse_duration(value)

# SPDX-License-Identifier: Apache-2.0
"""What JetStream would refuse, or delete messages for, is found before anything changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from module_utils._errors import PlatformError
from module_utils._nats.possible import Present, refuse_impossible

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = 3600 * 10**9


def stream(name: str = "ORDERS", **fields: Any) -> dict[str, Any]:
    config = {
        "name": name,
        "subjects": [f"{name.lower()}.>"],
        "retention": "workqueue",
        "max_age": HOUR,
        "max_bytes": 1000,
    }
    return config | fields


def present(
    *streams: dict[str, Any],
    held: int = 500,
    age: timedelta = timedelta(minutes=10),
    consumers: dict[str, list[dict[str, Any]]] | None = None,
    limit: int | None = None,
) -> Present:
    state = {"messages": 3 if held else 0, "bytes": held, "first_ts": (NOW - age).isoformat()}
    found = {entry["name"]: {"config": entry, "state": state} for entry in streams}
    return Present(found, consumers or {}, limit)


def durable(name: str, *subjects: str) -> dict[str, Any]:
    return {"durable_name": name, "filter_subjects": list(subjects)}


@pytest.mark.parametrize(
    ("there", "wanted", "consumers", "expected"),
    [
        (
            present(stream("FORMER")),
            stream("LATTER", subjects=["former.a"]),
            [],
            "stream LATTER: its subject former.a is kept by stream FORMER",
        ),
        (present(stream()), stream(max_bytes=499), [], "max_bytes 499 is less than the 500 bytes"),
        (present(stream()), stream(max_age=HOUR // 10), [], "max_age 360 s is less than the age"),
        (
            present(stream(), consumers={"ORDERS": [durable("old", "orders.a")]}),
            stream(),
            [("ORDERS", durable("new", "orders.>"))],
            "consumer ORDERS.new: durable old",
        ),
        (present(limit=999), stream(), [], "the account may reserve 999"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(
    there: Present,
    wanted: dict[str, Any],
    consumers: list[tuple[str, dict[str, Any]]],
    expected: str,
) -> None:
    with pytest.raises(PlatformError, match=expected):
        refuse_impossible(there, [wanted], consumers, NOW)


@pytest.mark.parametrize(
    ("there", "wanted", "consumers"),
    [
        (present(), stream(), [("ORDERS", durable("a", "orders.a"))]),
        (present(stream()), stream(max_bytes=500), []),
        (present(stream()), stream(max_age=HOUR // 2), []),
        (present(stream(), held=0), stream(max_bytes=1, max_age=10**9), []),
        (present(stream("FORMER")), stream(), []),
        (
            present(stream(), consumers={"ORDERS": [durable("old", "orders.a")]}),
            stream(),
            [("ORDERS", durable("old", "orders.a")), ("ORDERS", durable("new", "orders.b"))],
        ),
        (
            present(stream(retention="limits"), consumers={"ORDERS": [durable("old", "orders.a")]}),
            stream(retention="limits"),
            [("ORDERS", durable("new", "orders.a"))],
        ),
    ],
)
def test_what_loses_nothing_passes(
    there: Present, wanted: dict[str, Any], consumers: list[tuple[str, dict[str, Any]]]
) -> None:
    refuse_impossible(there, [wanted], consumers, NOW)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(PlatformError, match=r"max_bytes 1 .*; .*max_age 1 s"):
        refuse_impossible(present(stream()), [stream(max_bytes=1, max_age=10**9)], [], NOW)

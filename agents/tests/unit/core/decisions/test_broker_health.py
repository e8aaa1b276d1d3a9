"""The rules of core.decisions.broker_health: what a report says, and when a server is reloaded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from securetransport.core.decisions.broker_health import (
    SILENT_AFTER,
    PortSeen,
    Reload,
    ReloadObservation,
    ServerSeen,
    is_seen_by_peers,
    report,
    should_reload,
)
from securetransport.core.formats.body import Version

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PORT = PortSeen(("nats-int e1",), "nats-int e1")
SEEN = ServerSeen(
    name="nats-1",
    heard_at=100.0,
    connections=(),
    routes=frozenset({"nats-2", "nats-3"}),
    client=PORT,
    route=PORT,
    reload_error=None,
)
FULL = frozenset({"a", "b", "c"})


def test_answering_server_is_reported_with_what_it_showed() -> None:
    (found,) = report([SEEN], monotonic=100.0, at=NOW).servers
    assert found.reachable
    assert found.connections == ()
    assert found.client_names == ("nats-int e1",)
    assert found.served_issuer == found.route_served_issuer == "nats-int e1"


def test_silence_is_unknown_first_and_unreachable_later() -> None:
    """Rules 1 and 3."""
    silent = replace(SEEN, connections=None, routes=None, client=None, route=None)
    (found,) = report([silent], monotonic=100.0 + SILENT_AFTER - 0.1, at=NOW).servers
    assert found.reachable
    assert found.connections is None
    assert found.client_names is None
    assert found.served_issuer is None
    (found,) = report([silent], monotonic=100.0 + SILENT_AFTER, at=NOW).servers
    assert not found.reachable
    assert found.connections is None


def test_servers_are_listed_by_name() -> None:
    entries = [replace(SEEN, name=name) for name in ("nats-3", "nats-1", "nats-2")]
    found = report(entries, monotonic=100.0, at=NOW).servers
    assert [entry.server for entry in found] == ["nats-1", "nats-2", "nats-3"]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({"a": FULL, "b": FULL, "c": None}, True),
        ({"a": frozenset("b"), "b": frozenset("a"), "c": None}, False),
        # One of two peers answered: the watcher may be cut off together with it.
        ({"a": frozenset(), "b": None, "c": None}, None),
        ({"a": None, "b": None, "c": None}, None),
        ({"c": None}, None),
        # The watched server's own answer says nothing about what peers see.
        ({"a": None, "b": None, "c": FULL}, None),
    ],
)
def test_absence_is_said_only_by_a_majority(
    routes: dict[str, frozenset[str] | None], expected: bool | None
) -> None:
    """Rule 2."""
    assert is_seen_by_peers("c", routes) is expected


# --- reloads ----------------------------------------------------------------------------------

V1, V2 = Version(counter=1), Version(counter=2)
NEW = ReloadObservation(
    version=V1,
    changed_at=100.0,
    confirmed=None,
    tried_at=float("-inf"),
    shows_newest=True,
    now=100.0,
    patience=2.0,
)
OTHER = replace(NEW, shows_newest=False)


def due(seen: ReloadObservation) -> bool:
    return isinstance(should_reload(seen), Reload)


def test_nothing_is_reloaded_before_a_trust_set_is_known() -> None:
    assert not due(replace(OTHER, version=None))


def test_one_reload_confirms_what_the_ports_show() -> None:
    """Rule 4."""
    assert due(NEW)
    confirmed = replace(NEW, confirmed=V1, tried_at=100.0, now=200.0)
    assert not due(confirmed)
    assert due(replace(confirmed, version=V2, changed_at=200.0, tried_at=float("-inf")))


def test_server_that_shows_another_set_is_reloaded_after_a_while_and_again() -> None:
    """Rule 5."""
    assert not due(replace(OTHER, now=101.9))
    assert due(replace(OTHER, now=102.0))
    assert not due(replace(OTHER, tried_at=102.0, now=103.9))
    assert due(replace(OTHER, tried_at=102.0, now=104.0))


def test_refused_reload_is_repeated() -> None:
    """Rule 6: whatever the answer was, only one without an error confirms."""
    refused = replace(NEW, tried_at=100.0)
    assert not due(replace(refused, now=101.0))
    assert due(replace(refused, now=102.0))


def test_confirmed_server_that_falls_back_is_reloaded() -> None:
    assert due(replace(OTHER, confirmed=V1, tried_at=100.0, now=110.0))

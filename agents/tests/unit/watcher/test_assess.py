"""Reports say what is known, and ``None`` for the rest (rules as in ``watcher.assess``)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from securetransport.core.formats.body import Version
from securetransport.watcher.assess import (
    SILENT_AFTER,
    PortSeen,
    ServerSeen,
    is_seen_by_peers,
    report,
)
from securetransport.watcher.reloads import ReloadMemory

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
    assert is_seen_by_peers("c", routes) is expected


# --- reloads (rules as in ``watcher.reloads``) ------------------------------------------------

V1, V2 = Version(counter=1), Version(counter=2)


def memory(version: Version = V1, at: float = 100.0) -> ReloadMemory:
    made = ReloadMemory()
    made.note(version, at)
    return made


def due(found: ReloadMemory, now: float, *, shows: bool) -> bool:
    return found.is_due(shows_newest=shows, now=now, patience=2.0)


def test_nothing_is_reloaded_before_a_trust_set_is_known() -> None:
    assert not due(ReloadMemory(), 100.0, shows=False)


def test_one_reload_confirms_what_the_ports_show() -> None:
    found = memory()
    assert due(found, 100.0, shows=True)
    found.answered(None, shows_newest=True, now=100.0)
    assert not due(found, 200.0, shows=True)
    found.note(V2, 300.0)
    assert due(found, 300.0, shows=True)


def test_server_that_shows_another_set_is_reloaded_after_a_while_and_again() -> None:
    found = memory()
    assert not due(found, 101.9, shows=False)
    assert due(found, 102.0, shows=False)
    found.answered(None, shows_newest=False, now=102.0)
    assert not due(found, 103.9, shows=False)
    assert due(found, 104.0, shows=False)


def test_refused_reload_is_repeated_and_its_error_stays_until_then() -> None:
    found = memory()
    found.answered("bad", shows_newest=True, now=100.0)
    assert found.error == "bad"
    assert not due(found, 101.0, shows=True)
    assert due(found, 102.0, shows=True)
    found.answered(None, shows_newest=True, now=102.0)
    assert found.error is None
    assert not due(found, 110.0, shows=True)


def test_confirmed_server_that_falls_back_is_reloaded() -> None:
    found = memory()
    found.answered(None, shows_newest=True, now=100.0)
    assert due(found, 110.0, shows=False)

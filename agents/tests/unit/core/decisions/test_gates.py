"""The rules of core.decisions.ca.gates: what is evidence, and what is only unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from world import ADMIN_USER, World

from securetransport.core.base.names import Fingerprint
from securetransport.core.decisions.ca import gates
from securetransport.core.decisions.ca.bundle import wanted_bundle
from securetransport.core.decisions.ca.observation import Observation
from securetransport.core.formats.server_report import ServerConnection, ServerReport

SECOND = timedelta(seconds=1)
SKEW = 5 * SECOND


@pytest.fixture
def world() -> World:
    """One member, and an active epoch that everybody serves and trusts."""
    made = World()
    made.authority()
    made.everybody_else()
    made.add_member("gatekeeper/1")
    made.run(10 * SECOND)
    return made


def members(world: World, seen: Observation) -> tuple[str, ...]:
    return gates.members_confirm(seen, wanted_bundle(world.record), seen.now - SECOND, SKEW)


def with_connection(seen: Observation, connection: ServerConnection) -> Observation:
    assert seen.report is not None
    first, *others = seen.report.servers
    assert first.connections is not None
    changed = first.model_copy(update={"connections": (*first.connections, connection)})
    report = ServerReport(reported_at=seen.report.reported_at, servers=(changed, *others))
    return replace(seen, report=report)


def test_everybody_confirms_a_set_that_everybody_shows(world: World) -> None:
    """Rules 1 and 3."""
    seen = world.observe()
    assert members(world, seen) == ()
    assert gates.servers_confirm(seen, wanted_bundle(world.record), seen.now - SECOND) == ()


@pytest.mark.parametrize(
    ("age", "is_evidence"),
    [(-SECOND, False), (0 * SECOND, True), (5 * SECOND, True), (6 * SECOND, False)],
)
def test_a_report_ages_from_its_arrival_and_one_from_the_future_is_none(
    world: World, age: timedelta, *, is_evidence: bool
) -> None:
    """Rule 4: the date that the watcher wrote into it plays no part."""
    seen = world.observe()
    assert seen.report is not None
    dated = seen.report.model_copy(update={"reported_at": seen.now + timedelta(hours=1)})
    aged = replace(seen, report=dated, report_received_at=seen.now - age)
    missing = gates.members_confirm(
        aged, wanted_bundle(world.record), seen.now - timedelta(minutes=1), SKEW
    )
    assert (missing == ()) is is_evidence
    assert gates.census(aged).is_complete is is_evidence


def test_evidence_of_before_the_change_is_none(world: World) -> None:
    """Rule 4."""
    seen = replace(world.observe(), report_received_at=world.now - 2 * SECOND)
    assert members(world, seen) == ("watcher: no report since the change",)


@pytest.mark.parametrize(("ahead", "counts"), [(4, True), (5, True), (6, False)])
def test_an_attestation_may_be_older_than_its_connection_by_the_accepted_skew(
    world: World, ahead: int, *, counts: bool
) -> None:
    """Rule 3: the stream and the connection have the clocks of two servers."""
    world.members[0].since = world.now + ahead * SECOND
    world.members[0].attested = world.now
    missing = members(world, world.observe())
    assert (missing == ()) is counts
    assert counts or missing == ("gatekeeper/1: has not attested since it connected",)


@pytest.mark.parametrize(
    ("age", "gates_now"),
    [(-6, True), (-5, False), (0, False), (9, False), (10, True)],
)
def test_only_a_short_connection_of_an_administrator_does_not_gate(
    world: World, age: int, *, gates_now: bool
) -> None:
    """Rule 5: "begins an hour from now" is a wrong clock, not a young connection."""
    seen = world.observe()
    connection = ServerConnection(
        cid=99, user=ADMIN_USER, leaf=Fingerprint("11"), started_at=seen.now - age * SECOND
    )
    missing = members(world, with_connection(seen, connection))
    assert bool(missing) is gates_now


def test_a_server_that_the_report_does_not_name_is_missing_everywhere(world: World) -> None:
    """Rules 2 and 6: absent is said by its peers; not being named is nothing at all."""
    world.reported = ("nats-1", "nats-2")
    seen = world.observe()
    bundle = wanted_bundle(world.record)
    line = "server nats-3: not in the watcher's report"
    active = world.record.active
    assert active is not None
    assert active.issuer is not None
    assert gates.servers_confirm(seen, bundle, seen.now - SECOND) == (line,)
    assert gates.servers_present(seen, active.issuer.common_name, seen.now - SECOND) == (line,)
    assert not gates.census(seen).is_complete


def test_a_server_was_absent_is_no_excuse_for_its_keeper(world: World) -> None:
    """Rule 4: an old report does not say that a server is absent now."""
    world.servers["nats-3"].is_up = False
    world.servers["nats-3"].bundle = None
    seen = world.observe()
    bundle = wanted_bundle(world.record)
    assert gates.keepers_attest(seen, bundle) == ()
    old = replace(seen, report_received_at=seen.now - 6 * SECOND)
    assert gates.keepers_attest(old, bundle) == ("keeper of nats-3: attests nothing",)


def test_the_deadline_is_the_last_instant_of_a_full_leaf(world: World) -> None:
    """Rule 7 of ``decide``; without an active issuer there is none."""
    active = world.record.active
    assert active is not None
    assert active.issuer is not None
    profile = world.profile
    deadline = gates.deadline_of(world.record, profile)
    assert deadline == active.issuer.not_after - profile.leaf_validity - profile.retire_margin
    assert gates.is_past(deadline, deadline)
    assert not gates.is_past(deadline, deadline - SECOND)
    assert gates.deadline_of(World().record, profile) is None
    assert not gates.is_past(None, deadline)

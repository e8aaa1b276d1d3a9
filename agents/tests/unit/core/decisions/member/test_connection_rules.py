"""Rules of ``core.decisions.member.connection``, one test or more for each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from securetransport.core.base.names import Fingerprint
from securetransport.core.decisions.member.connection import (
    STUCK_SECONDS,
    Attest,
    Attested,
    ConnectionView,
    Move,
    Observation,
    Presented,
    Reread,
    Step,
    UseCredentials,
    decide,
    is_admitted,
)
from securetransport.core.decisions.wait import Wait

UP = ConnectionView(
    is_connected=True, is_closed=False, leaf="leaf-1", prepared=Presented("trust-1", "leaf-1")
)
DOWN = replace(UP, is_connected=False, down_seconds=1.0)
STATED = Attested("trust-1", frozenset({Fingerprint("leaf-1")}), 1.0)
CALM = Observation("trust-1", "leaf-1", UP, STATED, timedelta(seconds=10))


def test_admitted_connection_has_nothing_to_do() -> None:
    assert decide(CALM) == Wait()
    assert is_admitted(CALM)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [({"digest": None}, "a trust set"), ({"leaf": None}, "a leaf certificate")],
)
def test_nothing_is_connected_without_trust_and_leaf(  # rule 1
    changes: dict[str, None], missing: str
) -> None:
    assert decide(replace(CALM, connection=None, attested=None, **changes)) == Wait((missing,))


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (None, "first"),
        (replace(DOWN, is_closed=True), "closed"),
        (replace(DOWN, down_seconds=STUCK_SECONDS + 0.1), "stuck"),
    ],
)
def test_connection_that_cannot_be_used_is_replaced(  # rule 2
    connection: ConnectionView | None, reason: str
) -> None:
    assert decide(replace(CALM, connection=connection, attested=None)) == Move(reason)


@pytest.mark.parametrize("changes", [{"digest": "trust-2"}, {"leaf": "leaf-2"}])
@pytest.mark.parametrize("connection", [UP, DOWN])
def test_reconnects_use_the_newest_trust_and_leaf(  # rule 3
    changes: dict[str, str], connection: ConnectionView
) -> None:
    assert decide(replace(CALM, connection=connection, **changes)) == UseCredentials()


def test_lost_connection_is_waited_for(  # rule 4
) -> None:
    seen = replace(CALM, connection=DOWN, attested=None)
    assert decide(seen) == Wait(("the server",))
    assert not is_admitted(seen)


def test_newest_trust_is_read_after_a_reconnect_before_it_is_attested() -> None:  # rule 5
    again = replace(UP, must_reread=True)
    assert decide(replace(CALM, connection=again, attested=None)) == Reread()


@pytest.mark.parametrize(
    ("attested", "step"),
    [
        (None, Attest("connected")),
        (replace(STATED, digest="trust-0"), Attest("trust")),
        (replace(STATED, leaf_fingerprints=frozenset()), Attest("leaf")),
        (replace(STATED, age_seconds=9.9), Wait()),
        (replace(STATED, age_seconds=10.0), Attest("repeat")),
    ],
)
def test_what_is_trusted_and_presented_is_attested(  # rule 6
    attested: Attested | None, step: Step | Wait
) -> None:
    assert decide(replace(CALM, attested=attested)) == step


def test_not_admitted_before_the_trust_set_in_force_is_attested() -> None:
    assert not is_admitted(replace(CALM, attested=None))
    assert not is_admitted(replace(CALM, attested=replace(STATED, digest="trust-0")))


def test_newer_leaf_and_lame_duck_server_move_the_connection() -> None:  # rule 7
    prepared = replace(UP, prepared=Presented("trust-1", "leaf-2"))
    assert decide(replace(CALM, leaf="leaf-2", connection=prepared)) == Move("leaf")
    assert decide(replace(CALM, connection=replace(UP, is_lame_duck=True))) == Move("lame_duck")


def test_failing_move_holds_up_no_attestation() -> None:  # rule 7
    lame = replace(UP, is_lame_duck=True, prepared=Presented("trust-2", "leaf-1"))
    assert decide(replace(CALM, digest="trust-2", connection=lame)) == Attest("trust")

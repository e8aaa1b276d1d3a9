"""The keeper's next step, rule by rule (numbers as in ``core.decisions.server_files``)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint
from securetransport.core.decisions import server_files
from securetransport.core.decisions.server_files import (
    Attest,
    FilesInForce,
    IssueLeaf,
    LeafFacts,
    LeafNeed,
    NoteVersions,
    Observation,
    PortView,
    ReloadServer,
    ServerView,
    Wait,
    Wanted,
    WriteFiles,
    decide,
)
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.body import Version
from securetransport.core.formats.trust_bundle import EpochState, TrustBundle, TrustedIssuer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
V1, V2 = Version(counter=1), Version(counter=2)


def name(epoch: int) -> str:
    return f"nats-int e{epoch} 000000000000000{epoch}"


def issuer(epoch: int, state: EpochState = EpochState.LEGACY) -> TrustedIssuer:
    return TrustedIssuer(
        epoch=EpochNumber(epoch),
        state=state,
        certificate=b"der",
        fingerprint=Fingerprint("f"),
        common_name=name(epoch),
        not_before=NOW,
        not_after=NOW + timedelta(hours=1),
    )


def wanted(*epochs: int, active: int | None, broker: str = "users", bundle: Version = V1) -> Wanted:
    issuers = tuple(issuer(epoch) for epoch in epochs)
    number = EpochNumber(active) if active is not None else None
    return Wanted(TrustBundle(issuers=issuers, active=number, digest="d"), bundle, V1, broker)


def leaf(epoch: int = 1, *, broker: str = "users", mark: str = "a") -> LeafFacts:
    return LeafFacts(
        fingerprint=Fingerprint(mark * 64),
        epoch=EpochNumber(epoch),
        issuer=name(epoch),
        not_after=NOW + timedelta(minutes=10),
        renew_at=NOW + timedelta(minutes=5),
        proves_broker=broker,
    )


def files(
    of: LeafFacts, *epochs: int, content: str = "right", broker: str = "users"
) -> FilesInForce:
    names = frozenset(name(epoch) for epoch in epochs)
    return FilesInForce(content, "d", names, broker, V1, V1, of)


def showing(shown: FilesInForce) -> ServerView:
    port = PortView(shown.leaf.fingerprint, shown.names)
    return ServerView(is_running=True, client=port, route=port)


IN_FORCE = files(leaf(), 1)
STATED = server_files.attestation("nats-1", IN_FORCE, NOW, is_served=True)
SETTLED = Observation(
    at=NOW,
    wanted=wanted(1, active=1),
    leaf=leaf(),
    in_force=IN_FORCE,
    wanted_content="right",
    server=showing(IN_FORCE),
    attested=STATED,
)


def test_nothing_is_done_when_all_is_in_force() -> None:
    assert decide(SETTLED) == Wait()


@pytest.mark.parametrize("documents", [None, wanted(1, active=None)])
def test_nothing_is_written_without_documents_or_active_epoch(documents: Wanted | None) -> None:
    """Rule 1."""
    empty = replace(SETTLED, wanted=documents, leaf=None, in_force=None, attested=None)
    step = decide(empty)
    assert isinstance(step, Wait)
    assert step.waits_for


@pytest.mark.parametrize(
    ("change", "need"),
    [
        ({"leaf": None}, LeafNeed.MISSING),
        ({"at": NOW + timedelta(minutes=10)}, LeafNeed.EXPIRED),
        ({"wanted": wanted(2, active=2)}, LeafNeed.UNTRUSTED),
        ({"wanted": wanted(1, 2, active=2)}, LeafNeed.NOT_ACTIVE),
        ({"wanted": wanted(1, active=1, broker="others")}, LeafNeed.POLICY),
        ({"at": NOW + timedelta(minutes=5)}, LeafNeed.AGE),
        ({"is_renewal_due": True}, LeafNeed.AGE),
    ],
)
def test_leaf_is_issued_for_each_need(change: dict[str, object], need: LeafNeed) -> None:
    """Rule 2."""
    assert decide(replace(SETTLED, **change)) == IssueLeaf(need)


def test_leaf_of_an_abandoned_epoch_is_replaced_by_one_of_the_former_epoch() -> None:
    moved = replace(SETTLED, leaf=leaf(2), wanted=wanted(1, 2, active=1))
    assert decide(moved) == IssueLeaf(LeafNeed.NOT_ACTIVE)


def test_new_epoch_waits_for_the_turn_and_says_so() -> None:
    """Rule 3."""
    waiting = replace(SETTLED, wanted=wanted(1, 2, active=2), may_move=False)
    step = decide(waiting)
    assert isinstance(step, Wait)
    assert step.waits_for == ("the servers before this one to serve the active epoch",)


def test_only_the_new_epoch_waits_for_the_turn() -> None:
    for change in ({"leaf": None}, {"wanted": wanted(2, active=2)}, {"is_renewal_due": True}):
        step = decide(replace(SETTLED, may_move=False, **change))
        assert isinstance(step, IssueLeaf), change


def test_trust_is_written_while_no_leaf_can_be_had() -> None:
    """Rule 4: an issuer that left the trust set does not stay because the PKI is slow."""
    seen = replace(
        SETTLED, wanted=wanted(2, active=2), wanted_content="without epoch 1", may_issue=False
    )
    assert decide(seen) == WriteFiles()


@pytest.mark.parametrize("in_force", [None, files(leaf(), 1, content="damaged")])
def test_missing_or_different_files_are_written(in_force: FilesInForce | None) -> None:
    assert decide(replace(SETTLED, in_force=in_force)) == WriteFiles()


def test_document_that_was_only_signed_anew_changes_no_file() -> None:
    """Rule 4."""
    assert decide(replace(SETTLED, wanted=wanted(1, active=1, bundle=V2))) == NoteVersions()


def test_refused_files_are_not_written_again_at_once_and_the_old_ones_stay() -> None:
    seen = replace(SETTLED, wanted_content="refused", may_write=False)
    waits = decide(seen)
    assert isinstance(waits, Wait)
    assert waits.waits_for != (), "what is wanted is not in force: that is no readiness"
    assert isinstance(decide(replace(seen, in_force=None)), Wait)


@pytest.mark.parametrize(
    "other",
    [
        showing(files(leaf(mark="b"), 1)),
        showing(files(leaf(), 1, 2)),
        replace(showing(IN_FORCE), route=PortView(Fingerprint("b" * 64), IN_FORCE.names)),
    ],
)
def test_server_that_shows_other_material_is_reloaded(other: ServerView) -> None:
    """Rule 5."""
    seen = replace(SETTLED, server=other)
    assert decide(seen) == ReloadServer()
    assert decide(replace(seen, may_reload=False)) == Attest(is_served=False)


def test_silent_port_is_unknown_and_neither_served_nor_reloaded() -> None:
    silent = replace(showing(IN_FORCE), route=None)
    assert decide(replace(SETTLED, server=silent)) == Attest(is_served=False)


def test_port_without_cluster_is_not_judged() -> None:
    single = replace(showing(IN_FORCE), route=None, has_route=False)
    assert decide(replace(SETTLED, server=single)) == Wait()


def test_owed_reload_is_given_although_the_ports_look_right() -> None:
    assert decide(replace(SETTLED, is_reload_owed=True)) == ReloadServer()


def test_server_that_does_not_run_is_not_reloaded() -> None:
    stopped = replace(SETTLED, server=ServerView(is_running=False), is_reload_owed=True)
    assert decide(stopped) == Attest(is_served=False)


def test_policy_is_not_served_before_a_leaf_written_with_it_is_presented() -> None:
    unproven = files(leaf(broker="users"), 1, broker="others")
    assert not showing(unproven).serves(unproven)
    proven = files(leaf(broker="others"), 1, broker="others")
    assert showing(proven).serves(proven)


@pytest.mark.parametrize(
    "attested",
    [
        None,
        STATED.model_copy(update={"is_served": False}),
        STATED.model_copy(update={"digest": "other"}),
        STATED.model_copy(update={"leaf": "b" * 64}),
        STATED.model_copy(update={"attested_at": NOW - timedelta(seconds=10)}),
        STATED.model_copy(update={"attested_at": NOW + timedelta(seconds=1)}),
    ],
)
def test_statement_is_repeated_when_it_is_not_true_or_old(
    attested: KeeperAttestation | None,
) -> None:
    """Rule 6."""
    assert decide(replace(SETTLED, attested=attested)) == Attest(is_served=True)


# --- rule 3 -----------------------------------------------------------------------------------

ORDER = ("nats-1", "nats-2", "nats-3")


def stated(epoch: int, *, is_served: bool = True) -> KeeperAttestation:
    return server_files.attestation("x", files(leaf(epoch), 1, 2), NOW, is_served=is_served)


def turn(server: str, attested: dict[str, KeeperAttestation], waited: float = 0.0) -> bool:
    return server_files.may_move(
        server,
        ORDER,
        EpochNumber(2),
        attested,
        waited=timedelta(seconds=waited),
        limit=timedelta(seconds=3),
    )


def test_first_server_moves_at_once() -> None:
    assert turn("nats-1", {"nats-2": stated(1), "nats-3": stated(1)})


def test_server_waits_until_every_earlier_one_serves_the_epoch() -> None:
    assert not turn("nats-3", {"nats-1": stated(2), "nats-2": stated(1)})
    assert not turn("nats-3", {"nats-1": stated(2), "nats-2": stated(2, is_served=False)})
    assert turn("nats-3", {"nats-1": stated(2), "nats-2": stated(2)})


def test_wait_for_earlier_servers_has_an_end() -> None:
    stuck = {"nats-1": stated(1), "nats-2": stated(1)}
    assert not turn("nats-3", stuck, waited=5.9)
    assert turn("nats-3", stuck, waited=6)


def test_server_that_never_stated_anything_is_not_waited_for() -> None:
    assert turn("nats-2", {})


# --- the leaf ---------------------------------------------------------------------------------


def test_leaf_of_a_coming_epoch_is_taken_only_in_need() -> None:
    follow = wanted(1, 2, active=1)
    accept = server_files.is_leaf_acceptable
    assert accept(EpochNumber(1), name(1), follow, is_urgent=False)
    assert not accept(EpochNumber(2), name(2), follow, is_urgent=False)
    assert accept(EpochNumber(2), name(2), follow, is_urgent=True)


def test_leaf_of_an_issuer_outside_the_trust_set_is_never_taken() -> None:
    assert not server_files.is_leaf_acceptable(
        EpochNumber(3), name(3), wanted(1, 2, active=1), is_urgent=True
    )


def test_leaf_of_a_legacy_epoch_is_not_taken_even_in_need() -> None:
    assert not server_files.is_leaf_acceptable(
        EpochNumber(1), name(1), wanted(1, 2, active=2), is_urgent=True
    )

"""The keeper's rounds, without a socket, a process or a disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from keeper_bench import CLIENT, MANAGED, ROUTE, KeeperBench, settings

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import SecretStoreUnavailableError, SecureTransportError
from securetransport.core.crypto import signing
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.runtime.health import Remark
from securetransport.testing import ProcessDied
from trust_scene import bundle, issuer_names, issuer_of


async def settled(order: tuple[str, ...] = ()) -> KeeperBench:
    bench = KeeperBench(order)
    await bench.settle()
    return bench


# --- the way up -------------------------------------------------------------------------------


async def test_nothing_is_written_before_both_documents() -> None:
    bench = KeeperBench()
    await bench.keeper.round()
    await bench.publish_bundle(1, active=1)
    await bench.keeper.round()
    assert "a verified trust bundle and broker policy" in bench.waits()
    assert bench.files.entries(MANAGED) == []
    assert bench.leaf_source.count == 0


async def test_first_files_are_there_before_the_server_and_it_may_start() -> None:
    bench = KeeperBench()
    await bench.publish_policy()
    digest = await bench.publish_bundle(1, active=1)
    await bench.keeper.round()
    assert bench.may_start() is None
    assert "the server to start" in bench.waits()
    said = await bench.stated()
    assert said is not None
    assert (said.digest, said.is_served) == (digest, False)
    bench.server.start()
    await bench.keeper.round()
    assert await bench.serves(digest)
    assert bench.waits() == ""


async def test_leaf_is_asked_for_the_life_that_the_profile_says() -> None:
    bench = await settled()
    assert bench.leaf_source.asked == [settings().profile_value().leaf_validity]


async def test_files_are_checked_by_the_servers_program_before_they_are_in_force() -> None:
    bench = await settled()
    assert [path.name for path in bench.server.checks] == ["check.conf"]
    checked = bench.server.checks[0].parent
    assert bench.files.link_target(MANAGED / "current") == checked.relative_to(MANAGED)
    assert "check.conf" not in bench.files.entries(checked)


async def test_both_ports_are_probed_and_not_again_in_every_round() -> None:
    bench = await settled()
    assert set(bench.tls.probed) == {CLIENT, ROUTE}
    bench.tls.probed.clear()
    await bench.later(1)
    assert bench.tls.probed == []
    await bench.later(5)
    assert set(bench.tls.probed) == {CLIENT, ROUTE}


# --- new documents ----------------------------------------------------------------------------


async def test_new_trust_is_served_and_stated_within_the_round() -> None:
    bench = await settled()
    digest = await bench.publish_bundle(1, 2, active=1)
    await bench.later()
    assert bench.listed() == issuer_names(1, 2)
    assert await bench.serves(digest)
    assert bench.server.reloads == 1
    assert bench.counted("reloads_total", result="done") == 2, "and the one of the start"


async def test_new_epoch_is_served_by_a_leaf_of_its_issuer() -> None:
    bench = await settled()
    bench.leaf_source.epoch = 2
    digest = await bench.publish_bundle(1, 2, active=2)
    await bench.later()
    assert await bench.serves(digest, epoch=2)
    assert bench.server.look().issuer_common_name == issuer_of(2).common_name


async def test_document_that_was_only_signed_anew_reloads_nothing_and_is_stated() -> None:
    bench = await settled()
    await bench.publish_bundle(1, active=1)
    await bench.later()
    said = await bench.stated()
    assert said is not None
    assert said.bundle_version == Version(counter=2)
    assert bench.server.reloads == 0
    bench.start_keeper()
    await bench.later()
    assert bench.server.reloads == 0, "what was noted survives a restart"


async def test_policy_is_proven_by_a_leaf_written_with_it() -> None:
    bench = await settled()
    before = await bench.stated()
    await bench.publish_policy("gatekeeper")
    await bench.later()
    after = await bench.stated()
    assert before is not None
    assert after is not None
    assert after.is_served
    assert after.policy_version == Version(counter=2)
    assert after.leaf != before.leaf
    assert b"/gatekeeper" not in (bench.files.read(MANAGED / "broker.conf") or b"/gatekeeper")


@pytest.mark.parametrize("what", ["forged", "lower", "expired", "other kind"])
async def test_refused_document_leaves_the_old_one_in_force(what: str) -> None:
    bench = await settled()
    digest = await bench.publish_bundle(1, 2, active=1)
    await bench.later()
    body, kind = bundle(2, active=2).to_bytes(), DocumentKind.TRUST_BUNDLE
    data = {
        "forged": lambda: bench.sign(
            kind, body, Version(counter=9), key=signing.generate_signing_key()
        ),
        "lower": lambda: bench.sign(kind, body, Version(counter=1)),
        "expired": lambda: bench.sign(kind, body, Version(counter=9), life=timedelta(minutes=-5)),
        "other kind": lambda: bench.sign(DocumentKind.BROKER_POLICY, body, Version(counter=9)),
    }[what]()
    await bench.put_document(names.KV_TRUST_BUNDLE, data)
    await bench.later()
    await bench.later()
    assert bench.listed() == issuer_names(1, 2)
    assert await bench.serves(digest)
    assert bench.counted("documents_refused_total", kind="trust-bundle") == 2
    await bench.publish_bundle(1, 2, active=1)
    await bench.later()
    said = await bench.stated()
    assert said is not None
    assert said.bundle_version == Version(counter=3), "the next good one is accepted"


async def test_vanished_documents_change_nothing() -> None:
    bench = await settled()
    for path in (names.KV_TRUST_BUNDLE, names.KV_BROKER_POLICY):
        await bench.store.kv_destroy(path)
    await bench.later()
    bench.start_keeper()
    await bench.later()
    assert bench.waits() == ""
    assert bench.listed() == issuer_names(1)


async def test_highest_version_survives_a_restart() -> None:
    bench = await settled()
    await bench.publish_bundle(1, 2, active=1)
    await bench.later()
    old = bench.sign(DocumentKind.TRUST_BUNDLE, bundle(1, active=1).to_bytes(), Version(counter=1))
    await bench.put_document(names.KV_TRUST_BUNDLE, old)
    bench.start_keeper()
    await bench.later()
    assert bench.listed() == issuer_names(1, 2)
    assert bench.counted("documents_refused_total", kind="trust-bundle") == 1


# --- leaf certificates ------------------------------------------------------------------------


async def test_leaf_is_renewed_by_age() -> None:
    bench = await settled()
    before = bench.server.look().leaf_fingerprint
    await bench.later(19 * 60)  # less than a third of its life
    assert bench.server.look().leaf_fingerprint == before
    await bench.later(12 * 60)  # more than half
    assert bench.server.look().leaf_fingerprint != before
    assert bench.counted("leaf_certificates_issued_total", need="age") == 1


async def test_leaf_is_renewed_by_the_monotonic_clock_when_the_wall_clock_went_back() -> None:
    bench = await settled()
    bench.clock.jump(timedelta(minutes=-40))
    await bench.later(31 * 60)
    assert bench.counted("leaf_certificates_issued_total", need="age") == 1


async def test_refused_request_for_a_leaf_is_repeated_after_a_while_only() -> None:
    bench = KeeperBench()
    await bench.publish_policy()
    await bench.publish_bundle(1, active=1)
    bench.leaf_source.failures = [SecureTransportError("issuer is not there")] * 2
    await bench.keeper.round()
    await bench.keeper.round()
    assert bench.counted("leaf_certificates_failed_total", need="missing") == 1
    assert "a server leaf" in bench.waits()
    await bench.later(1)
    assert bench.counted("leaf_certificates_failed_total", need="missing") == 2
    await bench.later(2)
    assert bench.leaf_source.count == 1
    assert bench.may_start() is None


async def test_leaf_of_a_wrong_issuer_or_identity_is_not_used() -> None:
    bench = KeeperBench()
    await bench.publish_policy()
    await bench.publish_bundle(1, active=1)
    bench.leaf_source.epoch = 2
    await bench.keeper.round()
    bench.leaf_source.epoch, bench.leaf_source.service = 1, "gatekeeper"
    await bench.later(2)
    assert bench.counted("leaf_certificates_failed_total", need="missing") == 2
    assert bench.files.entries(MANAGED) == []


# --- one server at a time ---------------------------------------------------------------------


async def test_server_moves_to_a_new_epoch_after_the_earlier_ones() -> None:
    bench = await settled(("nats-0", "nats-1"))
    said = await bench.stated()
    assert said is not None
    earlier = names.kv_keeper_attestation("nats-0")
    slow = said.model_copy(update={"server": "nats-0", "is_served": False})
    await bench.put(earlier, {"attestation": slow.model_dump(mode="json")})
    bench.leaf_source.epoch = 2
    digest = await bench.publish_bundle(1, 2, active=2)
    await bench.later(0.1)
    assert await bench.serves(digest, epoch=1), "it trusts at once and moves in its turn"
    assert "the servers before this one" in bench.waits()
    assert bench.keeper.interval() < timedelta(seconds=1)
    done = slow.model_copy(update={"leaf_epoch": EpochNumber(2), "is_served": True})
    await bench.put(earlier, {"attestation": done.model_dump(mode="json")})
    await bench.later(0.1)
    assert await bench.serves(digest, epoch=2)
    assert bench.keeper.interval() == timedelta(seconds=1)


async def test_server_does_not_wait_for_ever_for_the_earlier_ones() -> None:
    bench = await settled(("nats-0", "nats-1"))
    said = await bench.stated()
    assert said is not None
    await bench.put(
        names.kv_keeper_attestation("nats-0"),
        {"attestation": said.model_copy(update={"server": "nats-0"}).model_dump(mode="json")},
    )
    bench.leaf_source.epoch = 2
    digest = await bench.publish_bundle(1, 2, active=2)
    await bench.later(0.1)
    assert await bench.serves(digest, epoch=1)
    await bench.later(3)  # timing.turn_limit_seconds
    assert await bench.serves(digest, epoch=2)


@pytest.mark.parametrize("value", [{}, {"attestation": None}, {"attestation": {"server": 1}}])
async def test_unreadable_statement_of_an_earlier_server_is_no_statement(
    value: dict[str, object],
) -> None:
    bench = await settled(("nats-0", "nats-1"))
    await bench.put(names.kv_keeper_attestation("nats-0"), value)
    bench.leaf_source.epoch = 2
    digest = await bench.publish_bundle(1, 2, active=2)
    await bench.later(0.1)
    assert await bench.serves(digest, epoch=2)


# --- OpenBao is away --------------------------------------------------------------------------


async def test_openbao_away_is_said_with_the_life_left_and_files_are_repaired_meanwhile() -> None:
    bench = await settled()
    bench.store.is_available = False
    await bench.later(1)
    await bench.later(9)
    assert "OpenBao has not answered for 9 s; the server leaf lasts 35" in bench.waits()
    assert all(isinstance(why, Remark) for why in bench.keeper.not_ready_reasons()), "it serves"
    bench.files.write(MANAGED / "tls.key", b"garbage")
    await bench.later(1)
    assert b"PRIVATE KEY" in (bench.files.read(MANAGED / "tls.key") or b"")
    bench.store.is_available = True
    await bench.later(1)
    assert bench.waits() == ""


async def test_statement_that_was_not_taken_is_made_again() -> None:
    bench = KeeperBench()
    await bench.publish_policy()
    digest = await bench.publish_bundle(1, active=1)
    writer = bench.store.restricted(lambda operation, _path: operation != "kv_put")
    bench.store, usual = writer, bench.store
    bench.start_keeper()
    await bench.keeper.round()
    assert "OpenBao to take the keeper's statement" in bench.waits()
    bench.store = usual
    bench.start_keeper()
    bench.server.start()
    await bench.later()
    assert await bench.serves(digest)


async def test_statement_is_repeated_from_time_to_time() -> None:
    bench = await settled()
    before = await bench.stated()
    await bench.later(5)
    assert await bench.stated() == before
    await bench.later(5)
    assert await bench.stated() != before
    assert bench.counted("attestations_total") == 3


async def test_statement_over_somebody_elses_is_read_first_and_made_in_the_next_round() -> None:
    bench = await settled()
    await bench.put(names.kv_keeper_attestation("nats-1"), {"attestation": "foreign"})
    await bench.later(10)
    assert "OpenBao to take the keeper's statement" in bench.waits()
    await bench.later(1)
    assert await bench.serves(bundle(1, active=1).digest)


# --- the server -------------------------------------------------------------------------------


async def test_files_that_the_server_refuses_stay_out_of_force_and_are_tried_again() -> None:
    bench = await settled()
    bench.server.refuses = "unknown field"
    digest = await bench.publish_bundle(1, 2, active=1)
    await bench.later(0.1)
    await bench.later(0.1)
    assert bench.counted("files_refused_total") == 1, "not again at once"
    assert bench.listed() == issuer_names(1)
    assert "new files to be written and accepted" in bench.waits()
    assert bench.files.entries(MANAGED / "generations") == ["1"]
    bench.server.refuses = None
    await bench.later(1)
    assert await bench.serves(digest)


async def test_reload_that_does_not_take_is_repeated_with_a_pause() -> None:
    bench = await settled()
    bench.server.is_deaf = True
    digest = await bench.publish_bundle(1, 2, active=1)
    await bench.later(0.1)
    await bench.later(0.1)
    assert bench.counted("reloads_total", result="not_taken") == 1
    assert "the server to serve the files" in bench.waits()
    said = await bench.stated()
    assert said is not None
    assert (said.digest, said.is_served) == (digest, False)
    assert bench.server.checks[-1].name == "nats.conf", "its program was asked why"
    bench.server.is_deaf = False
    await bench.later(1)
    assert await bench.serves(digest)


async def test_slow_reload_is_waited_for() -> None:
    bench = await settled()
    bench.server.slow_probes = 2
    digest = await bench.publish_bundle(1, 2, active=1)
    await bench.later()
    assert await bench.serves(digest)
    assert bench.server.reloads == 1


async def test_silent_server_is_neither_served_nor_reloaded_again_and_again() -> None:
    bench = await settled()
    bench.server.is_silent = True
    await bench.later(6)
    assert "the server to serve the files" in bench.waits()
    said = await bench.stated()
    assert said is not None
    assert not said.is_served
    assert bench.server.reloads == 0


async def test_server_that_ended_is_seen_in_the_next_round_and_gets_no_signal() -> None:
    bench = await settled()
    bench.server.stop()
    await bench.later(0.1)
    assert "the server to start" in bench.waits()
    digest = await bench.publish_bundle(1, 2, active=1)
    await bench.later()
    assert bench.may_start() is None
    bench.server.start()
    await bench.later()
    assert await bench.serves(digest)


async def test_server_that_ended_before_its_signal_is_told_nothing() -> None:
    bench = await settled()
    digest = await bench.publish_bundle(1, 2, active=1)
    bench.server.dies_at_signal = True
    await bench.later()
    assert bench.counted("reloads_total", result="no_process") == 1
    bench.server.start()
    await bench.later()
    assert await bench.serves(digest)


# --- files ------------------------------------------------------------------------------------


async def test_full_disk_leaves_everything_as_it_is_and_is_no_end() -> None:
    bench = await settled()
    bench.leaf_source.epoch = 1
    files = bench.files
    await bench.publish_policy()
    await bench.later()
    files.is_full = True
    await bench.later(31 * 60)  # a new leaf, which cannot be written
    assert bench.listed() == issuer_names(1)
    assert bench.counted("files_refused_total") == 0
    files.is_full = False
    await bench.later(10)
    said = await bench.stated()
    assert said is not None
    assert said.leaf == bench.server.look().leaf_fingerprint
    assert said.is_served


async def test_word_to_a_starting_server_is_renewed_and_not_in_every_round() -> None:
    bench = await settled()
    bench.files.changes.clear()
    await bench.later(1)
    assert bench.files.changes == []
    await bench.later(9)
    assert bench.files.changes == [("write", MANAGED / "ready.json")]


async def settled_with_work() -> tuple[KeeperBench, str]:
    """A bench whose next round issues, writes, switches, reloads and states."""
    bench = await settled()
    bench.leaf_source.epoch = 2
    digest = await bench.publish_bundle(1, 2, active=2)
    await bench.publish_policy("gatekeeper")
    bench.files.changes.clear()
    return bench, digest


async def changes_of_a_round() -> int:
    bench, _digest = await settled_with_work()
    await bench.later()
    return len(bench.files.changes)


async def test_process_that_dies_between_any_two_changes_is_repaired_by_the_next_one() -> None:
    count = await changes_of_a_round()
    assert count > 10, "documents, six files, links, the word to the server"
    for change in range(1, count + 1):
        bench, digest = await settled_with_work()
        bench.files.crash_before(change)
        with pytest.raises(ProcessDied):
            await bench.later()
        bench.server.stop()
        assert bench.may_start() in (None, "the keeper to verify the files now on disk"), change
        bench.server.start()  # whatever is on disk is one whole set
        bench.start_keeper()
        await bench.later()
        assert await bench.serves(digest, epoch=2), f"died before change {change} of {count}"
        assert bench.may_start() is None
        assert len(bench.files.entries(MANAGED / "generations")) <= 3


async def test_first_keeper_may_die_between_any_two_changes_too() -> None:
    async def begun() -> KeeperBench:
        bench = KeeperBench()
        await bench.publish_policy()
        await bench.publish_bundle(1, active=1)
        bench.files.changes.clear()
        return bench

    whole = await begun()
    await whole.later()
    count = len(whole.files.changes)
    assert count > 15
    for change in range(1, count + 1):
        bench = await begun()
        bench.files.crash_before(change)
        with pytest.raises(ProcessDied):
            await bench.later()
        assert bench.may_start() is not None, "before its last change nobody may start"
        bench.start_keeper()
        await bench.later()
        assert bench.may_start() is None, f"died before change {change} of {count}"
        bench.server.start()


@pytest.mark.parametrize("name", ["ca.crt", "tls.crt", "tls.key", "tls.conf", "broker.conf"])
@pytest.mark.parametrize("where", [MANAGED, MANAGED / "current"])
async def test_damaged_set_or_link_is_replaced(name: str, where: Path) -> None:
    bench = await settled()
    right = bench.files.read(MANAGED / name)
    bench.files.write(where / name, b"garbage")
    await bench.later()
    now = bench.files.read(MANAGED / name)
    assert (now != b"garbage") if name == "tls.conf" else (now == right)
    bench.server.stop()
    bench.server.start()
    assert bench.may_start() is None


async def test_metrics_count_down_the_leaf_and_tell_stale_documents() -> None:
    bench = await settled()
    assert bench.counted("is_served") == 1
    assert 3500 < bench.counted("leaf_seconds_left") <= 3601
    bench.store.is_available = False
    await bench.later(1)
    await bench.later(600)
    assert bench.counted("openbao_away_seconds") == 600
    bench.leaf_source.failures = [SecretStoreUnavailableError("away")] * 9
    await bench.later(3600)
    assert bench.counted("stale_documents") == 2
    assert bench.counted("leaf_seconds_left") == 0


async def test_bundle_without_an_active_epoch_waits() -> None:
    bench = KeeperBench()
    await bench.publish_policy()
    empty = bundle(1, active=1)
    body = TrustBundle(issuers=empty.issuers, active=None, digest=empty.digest)
    await bench.publish(names.KV_TRUST_BUNDLE, DocumentKind.TRUST_BUNDLE, body)
    await bench.keeper.round()
    assert "an active epoch" in bench.waits()

"""A session over fakes of every port, in simulated time: admission, trust, moves, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from member_scene import PROFILE, MemberScene
from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedDocumentError,
    SecretStoreUnavailableError,
    UnknownKeyError,
)
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.formats.trust_bundle import RenewalWindow
from securetransport.core.ports import Connection
from securetransport.core.trust import bundle as trust
from securetransport.member.account import system_account
from securetransport.testing.bus import Leg
from securetransport.testing.clock import START
from service_pki import Issuer
from service_scene import Authority

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def scene() -> AsyncIterator[MemberScene]:
    made = MemberScene()
    await made.admitted()
    yield made
    await made.stop()


@pytest.fixture
async def watcher() -> AsyncIterator[MemberScene]:
    made = MemberScene(system_account, service="watcher")
    yield made
    await made.stop()


def digest_of(scene: MemberScene) -> str:
    return trust.trust_digest(issuer.der for issuer in scene.issuers)


# --- admission --------------------------------------------------------------------------------


async def test_attested_leaf_is_the_one_in_use_and_its_key_is_enrolled(scene: MemberScene) -> None:
    last = scene.attested()[-1]
    assert last.instance == "gatekeeper/1"
    assert last.boot_id == scene.session.boot_id
    assert last.digest == digest_of(scene)
    assert last.leaf_fingerprints == (scene.leaf_source.issued[-1].fingerprint,)
    assert await scene.authority.store.kv_list("enroll/gatekeeper/1")
    assert scene.session.signing_key().key_id in scene.session.signing_keys.enrolled
    assert scene.session.not_ready_reasons() == []


async def test_nothing_blocks_at_start_and_what_is_missing_is_said() -> None:
    scene = MemberScene()
    scene.authority.store.is_available = False
    for server in scene.bus.servers.values():
        server.stop()
    scene.start()
    await asyncio.sleep(5)
    assert scene.session.not_ready_reasons() == [
        "no trust bundle",
        "no leaf certificate",
        "no enrolled signing key",
        "not connected to the bus",
    ]
    with pytest.raises(BusUnavailableError):
        _ = scene.session.connection
    with pytest.raises(UnknownKeyError):
        scene.session.signing_key()
    scene.authority.store.is_available = True
    await scene.publish_trust(announce=False)
    await scene.wait(lambda: scene.session.not_ready_reasons() == ["not connected to the bus"])
    for server in scene.bus.servers.values():
        server.start()
    await scene.wait(lambda: scene.session.is_admitted, seconds=20)
    await scene.stop()


async def test_not_admitted_while_its_statement_is_not_taken() -> None:
    scene = MemberScene()
    scene.bus.faults.lose(Leg.RECEIPT, "metadata.attest.>", count=None)
    await scene.publish_trust(announce=False)
    scene.start()
    await asyncio.sleep(10)
    assert not scene.session.is_admitted
    with pytest.raises(BusUnavailableError):
        _ = scene.session.connection
    scene.bus.faults.clear()
    await scene.wait(lambda: scene.session.is_admitted)
    assert scene.count("attestations_total", result="failed") >= 1
    assert sum(len(server.sessions) for server in scene.bus.servers.values()) == 1
    await scene.stop()


async def test_statement_is_repeated_while_nothing_changes(scene: MemberScene) -> None:
    before = len(scene.attested())
    await asyncio.sleep(PROFILE.ca_period.total_seconds() / 4 + 1)
    assert len(scene.attested()) > before


# --- trust ------------------------------------------------------------------------------------


async def test_new_trust_set_is_attested_without_a_new_connection(scene: MemberScene) -> None:
    connection = scene.session.connection
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust()
    wanted = digest_of(scene)
    await scene.wait(lambda: scene.attested()[-1].digest == wanted, seconds=3)
    await scene.wait(lambda: scene.session.is_admitted, seconds=0.1)
    assert scene.session.connection is connection


async def test_announcement_is_taken_while_openbao_is_away(scene: MemberScene) -> None:
    scene.authority.store.is_available = False
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust(store=False)
    wanted = digest_of(scene)
    await scene.wait(lambda: scene.attested()[-1].digest == wanted, seconds=0.9)


async def test_lost_announcement_is_found_by_timer_in_openbao(scene: MemberScene) -> None:
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust(announce=False)
    wanted = digest_of(scene)
    await scene.wait(lambda: scene.attested()[-1].digest == wanted, seconds=6)


async def test_lost_announcement_is_found_by_timer_in_the_stream(scene: MemberScene) -> None:
    scene.authority.store.is_available = False
    scene.issuers.append(Issuer.make(101, START))
    assert scene.admin is not None
    data = await scene.publish_trust(announce=False, store=False)
    scene.bus.faults.lose(Leg.DELIVERY, names.SUBJECT_TRUST_NOTICE)
    for server in scene.bus.servers.values():
        for held in server.sessions:
            for interest in tuple(held.interests):
                if interest.subject == names.SUBJECT_TRUST_NOTICE:
                    server.unsubscribe(held, interest)
    await scene.admin.publish_acked(names.SUBJECT_TRUST_NOTICE, data)
    wanted = digest_of(scene)
    await scene.wait(lambda: scene.attested()[-1].digest == wanted, seconds=6)


async def test_older_trust_is_refused_also_after_a_restart(scene: MemberScene) -> None:
    old = await scene.publish_trust()
    await scene.publish_trust()
    newest = scene.version
    await scene.wait(lambda: getattr(scene.session.trust, "version", None) == newest)
    await scene.stop()
    again = scene.make_session(scene.files.after_crash())
    with pytest.raises(RejectedDocumentError) as caught:
        again._trust.offer(old)
    assert caught.value.fields["reason"] == "rollback"
    assert again.trust is None


async def test_trust_signed_by_another_key_is_refused_and_counted(scene: MemberScene) -> None:
    before = scene.session.trust
    data = scene.bundle_document(Authority(scene.clock))
    assert scene.admin is not None
    await scene.admin.publish(names.SUBJECT_TRUST_NOTICE, data)
    await scene.wait(
        lambda: scene.count("documents_total", kind="trust-bundle", result="signature") > 0
    )
    assert scene.session.trust is before
    assert scene.session.is_admitted


async def test_first_statement_is_of_the_newest_trust_set_that_the_bus_knows() -> None:
    scene = MemberScene()
    scene.admin = await scene.bus.join("admin")
    await scene.publish_trust()
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust(store=False)  # OpenBao's reader lags behind
    scene.start()
    await scene.wait(lambda: scene.session.is_admitted)
    assert scene.attested()[0].digest == digest_of(scene)
    await scene.stop()


async def test_trust_is_read_from_openbao_at_once_while_the_bus_is_down(
    scene: MemberScene,
) -> None:
    for server in scene.bus.servers.values():
        server.stop()
    await scene.wait(lambda: not scene.session.is_admitted)
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust(announce=False)
    wanted = scene.version
    await scene.wait(lambda: getattr(scene.session.trust, "version", None) == wanted, seconds=1.5)


# --- leaf and moves ---------------------------------------------------------------------------


async def test_window_moves_onto_the_new_issuer_make_before_break(scene: MemberScene) -> None:
    old, old_leaf = scene.session.connection, scene.leaf_source.issued[-1]
    newer = Issuer.make(101, START)
    scene.issuers.append(newer)
    scene.leaf_source.issuer = newer
    now = scene.clock.now()
    scene.window = RenewalWindow(
        epoch=EpochNumber(101), opens_at=now, closes_at=now + timedelta(milliseconds=200)
    )
    used: list[bool] = []

    async def follow(new: Connection) -> None:
        used.append(old.is_connected and scene.session.connection is new)

    scene.session.on_connection(follow)
    await scene.publish_trust()
    await scene.wait(lambda: old.is_closed)
    assert used == [True], "the old connection is up while followers move to the new one"
    assert scene.session.leaf is not None
    assert scene.session.leaf.epoch == 101
    new_leaf = scene.leaf_source.issued[-1]
    both = {old_leaf.fingerprint, new_leaf.fingerprint}
    history = [set(entry.leaf_fingerprints) for entry in scene.attested()]
    assert history.count(both) >= 2, "attested before connecting with it, and after"
    await scene.wait(lambda: set(scene.attested()[-1].leaf_fingerprints) == {new_leaf.fingerprint})


async def test_leaf_is_renewed_by_age(scene: MemberScene) -> None:
    first = scene.session.connection
    await scene.wait(lambda: len(scene.leaf_source.issued) >= 2, seconds=16)
    await scene.wait(lambda: scene.session.connection is not first and scene.session.is_admitted)


async def test_leaf_of_an_issuer_that_is_not_trusted_yet_waits_for_the_trust_set(
    scene: MemberScene,
) -> None:
    newer = Issuer.make(101, START)
    scene.issuers.append(newer)
    scene.leaf_source.issuer = newer
    scene.authority.store.calls.clear()
    scene.session._leaf.request_renewal()
    await asyncio.sleep(0.6)
    assert scene.session.leaf is not None
    read = ("kv_get", names.KV_TRUST_BUNDLE)
    assert read in scene.authority.store.calls, "the bus may tell of an older set for long"
    assert scene.session.leaf.epoch == 100, "a leaf that others do not trust is not used"
    await scene.publish_trust(announce=False)
    await scene.wait(lambda: scene.session.leaf is not None and scene.session.leaf.epoch == 101, 3)


async def test_leaf_that_ends_while_openbao_is_away_is_a_reason_not_to_be_ready(
    scene: MemberScene,
) -> None:
    scene.authority.store.is_available = False
    away = SecretStoreUnavailableError("away")
    scene.leaf_source.failures = [away] * 1000
    await asyncio.sleep(31)
    assert "leaf certificate expired" in scene.session.not_ready_reasons()


async def test_lame_duck_server_is_left_for_another_with_the_same_leaf(scene: MemberScene) -> None:
    old = scene.session.connection
    leaving = next(server for server in scene.bus.servers.values() if server.sessions)
    leaving.lame_duck()
    await scene.wait(lambda: old.is_closed)
    assert scene.session.is_admitted
    assert len(scene.leaf_source.issued) == 1
    assert scene.count("connection_moves_total", reason="lame_duck", result="done") == 1


async def test_server_that_asks_to_leave_gets_no_leaf_of_an_older_epoch_again(
    scene: MemberScene,
) -> None:
    newer = Issuer.make(101, START)
    scene.issuers.append(newer)
    scene.leaf_source.issuer = newer
    await scene.publish_trust()
    await asyncio.sleep(0.1)
    next(server for server in scene.bus.servers.values() if server.sessions).lame_duck()
    await scene.wait(lambda: scene.session.leaf is not None and scene.session.leaf.epoch == 101, 2)
    await scene.wait(lambda: scene.session.is_admitted)


async def test_new_trust_set_is_attested_although_there_is_no_server_to_move_to() -> None:
    scene = MemberScene(urls=("tls://nats-1:4222",))
    await scene.admitted()
    scene.bus.servers["nats-1"].lame_duck()
    failed = ("connection_moves_total", {"reason": "lame_duck", "result": "failed"})
    await scene.wait(lambda: scene.count(failed[0], **failed[1]) >= 1, seconds=20)
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust(announce=False)
    wanted = digest_of(scene)
    await scene.wait(lambda: scene.attested()[-1].digest == wanted, seconds=20)
    await scene.stop()


async def test_lost_server_is_attested_to_again_with_the_newest_trust_and_leaf(
    scene: MemberScene,
) -> None:
    connection = scene.session.connection
    for server in scene.bus.servers.values():
        server.stop()
    await scene.wait(lambda: not scene.session.is_admitted)
    assert "not connected to the bus" in scene.session.not_ready_reasons()
    scene.issuers.append(Issuer.make(101, START))
    await scene.publish_trust(announce=False)
    scene.session._leaf.request_renewal()
    await scene.wait(lambda: len(scene.leaf_source.issued) == 2, seconds=3)
    for server in scene.bus.servers.values():
        server.trust = (scene.issuers[0].der,)
        server.start()
    await scene.wait(lambda: scene.session.is_admitted, seconds=15)
    assert scene.session.connection is connection
    last = scene.attested()[-1]
    assert scene.leaf_source.issued[-1].fingerprint in last.leaf_fingerprints
    assert last.digest == digest_of(scene)
    live = [held.leaf for server in scene.bus.servers.values() for held in server.sessions]
    assert scene.leaf_source.issued[-1].fingerprint in live


async def test_connection_that_cannot_reconnect_is_replaced(scene: MemberScene) -> None:
    old = scene.session.connection
    for server in scene.bus.servers.values():
        server.stop()
    await asyncio.sleep(12)
    for server in scene.bus.servers.values():
        server.start()
    await scene.wait(lambda: scene.session.is_admitted, seconds=15)
    reasons = ("stuck", "closed")
    moved = sum(
        scene.count("connection_moves_total", reason=reason, result="failed") for reason in reasons
    )
    assert moved >= 1
    await scene.wait(lambda: scene.session.connection is old or old.is_closed)


async def test_connection_that_ended_for_good_is_replaced_with_the_newest_leaf(
    scene: MemberScene,
) -> None:
    old = scene.session.connection
    for server in scene.bus.servers.values():
        for held in tuple(server.sessions):
            server.drop(held, is_final=True)
        server.stop()
    scene.session._leaf.request_renewal()
    await scene.wait(lambda: len(scene.leaf_source.issued) == 2, seconds=3)

    def failed() -> float:
        return scene.count("connection_moves_total", reason="closed", result="failed")

    # The attempt that began with the leaf before is over: from here on no attempt can state the
    # new one on a connection that ended.
    begun = failed()
    await scene.wait(lambda: failed() > begun, seconds=30)
    for server in scene.bus.servers.values():
        server.start()
    await scene.wait(lambda: scene.session.is_admitted, seconds=15)
    assert old.is_closed
    assert scene.leaf_source.issued[-1].fingerprint in scene.attested()[-1].leaf_fingerprints


async def test_removed_user_is_not_ready_until_it_is_back(scene: MemberScene) -> None:
    others = tuple(user for user in scene.policy.users if user.service != "gatekeeper")
    scene.bus.set_policy(BrokerPolicy(acl_digest="0" * 64, users=others))
    await scene.wait(lambda: not scene.session.is_admitted)
    assert "not connected to the bus" in scene.session.not_ready_reasons()
    scene.bus.set_policy(scene.policy)
    await scene.wait(lambda: scene.session.is_admitted, seconds=20)


async def test_follower_that_fails_or_hangs_holds_up_nobody(scene: MemberScene) -> None:
    followed: list[Connection] = []

    async def broken(_connection: Connection) -> None:
        raise BusUnavailableError("broken")

    async def hanging(_connection: Connection) -> None:
        await asyncio.sleep(3600)

    async def good(connection: Connection) -> None:
        followed.append(connection)

    for follower in (broken, hanging, good):
        scene.session.on_connection(follower)
    next(server for server in scene.bus.servers.values() if server.sessions).lame_duck()
    await scene.wait(lambda: bool(followed), seconds=10)
    assert followed == [scene.session.connection]


async def test_close_leaves_no_connection_behind(scene: MemberScene) -> None:
    await scene.session.close()
    assert scene.session.not_ready_reasons()
    live = [held.name for server in scene.bus.servers.values() for held in server.sessions]
    assert "gatekeeper/1" not in live


# --- the system account -----------------------------------------------------------------------


async def test_member_of_the_system_account_is_admitted_by_the_same_session(
    watcher: MemberScene,
) -> None:
    watcher.admin = await watcher.bus.join("admin")
    heard = await watcher.overhear()
    await watcher.publish_trust(announce=False)
    watcher.start()
    await watcher.wait(lambda: watcher.session.is_admitted)
    await watcher.wait(lambda: bool(heard))
    assert heard[-1].instance == "watcher/1"
    assert heard[-1].leaf_fingerprints == (watcher.leaf_source.issued[-1].fingerprint,)
    assert watcher.session.not_ready_reasons() == []


async def test_statement_without_a_receipt_is_repeated_every_few_seconds(
    watcher: MemberScene,
) -> None:
    watcher.admin = await watcher.bus.join("admin")
    await watcher.publish_trust(announce=False)
    watcher.start()
    await watcher.wait(lambda: watcher.session.is_admitted)
    heard = await watcher.overhear()  # an authority that was restarted
    await asyncio.sleep(6)
    assert heard


async def test_statement_counts_only_when_the_server_has_it(watcher: MemberScene) -> None:
    await watcher.publish_trust(announce=False)
    watcher.start()
    await watcher.wait(lambda: watcher.session.is_admitted)
    for server in watcher.bus.servers.values():
        server.pause()
    watcher.issuers.append(Issuer.make(101, START))
    await watcher.publish_trust(announce=False)
    await watcher.wait(lambda: watcher.count("attestations_total", result="failed") >= 1, seconds=4)
    assert not watcher.session.is_admitted


async def test_trust_reaches_the_system_account_from_openbao_within_two_seconds(
    watcher: MemberScene,
) -> None:
    watcher.admin = await watcher.bus.join("admin")
    heard = await watcher.overhear()
    await watcher.publish_trust(announce=False)
    watcher.start()
    await watcher.wait(lambda: watcher.session.is_admitted)
    watcher.issuers.append(Issuer.make(101, START))
    await watcher.publish_trust()
    wanted = digest_of(watcher)
    await watcher.wait(lambda: bool(heard) and heard[-1].digest == wanted, seconds=2)


async def test_reasons_name_the_account(watcher: MemberScene) -> None:
    assert "not connected to the system account" in watcher.session.not_ready_reasons()

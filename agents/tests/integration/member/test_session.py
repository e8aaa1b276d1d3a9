"""A session over a fake OpenBao and a real message server: admission, trust, moves, refusals."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nats.js.api import StreamConfig
from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import BusUnavailableError, RejectedDocumentError
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.core.crypto import x509
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.trust_bundle import (
    EpochState,
    RenewalWindow,
    TrustBundle,
    TrustedIssuer,
)
from securetransport.core.ports import TlsIdentity
from securetransport.core.ports.bus import Connection
from securetransport.core.trust import bundle as trust
from securetransport.member.account import application_account
from securetransport.member.session import MemberPorts, Session
from securetransport.runtime.sections import (
    AuthoritySection,
    IdentitySection,
    NatsSection,
    PathsSection,
)
from service_bench import Connect
from service_broker import Broker, user
from service_pki import Issuer
from service_scene import Authority

PROFILE = PROFILES["burst"].override(leaf_validity=timedelta(seconds=30))
SERVICE = "gatekeeper"
RIGHTS = user(
    SERVICE,
    [
        f"metadata.attest.{SERVICE}.>",
        f"$JS.API.DIRECT.GET.{names.STREAM_CA_CLIENT}.{names.SUBJECT_TRUST_NOTICE}",
    ],
    [f"_INBOX.{SERVICE}.>", names.SUBJECT_TRUST_NOTICE],
)
ADMIN = user("admin", [">"], [">"])


@dataclass
class Settings:
    """What a session reads of an agent's settings."""

    identity: IdentitySection
    authority: AuthoritySection
    nats: NatsSection
    paths: PathsSection

    def profile_value(self) -> Profile:
        return PROFILE


@dataclass
class LeafSources:
    """Signs with whichever issuer is active; a leaf source without OpenBao."""

    issuer: Issuer
    issued: list[TlsIdentity] = field(default_factory=list)

    async def issue(self, life: timedelta) -> TlsIdentity:
        self.issued.append(self.issuer.leaf(SERVICE, life=life))
        return self.issued[-1]


class Stage:
    """A running session and the authority's side of its conversation."""

    def __init__(self, authority: Authority, broker: Broker, issuer: Issuer, home: Path) -> None:
        self.authority, self.broker = authority, broker
        self.leaf_source = LeafSources(issuer)
        self.issuers = [issuer]
        self.window: RenewalWindow | None = None
        self.version = Version()
        self.admin: Connection | None = None
        keys = home / "authority-keys.json"
        keys.write_text(authority.pinned.to_json())
        self.settings = Settings(
            IdentitySection(service=SERVICE, instance="1"),
            AuthoritySection(keys_file=keys),
            NatsSection(servers=(broker.url,)),
            PathsSection(state_dir=home / "state"),
        )
        self.session = self.make_session()
        self.tasks: list[asyncio.Task[None]] = []

    def make_session(self) -> Session:
        return Session(
            self.settings,
            application_account(PROFILE),
            MemberPorts(
                store=self.authority.store,
                bus=NatsBus(),
                leaf_source=self.leaf_source,
                files=LocalFiles(),
                keys=self.authority.pinned.lookup,
                clock=SystemClock(),
                randomness=SystemRandomness(),
            ),
            CollectorRegistry(),
        )

    def start(self) -> None:
        for task in self.session.tasks().values():
            self.tasks.append(asyncio.ensure_future(task()))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.session.close()

    def bundle_document(self) -> bytes:
        entries = tuple(entry_of(issuer) for issuer in self.issuers)
        body = TrustBundle(
            issuers=entries,
            active=self.leaf_source.issuer.epoch,
            digest=trust.trust_digest(entry.certificate for entry in entries),
            renewal=self.window,
        )
        self.version = self.version.next()
        return self.authority.sign(
            DocumentKind.TRUST_BUNDLE, body, documents.EVERYBODY, self.version
        )

    async def publish_trust(self, *, announce: bool = True) -> bytes:
        data = self.bundle_document()
        text = base64.b64encode(data).decode()
        await self.authority.put(names.KV_TRUST_BUNDLE, {"document": text})
        if announce and self.admin is not None:
            await self.admin.publish_acked(names.SUBJECT_TRUST_NOTICE, data)
        return data

    async def attested(self) -> list[Attestation]:
        """Every attestation so far, oldest first."""
        assert self.admin is not None
        js = self.admin.link.client.jetstream()
        info = await js.stream_info(names.STREAM_ATTESTATIONS)
        found = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await js.get_msg(names.STREAM_ATTESTATIONS, sequence)
            assert message.data is not None
            found.append(Attestation.from_bytes(documents.decode(message.data).body))
        return found

    async def wait(self, check: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not check():
                await asyncio.sleep(0.02)


def entry_of(issuer: Issuer) -> TrustedIssuer:
    facts = x509.describe(issuer.der)
    return TrustedIssuer(
        epoch=issuer.epoch,
        state=EpochState.LEGACY,
        certificate=issuer.der,
        fingerprint=facts.fingerprint,
        common_name=facts.common_name,
        not_before=facts.not_before,
        not_after=facts.not_after,
    )


@pytest.fixture
async def stage(
    tmp_path: Path, broker: Broker, issuer: Issuer, connect: Connect
) -> AsyncIterator[Stage]:
    broker.set_users([ADMIN, RIGHTS])
    await asyncio.sleep(0.2)
    authority = Authority()
    made = Stage(authority, broker, issuer, tmp_path)
    made.admin = await connect("admin")
    js = made.admin.link.client.jetstream()
    await js.add_stream(StreamConfig(names.STREAM_ATTESTATIONS, subjects=["metadata.attest.>"]))
    await js.add_stream(
        StreamConfig(names.STREAM_CA_CLIENT, subjects=["metadata.client.>"], allow_direct=True)
    )
    await made.publish_trust()
    made.start()
    await made.wait(lambda: made.session.is_admitted)
    yield made
    await made.stop()


async def test_attested_leaf_is_the_one_in_use_and_its_key_is_enrolled(stage: Stage) -> None:
    last = (await stage.attested())[-1]
    assert last.instance == f"{SERVICE}/1"
    assert last.digest == trust.trust_digest([stage.issuers[0].der])
    assert last.leaf_fingerprints == (stage.leaf_source.issued[-1].fingerprint,)
    assert await stage.authority.store.kv_list(f"enroll/{SERVICE}/1")


async def test_ready_when_it_is_admitted(stage: Stage) -> None:
    assert stage.session.not_ready_reasons() == []


async def test_new_trust_set_is_attested_without_a_new_connection(stage: Stage) -> None:
    connection = stage.session.connection
    stage.issuers.append(Issuer.make(101))
    await stage.publish_trust()
    wanted = trust.trust_digest(issuer.der for issuer in stage.issuers)

    def is_attested() -> bool:
        held = stage.session.trust
        return held is not None and held.body.digest == wanted and stage.session.is_admitted

    await stage.wait(is_attested, seconds=3)
    assert (await stage.attested())[-1].digest == wanted
    assert stage.session.connection is connection


async def test_lost_announcement_is_found_by_timer(stage: Stage) -> None:
    stage.issuers.append(Issuer.make(101))
    await stage.publish_trust(announce=False)
    wanted = stage.version
    await stage.wait(lambda: stage.session.trust.version == wanted, seconds=6)  # type: ignore[union-attr]


async def test_window_moves_onto_the_new_issuer_make_before_break(stage: Stage) -> None:
    old_connection, old_leaf = stage.session.connection, stage.leaf_source.issued[-1]
    newer = Issuer.make(101)
    stage.issuers.append(newer)
    await stage.publish_trust()
    stage.broker.write_trust(stage.issuers)
    stage.broker.signal(signal.SIGHUP)
    await asyncio.sleep(0.3)
    stage.leaf_source.issuer = newer
    now = datetime.now(UTC)
    stage.window = RenewalWindow(
        epoch=EpochNumber(101), opens_at=now, closes_at=now + timedelta(milliseconds=200)
    )
    used: list[bool] = []

    async def follow(_: Connection) -> None:
        used.append(old_connection.is_connected)

    stage.session.on_connection(follow)
    await stage.publish_trust()
    await stage.wait(lambda: stage.session.connection is not old_connection)
    await stage.wait(lambda: old_connection.is_closed)
    assert used == [True], "the old connection is up while followers move"
    assert stage.session.leaf is not None
    assert stage.session.leaf.epoch == 101
    new_leaf = stage.leaf_source.issued[-1]
    both = {old_leaf.fingerprint, new_leaf.fingerprint}
    history = [set(entry.leaf_fingerprints) for entry in await stage.attested()]
    assert history.count(both) == 2, "attested before connecting with it, and after"
    async with asyncio.timeout(12):
        while set((await stage.attested())[-1].leaf_fingerprints) != {
            stage.leaf_source.issued[-1].fingerprint
        }:
            await asyncio.sleep(0.2)


async def test_leaf_is_renewed_by_age(stage: Stage) -> None:
    first = stage.session.connection
    await stage.wait(lambda: len(stage.leaf_source.issued) >= 2, seconds=16)
    await stage.wait(lambda: stage.session.connection is not first and stage.session.is_admitted)


async def test_lame_duck_server_is_left_as_soon_as_there_is_another(stage: Stage) -> None:
    stage.broker.signal(signal.SIGUSR2)
    events = stage.session.telemetry.bus_events
    await stage.wait(lambda: events.labels("lame_duck")._value.get() >= 1)
    moves = stage.session.telemetry.moves
    await stage.wait(lambda: moves.labels("lame_duck", "failed")._value.get() >= 1)
    await asyncio.to_thread(stage.broker.stop)
    await asyncio.to_thread(stage.broker.start)
    await stage.wait(lambda: stage.session.is_admitted, seconds=15)


async def test_restarted_server_is_attested_to_again(stage: Stage) -> None:
    before = len(await stage.attested())
    await asyncio.to_thread(stage.broker.stop)
    await stage.wait(lambda: not stage.session.is_admitted)
    await asyncio.to_thread(stage.broker.start)
    await stage.wait(lambda: stage.session.is_admitted, seconds=15)
    assert stage.admin is not None
    await stage.admin.wait_connected(10)
    assert len(await stage.attested()) > before


async def test_removed_user_is_not_ready_until_it_is_back(stage: Stage) -> None:
    stage.broker.set_users([ADMIN])
    await stage.wait(lambda: not stage.session.is_admitted)
    assert "not connected to the bus" in stage.session.not_ready_reasons()
    with pytest.raises(BusUnavailableError):
        await stage.session.connection.publish_acked(
            "metadata.attest.gatekeeper.1", b"", timeout=0.3
        )
    stage.broker.set_users([ADMIN, RIGHTS])
    await stage.wait(lambda: stage.session.is_admitted, seconds=15)


async def test_older_trust_is_refused_also_after_a_restart(stage: Stage) -> None:
    old = await stage.publish_trust()
    await stage.publish_trust()
    newest = stage.version
    await stage.wait(lambda: stage.session.trust.version == newest)  # type: ignore[union-attr]
    await stage.stop()
    again = stage.make_session()
    with pytest.raises(RejectedDocumentError) as caught:
        again._trust.offer(old)
    assert caught.value.fields["reason"] == "rollback"
    assert again.trust is None


async def test_trust_signed_by_another_key_is_refused(stage: Stage) -> None:
    before = stage.session.trust
    stranger = Authority()
    stage.authority, own = stranger, stage.authority
    data = stage.bundle_document()
    stage.authority = own
    with pytest.raises(RejectedDocumentError) as caught:
        stage.session._trust.offer(data)
    assert caught.value.fields["reason"] == "signature"
    assert stage.session.trust is before

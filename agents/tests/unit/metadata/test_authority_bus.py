"""The authority on the bus: who answers, what is announced once, what a new connection hears."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog
from authority_desk import GATEKEEPER, PROFILE, Desk
from authority_scene import Scene
from enrolments import Enrolled

from securetransport.core.acl import compile_acl, load_acl
from securetransport.core.base import names
from securetransport.core.base.errors import BusUnavailableError, SecureTransportError
from securetransport.core.base.names import InstanceId, ServiceId, Subject
from securetransport.core.crypto import kem
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.exchange import KeyRequest
from securetransport.core.formats.server_report import ServerReport
from securetransport.core.ports.bus import Message
from securetransport.metadata.bus import AuthorityBus
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.exchange import KeyExchange
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper
from securetransport.metadata.rotation_log import RotationLog
from securetransport.testing.bus import FakeBus, FakeConnection

pytestmark = pytest.mark.virtual_time

ACL = compile_acl(
    load_acl("""
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 1048576}
topics:
  auth.requests: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests]}
  auth-controller:
    consumes: [{topic: auth.requests, durable: auth-controller}]
"""),
    PROFILE,
    replicas=1,
)
WATCHER = InstanceId("watcher/1")


@dataclass
class Station:
    """One instance of the authority with its bus side, and a member that speaks to it."""

    desk: Desk
    bus: FakeBus
    scene: Scene

    def __post_init__(self) -> None:
        desk, scene = self.desk, self.scene
        enrolled = EnrolledKeys(desk.store, PROFILE)
        self.keys = KeyRotation(
            store=desk.store,
            clock=desk.clock,
            profile=PROFILE,
            document_store=desk.documents,
            signer=desk.signer,
            enrolled=enrolled,
        )
        nobody = AuthorityKeys({})
        self.policy = PolicyKeeper(desk.documents, desk.clock, PROFILE, nobody, nobody)
        exchange = KeyExchange(
            store=desk.store,
            clock=desk.clock,
            profile=PROFILE,
            signer=desk.signer,
            enrolled=enrolled,
            keys=self.keys,
            policy=self.policy,
            metrics=desk.metrics,
        )
        self.exchange = exchange
        self.log = RotationLog()
        self.authority = AuthorityBus(
            clock=desk.clock,
            profile=PROFILE,
            evidence=scene.evidence,
            ca=scene.rotation,
            keys=self.keys,
            exchange=exchange,
            policy=self.policy,
            rotation_log=self.log,
            metrics=desk.metrics,
        )

    async def connect(self) -> FakeConnection:
        connection = await self.bus.join("metadata")
        await self.authority.use(connection)
        return connection

    async def member(self) -> FakeConnection:
        return await self.bus.join("gatekeeper")


def statement(member: Enrolled, desk: Desk) -> bytes:
    body = Attestation(
        instance=member.instance,
        boot_id="ab" * 16,
        bundle_version=Version(counter=1),
        digest="00" * 32,
        leaf_fingerprints=(),
        certificates=(),
        attested_at=desk.clock.now(),
    )
    return member.signed(DocumentKind.ATTESTATION, body)


@pytest.fixture
async def station(desk: Desk) -> Station:
    bus = FakeBus(clock=desk.clock)
    for config in ACL.streams:
        bus.add_stream(config)
    return Station(desk, bus, Scene(desk))


async def acting(station: Station) -> FakeConnection:
    await station.scene.rotation.round()
    return await station.connect()


async def ask(connection: FakeConnection, subject: str, data: bytes = b"") -> Any:
    answer = await connection.request(subject, data, timeout=1)
    return json.loads(answer.data)


async def test_the_acting_instance_answers_for_its_status(station: Station) -> None:
    await acting(station)
    picture = await ask(await station.member(), names.SUBJECT_STATUS)
    assert picture["holder"] == "metadata/1"
    assert picture["ca"]["active"] is not None


async def test_a_standby_does_not_share_the_acting_ones_requests(
    desk: Desk, station: Station
) -> None:
    """B10: it would refuse every second request of a member."""
    await acting(station)
    standby = Station(desk, station.bus, Scene(desk, number=2, pki=station.scene.mounts))
    await standby.scene.rotation.round()
    assert standby.scene.rotation.is_standby
    await standby.connect()
    await standby.authority.round()
    member = await station.member()
    for _ in range(20):
        assert (await ask(member, names.SUBJECT_STATUS))["holder"] == "metadata/1"


async def test_who_takes_over_begins_to_answer_and_who_lost_ends(
    desk: Desk, station: Station
) -> None:
    await acting(station)
    other = Station(desk, station.bus, Scene(desk, number=2, pki=station.scene.mounts))
    await other.connect()
    desk.clock.advance(10)
    await other.scene.rotation.round()
    await other.authority.round()
    await station.scene.rotation.round()
    await station.authority.round()
    member = await station.member()
    for _ in range(10):
        assert (await ask(member, names.SUBJECT_STATUS))["holder"] == "metadata/2"


async def test_before_the_first_round_nobody_answers_for_the_status(station: Station) -> None:
    await station.connect()
    with pytest.raises(BusUnavailableError, match="nobody listens"):
        await ask(await station.member(), names.SUBJECT_STATUS)


async def test_directory_entries_and_bundles_are_answered(desk: Desk, station: Station) -> None:
    await acting(station)
    await station.keys.ensure_topic_keys(ACL)
    await station.keys.ensure_bundles(ACL)
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    connection = await station.member()
    entry = await ask(connection, names.SUBJECT_DIRECTORY, b"00ff" * 8)
    assert entry["error"] == "unknown"
    request = KeyRequest(
        instance=GATEKEEPER,
        kem=kem.ML_KEM_768,
        kem_public_key=kem.generate_kem_key().public_key,
        nonce=b"n" * 32,
        requested_at=desk.clock.now(),
    )
    data = member.signed(DocumentKind.KEY_REQUEST, request)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(station.authority.serve_requests())
        own = names.subject_key_exchange(ServiceId("gatekeeper"))
        answer = await connection.request(own, data, timeout=1)
        serving.cancel()
    assert documents.decode(answer.data).kind is DocumentKind.SEALED_BUNDLE


async def test_a_new_trust_bundle_is_announced_once_per_connection(station: Station) -> None:
    await acting(station)
    stream = station.bus.streams[names.STREAM_CA_CLIENT]
    for _ in range(3):
        await station.authority.round()
    assert len(stream) == 1
    announced = documents.decode(stream.messages()[0].frame.data)
    assert announced.kind is DocumentKind.TRUST_BUNDLE
    await station.connect()
    await station.authority.round()
    assert len(stream) == 1, "the same document again is a copy"


async def test_directory_and_deny_list_are_announced_whole_and_once(station: Station) -> None:
    await acting(station)
    policy = station.policy
    policy.denials = await station.desk.documents.publish(
        names.KV_DENY_LIST, DocumentKind.DENY_LIST, DenyList(), PROFILE.key_validity
    )
    await station.keys.ensure_directory(ACL, policy.deny)
    stream = station.bus.streams[names.STREAM_CA_CLIENT]
    for _ in range(2):
        await station.authority.round()
    told = {kept.frame.subject: kept.frame.data for kept in stream.messages()}
    assert len(stream) == len(told) == 3
    assert station.keys.directory is not None
    assert told[names.SUBJECT_DIRECTORY_NOTICE] == station.keys.directory.data
    assert told[names.SUBJECT_DENY_LIST_NOTICE] == policy.denials.data


async def test_a_standby_announces_nothing(desk: Desk, station: Station) -> None:
    await station.scene.rotation.round()
    standby = Station(desk, station.bus, Scene(desk, number=2, pki=station.scene.mounts))
    await standby.scene.rotation.round()
    await standby.connect()
    await standby.authority.round()
    assert len(station.bus.streams[names.STREAM_CA_CLIENT]) == 0


async def test_statements_are_taken_from_the_bus_and_recalled_by_a_new_process(
    desk: Desk, station: Station
) -> None:
    await station.connect()
    member, watcher = Enrolled(GATEKEEPER, desk.clock), Enrolled(WATCHER, desk.clock)
    for one in (member, watcher):
        await one.enrol(desk.store)
    connection = await station.member()
    subject = names.subject_attestation(GATEKEEPER)
    await connection.publish_acked(subject, statement(member, desk))
    report: Document = ServerReport(servers=(), reported_at=desk.clock.now())
    await connection.publish(
        names.SUBJECT_SERVER_REPORT, watcher.signed(DocumentKind.SERVER_REPORT, report)
    )
    await asyncio.sleep(0.1)
    assert set(station.scene.evidence.members) == {GATEKEEPER}
    assert station.scene.evidence.report is not None
    other = Station(desk, station.bus, Scene(desk, number=2, pki=station.scene.mounts))
    await other.connect()
    assert set(other.scene.evidence.members) == {GATEKEEPER}


async def test_junk_on_the_bus_is_counted_and_harms_nobody(desk: Desk, station: Station) -> None:
    await station.connect()
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    connection = await station.member()
    for subject in (names.subject_attestation(GATEKEEPER), names.SUBJECT_SERVER_REPORT):
        await connection.publish(subject, b"\xff" * 40)
    await connection.publish(names.subject_attestation(GATEKEEPER), statement(member, desk))
    await asyncio.sleep(0.1)
    assert set(station.scene.evidence.members) == {GATEKEEPER}
    refused = desk.metrics._refused
    assert refused.labels("attestation")._value.get() == 1
    assert refused.labels("server_report")._value.get() == 1


async def test_steps_reach_the_log_when_this_instance_acts(station: Station) -> None:
    await acting(station)
    station.log.note("plan", 1, (), station.desk.clock.now())
    await station.authority.round()
    assert len(station.bus.streams[names.STREAM_ROTATION_LOG]) == 1


async def test_a_changed_bundle_is_noticed_by_its_service(station: Station) -> None:
    await acting(station)
    member = await station.member()
    heard: list[Message] = []

    async def hear(message: Message) -> None:
        heard.append(message)

    await member.subscribe(names.subject_bundle_push(ServiceId("gatekeeper")), hear)
    station.keys.owed[ServiceId("gatekeeper")] = Version(counter=7)
    await station.authority.push_notices()
    await asyncio.sleep(0.1)
    assert json.loads(heard[0].data)["version"]["counter"] == 7
    assert not station.keys.owed


async def test_a_notice_that_could_not_be_sent_is_owed_and_the_others_are_told(
    station: Station,
) -> None:
    connection = await acting(station)
    first, second = ServiceId("auth-controller"), ServiceId("gatekeeper")
    station.keys.owed.update({first: Version(counter=1), second: Version(counter=2)})
    send, failing = connection.publish, [names.subject_bundle_push(first)]

    async def publish(subject: Subject, data: bytes) -> None:
        if subject in failing:
            raise BusUnavailableError("gone")
        await send(subject, data)

    connection.publish = publish  # type: ignore[method-assign,assignment]
    await station.authority.push_notices()
    assert station.keys.owed == {first: Version(counter=1)}
    failing.clear()
    await station.authority.push_notices()
    assert not station.keys.owed


async def test_a_document_that_the_stream_refuses_holds_up_nothing_else(station: Station) -> None:
    """A Directory above ``max_msg_size`` kept the rotation log and the deny list from the bus."""
    await acting(station)
    await station.authority.round()
    await station.keys.ensure_directory(ACL, DenyList())
    assert station.keys.directory is not None
    stream = station.bus.streams[names.STREAM_CA_CLIENT]
    station.policy.denials = await station.desk.documents.publish(
        names.KV_DENY_LIST, DocumentKind.DENY_LIST, DenyList(), PROFILE.key_validity
    )
    size = len(station.policy.denials.data) + 200
    oversized = replace(station.keys.directory, data=bytes(2 * size))
    stream.config["max_msg_size"] = size
    station.keys.directory = oversized
    station.log.note("plan", 1, (), station.desk.clock.now())
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(SecureTransportError):
                await station.authority.round()
    told = {kept.frame.subject for kept in stream.messages()}
    assert names.SUBJECT_DENY_LIST_NOTICE in told
    assert len(station.bus.streams[names.STREAM_ROTATION_LOG]) == 1
    failed = [line for line in lines if line["event"] == "announcement_failed"]
    assert [line["subject"] for line in failed] == [names.SUBJECT_DIRECTORY_NOTICE]


async def test_without_a_connection_nothing_is_announced_and_nothing_fails(
    station: Station,
) -> None:
    await station.authority.round()
    station.keys.owed[ServiceId("gatekeeper")] = Version(counter=1)
    await station.authority.push_notices()
    assert station.keys.owed, "told when there is a connection"


async def test_without_the_attestations_stream_the_authority_still_listens(
    desk: Desk,
) -> None:
    bus = FakeBus(clock=desk.clock)
    station = Station(desk, bus, Scene(desk))
    await station.scene.rotation.round()
    await station.connect()
    assert (await ask(await station.member(), names.SUBJECT_STATUS))["holder"] == "metadata/1"


async def test_while_the_stream_is_away_the_announcement_is_repeated(station: Station) -> None:
    await acting(station)
    station.bus.lose_next_ack(names.SUBJECT_TRUST_NOTICE)
    with pytest.raises(BusUnavailableError):
        await station.authority.round()
    await station.authority.round()
    assert len(station.bus.streams[names.STREAM_CA_CLIENT]) == 1

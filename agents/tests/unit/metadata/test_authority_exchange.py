"""Bundle requests: who proves who it is gets its own bundle, sealed; everybody else a word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from authority_desk import GATEKEEPER, PROFILE, Desk
from enrolments import Enrolled

from securetransport.core.acl import compile_acl, load_acl
from securetransport.core.base import names
from securetransport.core.base.names import InstanceId, ServiceId
from securetransport.core.crypto import kem
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.exchange import KeyRequest, SealedBundle, open_bundle
from securetransport.core.formats.service_bundle import ServiceBundle
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.exchange import _MAX_NONCES, KeyExchange
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper

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
)


@dataclass
class Counter:
    desk: Desk
    exchange: KeyExchange
    policy: PolicyKeeper
    member: Enrolled

    def request(self, key: kem.KemKey, nonce: bytes = b"n" * 16, **changes: Any) -> bytes:
        facts: dict[str, Any] = {
            "instance": self.member.instance,
            "kem": kem.ML_KEM_768,
            "kem_public_key": key.public_key,
            "nonce": nonce,
            "requested_at": self.desk.clock.now(),
            **changes,
        }
        return self.member.signed(DocumentKind.KEY_REQUEST, KeyRequest(**facts))

    async def refused(self, data: bytes) -> str:
        answer = json.loads(await self.exchange.answer(data))
        assert set(answer) == {"error", "detail"}
        return f"{answer['error']}: {answer['detail']}"


@pytest.fixture
async def counter(desk: Desk) -> Counter:
    enrolled = EnrolledKeys(desk.store, PROFILE)
    keys = KeyRotation(
        store=desk.store,
        clock=desk.clock,
        profile=PROFILE,
        document_store=desk.documents,
        signer=desk.signer,
        enrolled=enrolled,
    )
    authority = await desk.authority_keys()
    policy = PolicyKeeper(desk.documents, desk.clock, PROFILE, authority, authority)
    exchange = KeyExchange(
        store=desk.store,
        clock=desk.clock,
        profile=PROFILE,
        signer=desk.signer,
        enrolled=enrolled,
        keys=keys,
        policy=policy,
        metrics=desk.metrics,
    )
    await keys.ensure_topic_keys(ACL)
    await keys.ensure_bundles(ACL)
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    return Counter(desk, exchange, policy, member)


async def test_a_member_gets_its_own_bundle_sealed_and_signed(counter: Counter) -> None:
    key = kem.generate_kem_key()
    request = counter.request(key)
    answer = documents.decode(await counter.exchange.answer(request))
    keys = await counter.desk.authority_keys()
    body = documents.verify_document(
        answer,
        keys.lookup,
        kind=DocumentKind.SEALED_BUNDLE,
        audience=GATEKEEPER,
        at=counter.desk.clock.now(),
        newest=None,
    )
    inner = documents.decode(open_bundle(SealedBundle.from_bytes(body), request, key))
    bundle = ServiceBundle.from_bytes(inner.body)
    assert bundle.service == "gatekeeper"
    assert {topic_key.topic for topic_key in bundle.topic_keys} == {"auth.requests"}


async def test_a_request_is_answered_once(counter: Counter) -> None:
    request = counter.request(kem.generate_kem_key())
    documents.decode(await counter.exchange.answer(request))
    assert "answered before" in await counter.refused(request)


async def test_a_request_is_fresh_for_five_minutes_and_the_skew(counter: Counter) -> None:
    limit = PROFILE.clock_skew + timedelta(minutes=5)
    key, now = kem.generate_kem_key(), counter.desk.clock.now()
    for age in (limit, -limit):
        data = counter.request(key, str(age).encode().ljust(16), requested_at=now - age)
        documents.decode(await counter.exchange.answer(data))
    for age in (limit + timedelta(seconds=1), -limit - timedelta(seconds=1)):
        data = counter.request(key, str(age).encode().ljust(16), requested_at=now - age)
        assert "not fresh" in await counter.refused(data)


async def test_nobody_asks_for_another(counter: Counter) -> None:
    data = counter.request(kem.generate_kem_key(), instance=InstanceId("gatekeeper/2"))
    assert "another instance" in await counter.refused(data)


async def test_an_unenrolled_requester_learns_nothing(counter: Counter) -> None:
    counter.member = Enrolled(GATEKEEPER, counter.desk.clock)
    answer = await counter.refused(counter.request(kem.generate_kem_key()))
    assert answer.startswith("refused: no valid enrolled key")


async def test_a_revoked_service_is_refused(counter: Counter) -> None:
    counter.policy.deny = DenyList(services={ServiceId("gatekeeper"): counter.desk.clock.now()})
    assert "revoked" in await counter.refused(counter.request(kem.generate_kem_key()))


async def test_a_service_that_the_acl_does_not_name_has_no_bundle(counter: Counter) -> None:
    counter.member = Enrolled(InstanceId("stranger/1"), counter.desk.clock)
    await counter.member.enrol(counter.desk.store)
    assert "no bundle" in await counter.refused(counter.request(kem.generate_kem_key()))


async def test_a_flood_of_one_instance_ends_with_its_own_quota(counter: Counter) -> None:
    """B4: the limit is per instance, and what is over is pruned before anybody is refused."""
    now = counter.desk.clock.now()
    flood = {number.to_bytes(16, "big"): now for number in range(_MAX_NONCES)}
    counter.exchange._nonces[GATEKEEPER] = flood
    request = counter.request(kem.generate_kem_key())
    assert "too many requests of this instance" in await counter.refused(request)
    other = Enrolled(InstanceId("gatekeeper/2"), counter.desk.clock)
    await other.enrol(counter.desk.store)
    flooded, counter.member = counter.member, other
    documents.decode(await counter.exchange.answer(counter.request(kem.generate_kem_key())))
    counter.desk.clock.advance(2 * (PROFILE.clock_skew + timedelta(minutes=5)))
    counter.desk.clock.advance(1)
    counter.member = Enrolled(GATEKEEPER, counter.desk.clock)
    await counter.member.enrol(counter.desk.store)
    assert flooded.instance == counter.member.instance
    documents.decode(await counter.exchange.answer(counter.request(kem.generate_kem_key())))
    assert list(counter.exchange._nonces) == [GATEKEEPER]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 64])
async def test_junk_is_answered_by_a_word(counter: Counter, data: bytes) -> None:
    assert (await counter.refused(data)).startswith("refused")


async def test_while_openbao_is_away_the_answer_says_so(counter: Counter) -> None:
    request = counter.request(kem.generate_kem_key())
    counter.desk.store.is_available = False
    assert (await counter.refused(request)).startswith("unavailable")
    answer = json.loads(await counter.exchange.directory_entry(b"00ff" * 8))
    assert answer["error"] == "unavailable"


async def test_directory_entries_are_given_by_id(counter: Counter) -> None:
    path = names.kv_directory_entry(names.KeyId("00ff" * 8))
    await counter.desk.store.kv_put(path, {"entry": {"index": 1}}, cas=0)
    assert json.loads(await counter.exchange.directory_entry(b"00ff" * 8)) == {
        "entry": {"index": 1}
    }
    unknown = json.loads(await counter.exchange.directory_entry(b"00fe" * 8))
    assert unknown["error"] == "unknown"
    for bad in (b"../rotation", b"\xff", b""):
        assert json.loads(await counter.exchange.directory_entry(bad))["error"] == "malformed"

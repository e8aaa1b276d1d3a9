"""Whatever others write, the authority's own loops go on: seeded junk of every kind of document.

Each round changes what lies in OpenBao or comes over the bus by a mutation of something honest, or
by bytes of no meaning, and runs the loops that read it. Only an error of ours may leave a round,
and in the end an honest member is served.

A failure prints its seed; ``SEED`` repeats it.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any, Final

import pytest
from authority_desk import GATEKEEPER, PROFILE, Desk
from authority_scene import SERVERS, Scene
from enrolments import Enrolled
from hostile_values import REFUSED

from securetransport.core.acl import load_acl
from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import InstanceId
from securetransport.core.crypto import kem
from securetransport.core.crypto.signing import generate_signing_key
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import Attestation, KeeperAttestation
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.exchange import KeyRequest
from securetransport.core.formats.server_report import (
    ServerConnection,
    ServerObservation,
    ServerReport,
)
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.exchange import KeyExchange
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper

pytestmark = pytest.mark.long

SEEDS: Final = range(12)
ROUNDS: Final = 40
VALUES: Final = [value for kind in REFUSED.values() for value in kind.values()]
ACL_TEXT: Final = """
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 1048576}
topics:
  auth.requests: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests]}
"""


class Raw:
    """A body of any bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        return self._data


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


def mutated(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with another one at one of its places, or with one more or less."""
    made = json.loads(json.dumps(value))
    path = chance.choice(places(made))
    junk = chance.choice(VALUES)
    if not path:
        return junk
    place = made
    for step in path[:-1]:
        place = place[step]
    how = chance.random()
    if how < 0.15 and isinstance(place, dict):
        del place[path[-1]]
    elif how < 0.3 and isinstance(place, dict):
        place[chance.choice(["x", "", "\u00e4", "constructor", "version"])] = junk
    else:
        place[path[-1]] = junk
    return made


def garbled(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with some of them changed, cut off or repeated."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        how, at = chance.random(), chance.randrange(len(made) or 1)
        if how < 0.5 and made:
            made[at] = chance.randrange(256)
        elif how < 0.7:
            del made[at:]
        else:
            made[at:at] = made[:64] or b"\x00"
    return bytes(made)


class Hostile:
    """An authority on fakes, and somebody with every right that a writer has."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.chance = desk, random.Random(seed)  # noqa: S311  # repeatable junk
        self.scene = Scene(desk)
        self.enrolled = EnrolledKeys(desk.store, PROFILE)
        self.evidence = EvidenceStore("example.test", PROFILE, self.enrolled)
        self.keys = KeyRotation(
            store=desk.store,
            clock=desk.clock,
            profile=PROFILE,
            document_store=desk.documents,
            signer=desk.signer,
            enrolled=self.enrolled,
        )
        self.administrator = generate_signing_key()
        self.member = Enrolled(GATEKEEPER, desk.clock)
        self.watcher = Enrolled(InstanceId("watcher/1"), desk.clock)

    async def start(self) -> None:
        desk, key = self.desk, self.administrator
        administrators = AuthorityKeys({key.key_id: (key.algorithm, key.public_key)})
        authority = await desk.authority_keys()
        self.policy = PolicyKeeper(desk.documents, desk.clock, PROFILE, administrators, authority)
        self.exchange = KeyExchange(
            store=desk.store,
            clock=desk.clock,
            profile=PROFILE,
            signer=desk.signer,
            enrolled=self.enrolled,
            keys=self.keys,
            policy=self.policy,
            metrics=desk.metrics,
        )
        for honest in (self.member, self.watcher):
            await honest.enrol(desk.store)
        await self.write_acl(load_acl(ACL_TEXT).canonical(), 1)

    async def loops(self) -> None:
        """Run each loop of the authority once; an error of ours is what they survive."""
        await self._survived(self.scene.rotation.round)
        await self._survived(lambda: self.policy.round(may_write=True))
        acl = self.policy.compiled
        assert acl is not None
        await self.keys.recall_policies()
        await self.keys.ensure_topic_keys(acl)
        await self.keys.ensure_directory(acl, self.policy.deny)
        await self.keys.ensure_bundles(acl)

    async def write_acl(self, body: bytes, version: int) -> None:
        now = self.desk.clock.now()
        document = documents.sign_with_key(
            kind=DocumentKind.ACL,
            audience=documents.AUTHORITY,
            version=Version(counter=version),
            created_at=now,
            not_after=now + PROFILE.ca_validity * 1000,
            body=body,
            signer=documents.ADMINISTRATOR,
            key=self.administrator,
        )
        value = {"document": base64.b64encode(documents.encode(document)).decode()}
        await self.put(names.KV_ACL, value)

    async def put(self, path: str, value: Any) -> None:
        entry = await self.desk.store.kv_get(path)
        await self.desk.store.kv_put(path, value, cas=entry.cas if entry else 0)

    def signed(self, kind: DocumentKind, body: Document, who: Enrolled) -> bytes:
        """Return a statement with a body of junk, signed well, or good bytes that were garbled."""
        how = self.chance.random()
        if how < 0.25:
            return garbled(who.signed(kind, body), self.chance)
        text = json.dumps(mutated(body.model_dump(mode="json"), self.chance)).encode()
        if how < 0.4:
            text = garbled(text, self.chance)
        elif how < 0.45:
            text = b"[" * 100_000
        return who.signed(kind, Raw(text))  # type: ignore[arg-type]  # nobody's body

    async def strike(self, round_number: int) -> None:
        """Let one writer write something."""
        strikes: list[Callable[[int], Any]] = [
            self._enrolment,
            self._attestation,
            self._report,
            self._statement,
            self._request,
            self._acl,
        ]
        await self.chance.choice(strikes)(round_number)

    async def _enrolment(self, number: int) -> None:
        key_id = self.chance.choice([f"{number:032x}", "x", "..", "\u00e4", "0" * 300])
        value = mutated(Enrolled(GATEKEEPER, self.desk.clock).value(), self.chance)
        await self.put(f"enroll/{GATEKEEPER}/{key_id}", value if isinstance(value, dict) else {})

    async def _statement(self, number: int) -> None:
        now = self.desk.clock.now()
        honest = KeeperAttestation(
            server=SERVERS[0],
            digest="00" * 32,
            bundle_version=Version(counter=number),
            policy_version=Version(counter=number),
            leaf="00" * 32,
            leaf_epoch=1,
            leaf_not_after=now,
            is_served=True,
            attested_at=now,
        )
        value = {"attestation": mutated(honest.model_dump(mode="json"), self.chance)}
        await self.put(names.kv_keeper_attestation(SERVERS[0]), value)

    async def _attestation(self, number: int) -> None:
        body = Attestation(
            instance=GATEKEEPER,
            boot_id="ab" * 16,
            digest="00" * 32,
            bundle_version=Version(counter=number),
            leaf_fingerprints=(),
            certificates=(b"\x30\x82" + bytes(30),),
            attested_at=self.desk.clock.now(),
        )
        data = self.signed(DocumentKind.ATTESTATION, body, self.member)
        now = self.desk.clock.now()
        await self._survived(lambda: self.evidence.accept_attestation(data, now, now))

    async def _report(self, number: int) -> None:
        now = self.desk.clock.now()
        seen = ServerConnection(cid=number, user="u", leaf=None, started_at=now)
        body = ServerReport(
            reported_at=now,
            servers=(ServerObservation(server="nats-1", reachable=True, connections=(seen,)),),
        )
        data = self.signed(DocumentKind.SERVER_REPORT, body, self.watcher)
        await self._survived(lambda: self.evidence.accept_report(data, now))

    async def _request(self, number: int) -> None:
        data = self.signed(DocumentKind.KEY_REQUEST, self.request(number), self.member)
        await self.exchange.answer(data)
        await self.exchange.directory_entry(garbled(b"00" * 16, self.chance))

    async def _acl(self, number: int) -> None:
        how = self.chance.random()
        body = load_acl(ACL_TEXT).canonical()
        if how < 0.2:
            await self.put(names.KV_ACL, {"document": self.chance.choice(VALUES)})
        elif how < 0.3:
            await self.write_acl(b"[" * 100_000, number + 2)
        elif how < 0.5:
            await self.write_acl(garbled(body, self.chance), number + 2)
        else:
            text = json.dumps(mutated(json.loads(body), self.chance))
            await self.write_acl(text.encode(), number + 2)

    def request(self, number: int) -> KeyRequest:
        return KeyRequest(
            instance=GATEKEEPER,
            kem=kem.ML_KEM_768,
            kem_public_key=kem.generate_kem_key().public_key,
            nonce=number.to_bytes(32, "big"),
            requested_at=self.desk.clock.now(),
        )

    @staticmethod
    async def _survived(call: Callable[[], Any]) -> None:
        try:
            await call()
        except SecureTransportError as error:
            assert "\n" not in str(error), "an error is one line"  # noqa: PT017  # no expectation


@pytest.mark.parametrize("seed", SEEDS)
async def test_loops_go_on_whatever_others_write(desk: Desk, seed: int) -> None:
    hostile = Hostile(desk, seed)
    await hostile.start()
    for number in range(ROUNDS):
        if number:
            await hostile.strike(number)
        await hostile.loops()
        desk.clock.advance(0.1)
    assert any(key.key_id == hostile.member.key.key_id for key in hostile.enrolled.keys)
    await hostile.write_acl(load_acl(ACL_TEXT).canonical(), ROUNDS + 10)
    await hostile.loops()
    request = hostile.request(10**6)
    answer = await hostile.exchange.answer(hostile.member.signed(DocumentKind.KEY_REQUEST, request))
    assert documents.decode(answer).kind is DocumentKind.SEALED_BUNDLE

"""Two services and their authority's documents, over a fake OpenBao and a real message server."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from securetransport.adapters.system import SystemClock
from securetransport.core.acl import Acl, bundle_rules, load_acl, topic_rules
from securetransport.core.base import names
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.base.names import ServiceId, instance_id
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.core.crypto import signing
from securetransport.core.decisions.member.leaf import HeldLeaf
from securetransport.core.decisions.topic_keys import keys_for
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.service_bundle import ServiceBundle, TopicKey
from securetransport.core.ports import BusEvent, Clock, Connection, Files
from securetransport.core.trust.directory import build_directory
from securetransport.documents.gate import DocumentGate
from securetransport.documents.versions import VersionStore
from securetransport.member.enrolment import SigningKeys
from securetransport.member.telemetry import SessionTelemetry
from securetransport.messages.bundle import BundleClient
from securetransport.messages.consumer import Consumer, Handler
from securetransport.messages.directory import DirectoryClient
from securetransport.messages.keys import ReceiverKeys, SenderKeys
from securetransport.messages.ledger import Ledger
from securetransport.messages.parking import Parking
from securetransport.messages.publisher import Offload, Publisher
from securetransport.messages.settings import MessagesSection
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.testing import FakeSecretStore
from service_pki import Issuer

PROFILE = PROFILES["test"].override(retry_limit=timedelta(seconds=15))
AUTHORITY_KEY = "authority-signing:v1"
ACL_TEXT = """
version: 1
trust_domain: securetransport.local
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 67108864}
topics:
  auth.requests: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests]}
  auth-controller:
    consumes: [{topic: auth.requests, durable: auth-controller}]
"""
TOPIC = "auth.requests"
REPAIR_EVERY = timedelta(seconds=60)


class Authority:
    """Signs documents with a key of its own and puts them into the store."""

    def __init__(self, clock: Clock | None = None, profile: Profile = PROFILE) -> None:
        self.profile = profile
        self.clock = clock or SystemClock()
        self.store = FakeSecretStore(self.clock)
        self.acl: Acl = load_acl(ACL_TEXT)
        self._key = signing.generate_signing_key()
        self._versions: dict[str, Version] = {}
        self.generations = 1
        self._secrets: dict[int, bytes] = {}

    @property
    def pinned(self) -> AuthorityKeys:
        return AuthorityKeys({AUTHORITY_KEY: (self._key.algorithm, self._key.public_key)})

    async def prepare(self) -> None:
        for service in self.acl.services:
            path = f"transit/keys/{names.service_transit_key(service)}"
            await self.store.write(path, {"type": "aes256-gcm96"})

    async def publish(self, *, deny: DenyList | None = None) -> None:
        """Publish directory, bundles and deny list from what is enrolled now."""
        await self.publish_directory()
        await self._post(names.KV_DENY_LIST, DocumentKind.DENY_LIST, deny or DenyList())
        await self.publish_bundles()

    async def publish_directory(self) -> None:
        keys = await self._enrolled()
        policies = {topic: (rule.digest,) for topic, rule in topic_rules(self.acl).items()}
        built = build_directory(keys, policies, {key.epoch for key in keys})
        for key_id, entry in built.entries.items():
            await self.put(
                names.kv_directory_entry(key_id), {"entry": entry.model_dump(mode="json")}
            )
        await self._post(names.KV_DIRECTORY, DocumentKind.DIRECTORY, built.directory)

    async def publish_bundles(self) -> None:
        now = self.clock.now()
        epoch = self.profile.key_schedule.number_at(now)
        every = [
            TopicKey(
                topic=topic,
                epoch=epoch,
                generation=generation,
                secret=self._secrets.setdefault(generation, os.urandom(32)),
            )
            for topic in topic_rules(self.acl)
            for generation in range(self.generations)
        ]
        for service in self.acl.services:
            rules = bundle_rules(self.acl, service)
            bundle = ServiceBundle(
                service=service,
                rules=rules,
                topic_keys=keys_for(rules, every).keys,
                key_epoch=epoch,
                acl_digest=self.acl.digest(),
            )
            data = self._document(service, DocumentKind.SERVICE_BUNDLE, bundle, service)
            sealed = await self.store.transit_encrypt(names.service_transit_key(service), data)
            await self.put(names.kv_service_bundle(service), {"ciphertext": sealed})

    async def _enrolled(self) -> tuple[VerifyKey, ...]:
        found: list[VerifyKey] = []
        for service in self.acl.services:
            for replica in await self.store.kv_list(f"enroll/{service}"):
                folder = f"enroll/{service}/{replica.rstrip('/')}"
                for key_id in await self.store.kv_list(folder):
                    entry = await self.store.kv_get(f"{folder}/{key_id}")
                    assert entry is not None
                    found.append(VerifyKey.model_validate(entry.value["key"]))
        return tuple(sorted(found, key=lambda key: (key.epoch, key.key_id)))

    async def _post(self, path: str, kind: DocumentKind, body: Document) -> None:
        data = self._document(path, kind, body, documents.EVERYBODY)
        await self.put(path, {"document": base64.b64encode(data).decode()})

    def _document(self, path: str, kind: DocumentKind, body: Document, audience: str) -> bytes:
        version = self._versions[path] = self._versions.get(path, Version()).next()
        return self.sign(kind, body, audience, version)

    def sign(self, kind: DocumentKind, body: Document, audience: str, version: Version) -> bytes:
        now = self.clock.now()
        unsigned = documents.unsigned(
            kind=kind,
            audience=audience,
            version=version,
            created_at=now,
            not_after=now + timedelta(hours=2),
            body=body.to_bytes(),
            signer=documents.AUTHORITY,
            key_id=AUTHORITY_KEY,
            algorithm=self._key.algorithm,
        )
        signature = self._key.sign(documents.to_be_signed(unsigned))
        return documents.encode(documents.with_signature(unsigned, signature))

    async def put(self, path: str, value: dict[str, object]) -> None:
        held = await self.store.kv_get(path)
        await self.store.kv_put(path, value, cas=held.cas if held else 0)


@dataclass
class Party:
    """One service without its session: the test gives it connections."""

    authority: Authority
    service: ServiceId
    ledger: Ledger
    files: Files
    offload: Offload = asyncio.to_thread
    connection: Connection | None = None
    leaf: HeldLeaf | None = None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    limits: MessagesSection = field(default_factory=lambda: MessagesSection(max_in_flight=64))
    boot_id: str = "0" * 32
    events: list[BusEvent] = field(default_factory=list)
    may_start: Callable[[], bool] = lambda: True
    hindrance: Callable[[], str | None] = lambda: None

    def __post_init__(self) -> None:
        store, clock = self.authority.store, self.authority.clock
        self.instance = instance_id(self.service, "1")
        life = timedelta(days=1)
        leaf = Issuer.make(100, clock.now()).leaf(self.service, life=life, at=clock.now())
        self.leaf = self.leaf or HeldLeaf(leaf, clock.monotonic(), life.total_seconds())
        telemetry = SessionTelemetry(self.registry)
        gate = DocumentGate(
            keys=self.authority.pinned.lookup,
            clock=clock,
            versions=VersionStore(self.files, Path("/state")),
            skew=PROFILE.clock_skew,
            on_result=telemetry.document_judged,
        )
        self.signing_keys = SigningKeys(store, self.instance, PROFILE, clock, telemetry)
        self.directory = DirectoryClient(
            store,
            gate,
            PROFILE,
            connection=self._connection,
            on_change=self.update,
            repair_every=REPAIR_EVERY,
        )
        self.messages = MessageTelemetry(self.registry)
        self.bundle = BundleClient(
            instance=self.instance,
            share=0.5,
            store=store,
            gate=gate,
            clock=clock,
            profile=PROFILE,
            connection=self._no_authority,
            signing_key=self.signing_keys.for_signing,
            on_change=self.update,
            telemetry=self.messages,
            entropy=os.urandom,
        )
        self.keys = ReceiverKeys(self.bundle, self.directory, PROFILE, clock)
        self.parking = Parking(self.instance, self.signing_keys.for_signing, clock, self.messages)
        self.out = SenderKeys(self, self.bundle, self.directory, PROFILE, clock)
        self.publisher = Publisher(
            keys=self.out,
            ledger=self.ledger,
            connection=self._connection,
            clock=clock,
            entropy=os.urandom,
            retry_limit=PROFILE.retry_limit,
            limits=self.limits,
            telemetry=self.messages,
            offload=self.offload,
        )

    async def learn(self) -> None:
        """Read what the authority published."""
        await self.bundle.refresh("test")
        await self.directory.refresh()
        self.signing_keys.know_listed(self.directory.known_ids())
        self.update()

    def update(self) -> None:
        self.keys.update()

    def consumer(self, handler: Handler) -> Consumer:
        return Consumer(
            names.Topic(TOPIC),
            self.service,
            {names.Topic(TOPIC): handler},
            keys=self.keys,
            parking=self.parking,
            clock=self.authority.clock,
            may_start=self.may_start,
            hindrance=self.hindrance,
            limits=self.limits,
            telemetry=self.messages,
        )

    def count(self, metric: str, **labels: str) -> float:
        return self.registry.get_sample_value(metric, labels) or 0.0

    def _connection(self) -> Connection:
        if self.connection is None:
            raise BusUnavailableError("not connected yet")
        return self.connection

    def _no_authority(self) -> Connection:
        raise BusUnavailableError("no authority in this test")

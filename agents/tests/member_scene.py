"""A session over fakes of every port, in simulated time, and the authority's side of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from securetransport.core.acl import compile_broker, load_acl
from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
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
from securetransport.core.ports import Clock, Connection, Message, TlsIdentity
from securetransport.core.trust import bundle as trust
from securetransport.member.account import Account, application_account
from securetransport.member.session import MemberPorts, Session
from securetransport.runtime.sections import IdentitySection, NatsSection, PathsSection
from securetransport.testing import FakeFiles, FakeRandomness
from securetransport.testing.bus import FakeBus, LoopClock
from securetransport.testing.clock import START
from service_pki import Issuer
from service_scene import ACL_TEXT, Authority

PROFILE = PROFILES["burst"].override(leaf_validity=timedelta(seconds=30))
SERVICE = "gatekeeper"
URLS = ("tls://nats-1:4222", "tls://nats-2:4222")


@dataclass
class Settings:
    """What a session reads of an agent's settings."""

    identity: IdentitySection
    nats: NatsSection
    paths: PathsSection

    def profile_value(self) -> Profile:
        return PROFILE


@dataclass
class FakeLeafSource:
    """Signs with whichever issuer is active in "OpenBao"."""

    issuer: Issuer
    clock: Clock
    service: str = SERVICE
    issued: list[TlsIdentity] = field(default_factory=list)
    failures: list[SecureTransportError] = field(default_factory=list)

    async def issue(self, life: timedelta) -> TlsIdentity:
        if self.failures:
            raise self.failures.pop(0)
        leaf = self.issuer.leaf(self.service, life=life, at=self.clock.now())
        self.issued.append(leaf)
        return leaf


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


class MemberScene:
    """A session and its outside; nothing is published and nothing runs before :meth:`start`."""

    def __init__(
        self,
        account: Callable[[Profile], Account] = application_account,
        *,
        service: str = SERVICE,
        urls: tuple[str, ...] = URLS,
    ) -> None:
        self.clock = LoopClock(START)
        self.policy = compile_broker(load_acl(ACL_TEXT))
        self.bus = FakeBus(self.policy, clock=self.clock, urls=urls)
        self.bus.add_stream({"name": names.STREAM_ATTESTATIONS, "subjects": ["metadata.attest.>"]})
        self.bus.add_stream(
            {
                "name": names.STREAM_CA_CLIENT,
                "subjects": ["metadata.client.>"],
                "allow_direct": True,
            }
        )
        self.authority = Authority(self.clock, PROFILE)
        self.issuers = [Issuer.make(100, START)]
        self.leaf_source = FakeLeafSource(self.issuers[0], self.clock, service)
        self.window: RenewalWindow | None = None
        self.version = Version()
        self.files = FakeFiles()
        self.registry = CollectorRegistry()
        self.account = account(PROFILE)
        self.service = service
        self.urls = urls
        self.state_dir = Path("/state")
        self.session = self.make_session()
        self.admin: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def make_session(self, files: FakeFiles | None = None) -> Session:
        return Session(
            Settings(
                IdentitySection(service=self.service, instance="1"),
                NatsSection(servers=self.urls),
                PathsSection(state_dir=self.state_dir),
            ),
            self.account,
            self.ports(files),
            self.registry if files is None else CollectorRegistry(),
        )

    def ports(self, files: FakeFiles | None = None) -> MemberPorts:
        return MemberPorts(
            store=self.authority.store,
            bus=self.bus,
            leaf_source=self.leaf_source,
            files=files or self.files,
            keys=self.authority.pinned.lookup,
            clock=self.clock,
            randomness=FakeRandomness(),
        )

    # --- running -----------------------------------------------------------------------------

    def start(self) -> None:
        for task in self.session.tasks().values():
            self._tasks.append(asyncio.ensure_future(task()))

    async def admitted(self) -> None:
        """Publish the trust set, start, and wait until the session is admitted."""
        self.admin = await self.bus.join("admin")
        await self.publish_trust()
        self.start()
        await self.wait(lambda: self.session.is_admitted)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.session.close()
        if self.admin is not None:
            await self.admin.close()

    async def wait(self, check: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not check():
                await asyncio.sleep(0.02)

    def count(self, metric: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"securetransport_{metric}", labels) or 0.0

    # --- the authority's side ----------------------------------------------------------------

    def bundle_document(self, authority: Authority | None = None) -> bytes:
        entries = tuple(entry_of(issuer) for issuer in self.issuers)
        body = TrustBundle(
            issuers=entries,
            active=self.leaf_source.issuer.epoch,
            digest=trust.trust_digest(entry.certificate for entry in entries),
            renewal=self.window,
        )
        self.version = self.version.next()
        signer = authority or self.authority
        return signer.sign(DocumentKind.TRUST_BUNDLE, body, documents.EVERYBODY, self.version)

    async def publish_trust(self, *, announce: bool = True, store: bool = True) -> bytes:
        data = self.bundle_document()
        if store:
            text = base64.b64encode(data).decode()
            await self.authority.put(names.KV_TRUST_BUNDLE, {"document": text})
        if announce and self.admin is not None:
            await self.admin.publish_acked(names.SUBJECT_TRUST_NOTICE, data)
        return data

    def attested(self) -> list[Attestation]:
        """Every statement in the stream, oldest first."""
        stored = self.bus.streams[names.STREAM_ATTESTATIONS].messages()
        return [Attestation.from_bytes(documents.decode(entry.frame.data).body) for entry in stored]

    async def overhear(self) -> list[Attestation]:
        """Collect statements as account APP hears them from now on."""
        found: list[Attestation] = []

        async def take(message: Message) -> None:
            found.append(Attestation.from_bytes(documents.decode(message.data).body))

        assert self.admin is not None
        await self.admin.subscribe("metadata.attest.>", take)
        return found

"""A keeper in memory: documents in a fake OpenBao, files in a fake file system, a fake server."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from certificates import TRUST_DOMAIN
from securetransport.core.acl import compile_broker, load_acl
from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import ServiceId
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports import TlsIdentity
from securetransport.keeper.ready import missing_for_start
from securetransport.keeper.service import Keeper, Ports
from securetransport.keeper.settings import KeeperSettings
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.testing import (
    FakeClock,
    FakeFiles,
    FakeProbe,
    FakeRandomness,
    FakeSecretStore,
    FakeServer,
)
from trust_scene import KEY_ID, authority_key, bundle, issuer_of

CLIENT, ROUTE = "127.0.0.1:4222", "127.0.0.1:6222"
HOME = Path("/srv/nats-1")
MANAGED = HOME / "managed"
LEAF_LIFE = timedelta(minutes=60)
MAX_AGE = timedelta(seconds=60)
ACL = load_acl(
    f"""
version: 1
trust_domain: {TRUST_DOMAIN}
streams:
  AUTH_STREAM: {{subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 67108864}}
topics:
  auth.requests: {{stream: AUTH_STREAM}}
services:
  gatekeeper:
    produces: [auth.requests]
  auth-controller:
    consumes:
      - {{topic: auth.requests, durable: auth-controller}}
foreign: {{}}
"""
)


@dataclass
class FakeLeafSource:
    """Signs with the issuer of ``epoch``.

    Attributes:
        epoch: Whose issuer is active in OpenBao.
        life: Of a leaf, from now.
        failures: Errors to raise, one per call, before anything else.
        count: How many were issued.
        asked: Every life that was asked for.
    """

    epoch: int = 1
    life: timedelta = LEAF_LIFE
    service: str = "nats"
    failures: list[SecureTransportError] = field(default_factory=list)
    count: int = 0
    asked: list[timedelta] = field(default_factory=list)

    async def issue(self, life: timedelta) -> TlsIdentity:
        self.asked.append(life)
        if self.failures:
            raise self.failures.pop(0)
        self.count += 1
        return issuer_of(self.epoch).leaf(f"{self.service}/nats-1", life=self.life)


def settings(order: tuple[str, ...] = ()) -> KeeperSettings:
    here = Path(__file__)  # any file that exists
    return KeeperSettings.model_validate(
        {
            "identity": {"service": "keeper", "instance": "1", "trust_domain": TRUST_DOMAIN},
            "openbao": {
                "addresses": ["https://localhost:1"],
                "ca_file": here,
                "token_file": here,
            },
            "authority": {"keys_file": here},
            "health": {"port": 0},
            "paths": {"state_dir": HOME / "state"},
            "profile": {"name": "compressed"},
            "server": {
                "name": "nats-1",
                "order": order,
                "client_address": CLIENT,
                "route_address": ROUTE,
                "managed_dir": MANAGED,
                "config_file": HOME / "nats.conf",
                "pid_file": HOME / "nats.pid",
            },
            "timing": {"reload_wait_seconds": 0.05},
        }
    )


class KeeperBench:
    """One keeper with everything around it."""

    def __init__(self, order: tuple[str, ...] = ()) -> None:
        self.clock = FakeClock(datetime.now(UTC))
        self.store = FakeSecretStore(self.clock)
        self.files = FakeFiles()
        self.files.make_dir(HOME)
        self.files.write(
            HOME / "nats.conf",
            "include managed/broker.conf\ntls {\n  include managed/tls.conf\n}\n",
        )
        self.server = FakeServer(self.files, HOME / "nats.conf", client=CLIENT, route=ROUTE)
        self.tls = FakeProbe([self.server])
        self.leaf_source = FakeLeafSource()
        self.versions: dict[DocumentKind, Version] = {}
        self._order = order
        self.start_keeper()

    def start_keeper(self) -> None:
        """Start the keeper, again if it ran: only what is outside of it is left."""
        self.files = self.files.after_crash()
        self.registry = CollectorRegistry()
        ports = Ports(
            store=self.store,
            leaf_source=self.leaf_source,
            server=self.server,
            tls=self.tls,
            files=self.files,
            keys=lambda _key_id: (authority_key().algorithm, authority_key().public_key),
            clock=self.clock,
            randomness=FakeRandomness(),
        )
        self.keeper = Keeper(settings(self._order), ports, KeeperTelemetry(self.registry))
        self.keeper.restore()

    # --- the authority ------------------------------------------------------------------------

    async def publish_bundle(self, *epochs: int, active: int) -> str:
        """Publish the next TrustBundle; returns its digest."""
        body = bundle(*epochs, active=active)
        await self.publish(names.KV_TRUST_BUNDLE, DocumentKind.TRUST_BUNDLE, body)
        return body.digest

    async def publish_policy(self, *denied: str) -> None:
        """Publish the next BrokerPolicy; denied services have no user."""
        deny = DenyList(services={ServiceId(name): self.clock.now() for name in denied})
        body = compile_broker(ACL, deny)
        await self.publish(names.KV_BROKER_POLICY, DocumentKind.BROKER_POLICY, body)

    async def publish(self, path: str, kind: DocumentKind, body: Document) -> None:
        version = self.versions.get(kind, Version()).next()
        self.versions[kind] = version
        await self.put_document(path, self.sign(kind, body.to_bytes(), version))

    def sign(
        self,
        kind: DocumentKind,
        body: bytes,
        version: Version,
        *,
        key: signing.SigningKey | None = None,
        life: timedelta = timedelta(hours=1),
    ) -> bytes:
        now, used = self.clock.now(), key or authority_key()
        document = documents.unsigned(
            kind=kind,
            audience=documents.EVERYBODY,
            version=version,
            created_at=now - timedelta(hours=2),
            not_after=now + life,
            body=body,
            signer=documents.AUTHORITY,
            key_id=KEY_ID,
            algorithm=used.algorithm,
        )
        signature = used.sign(documents.to_be_signed(document))
        return documents.encode(documents.with_signature(document, signature))

    async def put_document(self, path: str, data: bytes) -> None:
        await self.put(path, {"document": base64.b64encode(data).decode()})

    async def put(self, path: str, value: dict[str, Any]) -> None:
        """Write a value over whatever lies there."""
        known = await self.store.kv_get(path)
        await self.store.kv_put(path, value, cas=known.cas if known else 0)

    # --- what came of it ----------------------------------------------------------------------

    async def settle(self) -> None:
        """First documents, first files, a running server that serves them."""
        await self.publish_policy()
        await self.publish_bundle(1, active=1)
        await self.keeper.round()
        self.server.start()
        await self.keeper.round()
        assert self.keeper.not_ready_reasons() == []
        self.server.reloads = 0  # the one it owed a server that was not there yet

    async def later(self, seconds: float = 1.0) -> None:
        """One more round, after a while."""
        self.clock.advance(seconds)
        await self.keeper.round()

    async def stated(self) -> KeeperAttestation | None:
        """What the keeper said last."""
        found = await self.store.kv_get(names.kv_keeper_attestation("nats-1"))
        return KeeperAttestation.model_validate(found.value["attestation"]) if found else None

    async def serves(self, digest: str, epoch: int = 1) -> bool:
        """Whether the keeper says that its server serves a trust set and an epoch."""
        said = await self.stated()
        return said is not None and (said.digest, said.leaf_epoch, said.is_served) == (
            digest,
            epoch,
            True,
        )

    def listed(self) -> set[str]:
        """CA names that the server lists."""
        return set(self.server.look().ca_names)

    def waits(self) -> str:
        """What the keeper waits for."""
        return "; ".join(self.keeper.not_ready_reasons())

    def may_start(self) -> str | None:
        """What a server start waits for."""
        return missing_for_start(
            self.files, MANAGED, "nats-1", at=self.clock.now(), max_age=MAX_AGE
        )

    def counted(self, name: str, **labels: str) -> float:
        """Return a metric of the keeper."""
        return self.registry.get_sample_value(f"securetransport_keeper_{name}", labels) or 0.0

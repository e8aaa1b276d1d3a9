"""The CA rotation on a store in memory: mount, record, keepers' statements, a watcher's report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from authority_desk import PROFILE, Desk

from pki_mount import PkiMounts
from securetransport.core.base import names
from securetransport.core.base.names import Fingerprint, InstanceId
from securetransport.core.decisions.ca.record import RotationRecord
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.server_report import ServerObservation, ServerReport
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.core.trust import bundle as trust
from securetransport.metadata.ca import CaRotation
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.issuers import IssuerMount
from securetransport.metadata.recorder import Recorder

SERVERS = ("nats-1", "nats-2")
Step = tuple[str, int | None, tuple[str, ...]]


async def own_token(method: str, path: str, data: dict[str, Any]) -> dict[str, Any] | None:
    """Answer the token paths: this process's accessor, and nothing to revoke."""
    del method, data
    return {"accessor": "accessor"} if path.endswith("lookup-self") else None


@dataclass
class Scene:
    """One authority, and servers that follow it when they are told to."""

    desk: Desk
    number: int = 1
    pki: PkiMounts | None = None
    steps: list[Step] = field(default_factory=list)
    published: int = 0

    def __post_init__(self) -> None:
        desk = self.desk
        self.mounts = self.pki or PkiMounts(desk.clock)
        self.mounts.mount(desk.store)
        desk.store.mount("auth/token/", own_token)
        keys = EnrolledKeys(desk.store, PROFILE)
        self.evidence = EvidenceStore("example.test", PROFILE, keys)
        self.rotation = CaRotation(
            store=desk.store,
            clock=desk.clock,
            profile=PROFILE,
            trust_domain="example.test",
            servers=SERVERS,
            recorder=self.recorder(),
            mount=IssuerMount(desk.store, PROFILE, desk.clock),
            document_store=desk.documents,
            evidence=self.evidence,
            metrics=desk.metrics,
            foreign_users=frozenset,
            on_step=self._note,
            on_published=self._count,
        )

    def recorder(self) -> Recorder:
        return Recorder(
            self.desk.store,
            self.desk.clock,
            InstanceId(f"metadata/{self.number}"),
            boot_id=f"boot-{self.number}",
            lease=timedelta(seconds=10),
        )

    async def record(self) -> RotationRecord:
        return await self.recorder().read()

    async def bundle(self) -> TrustBundle:
        stored = await self.desk.documents.read(names.KV_TRUST_BUNDLE)
        assert stored is not None
        return TrustBundle.from_bytes(stored.document.body)

    async def follow(self, *, keepers_say: bool = True) -> None:
        """Let the watcher and, unless they are silent, the keepers show the published bundle."""
        bundle = await self.bundle()
        now = self.desk.clock.now()
        for server in SERVERS if keepers_say else ():
            await self._state(server, bundle, now)
        active = next((e for e in bundle.issuers if e.epoch == bundle.active), None)
        shown = tuple(sorted(trust.names(bundle)))
        self.evidence.report_received_at = now
        self.evidence.report = ServerReport(
            reported_at=now,
            servers=tuple(
                ServerObservation(
                    server=server,
                    reachable=True,
                    client_names=shown,
                    route_names=shown,
                    served_issuer=active.common_name if active else None,
                    route_served_issuer=active.common_name if active else None,
                    connections=(),
                )
                for server in SERVERS
            ),
        )

    async def run(self, until: Callable[[], bool], seconds: int = 200) -> None:
        """Go on second by second, everybody following, until something is so."""
        for _ in range(seconds):
            await self.rotation.round()
            if until():
                return
            await self.follow()
            self.desk.clock.advance(1)
        raise AssertionError(f"not reached; steps: {self.steps[-6:]}")

    async def _state(self, server: str, bundle: TrustBundle, now: datetime) -> None:
        path = names.kv_keeper_attestation(server)
        entry = await self.desk.store.kv_get(path)
        statement = KeeperAttestation(
            server=server,
            digest=bundle.digest,
            bundle_version={"incarnation": 0, "counter": 1},
            policy_version={"incarnation": 0, "counter": 1},
            leaf=Fingerprint("00" * 32),
            leaf_epoch=bundle.active or 0,
            leaf_not_after=now + PROFILE.leaf_validity,
            is_served=True,
            attested_at=now,
        )
        value = {"attestation": statement.model_dump(mode="json")}
        await self.desk.store.kv_put(path, value, cas=entry.cas if entry else 0)

    def _note(self, step: str, epoch: int | None, detail: tuple[str, ...], _at: datetime) -> None:
        self.steps.append((step, epoch, detail))

    def _count(self) -> None:
        self.published += 1

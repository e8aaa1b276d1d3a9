"""Wires the authority: the only module here that chooses adapters."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta

from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles, ensure_private_dir
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.member.account import application_account
from securetransport.member.session import MemberPorts, Session
from securetransport.metadata.bus import AuthorityBus
from securetransport.metadata.ca import CaRotation
from securetransport.metadata.document_store import DocumentStore, Signer
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.exchange import KeyExchange
from securetransport.metadata.issuers import IssuerMount
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper
from securetransport.metadata.recorder import Recorder
from securetransport.metadata.rotation_log import RotationLog
from securetransport.metadata.secret_ids import SecretIds
from securetransport.metadata.settings import MetadataSettings
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.runtime import supervisor
from securetransport.runtime.health import Remark
from securetransport.runtime.main import App
from securetransport.runtime.metrics import LoopMetrics, StoreMetrics
from securetransport.runtime.sections import read_keys

_ROUND = timedelta(milliseconds=500)
_KEYS_ROUND = timedelta(seconds=1)


class Metadata:
    """One instance of the authority."""

    def __init__(self, settings: MetadataSettings, registry: CollectorRegistry) -> None:
        profile = settings.profile_value()
        clock = SystemClock()
        ensure_private_dir(settings.paths.state_dir)
        self._loops = LoopMetrics(registry)
        self._store = OpenBaoStore(
            settings.openbao.addresses,
            settings.openbao.ca_file,
            settings.openbao.token_file,
            settings.openbao.timeout_seconds,
            on_call=StoreMetrics(registry).observe,
        )
        metrics = MetadataMetrics(registry)
        authority = read_keys(settings.authority.keys_file, "authority.keys_file")
        signer = Signer(self._store, clock)
        document_store = DocumentStore(self._store, signer, clock)
        enrolled = EnrolledKeys(self._store, profile)
        evidence = EvidenceStore(settings.identity.trust_domain, profile, enrolled)
        self._policy = PolicyKeeper(
            document_store,
            clock,
            profile,
            administrators=read_keys(
                settings.acl.administrator_keys_file, "acl.administrator_keys_file"
            ),
            authority=authority,
        )
        rotation_log = RotationLog()
        self._announcing = supervisor.Wakeup()
        self._ca = CaRotation(
            store=self._store,
            clock=clock,
            profile=profile,
            trust_domain=settings.identity.trust_domain,
            servers=settings.servers.names,
            recorder=Recorder(
                self._store,
                clock,
                settings.identity.instance_id,
                boot_id=secrets.token_hex(8),
                lease=timedelta(seconds=settings.lease_seconds),
            ),
            mount=IssuerMount(self._store, profile, clock),
            document_store=document_store,
            evidence=evidence,
            metrics=metrics,
            foreign_users=self._policy.foreign_users,
            on_step=rotation_log.note,
            on_published=self._announcing.wake,
        )
        self._keys = KeyRotation(
            store=self._store,
            clock=clock,
            profile=profile,
            document_store=document_store,
            signer=signer,
            enrolled=enrolled,
        )
        self._secret_ids = SecretIds(
            store=self._store,
            clock=clock,
            profile=profile,
            servers=settings.servers.names,
            randomness=SystemRandomness(),
            metrics=metrics,
        )
        exchange = KeyExchange(
            store=self._store,
            clock=clock,
            profile=profile,
            signer=signer,
            enrolled=enrolled,
            keys=self._keys,
            policy=self._policy,
            metrics=metrics,
        )
        self._bus = AuthorityBus(
            clock=clock,
            profile=profile,
            evidence=evidence,
            ca=self._ca,
            keys=self._keys,
            exchange=exchange,
            policy=self._policy,
            rotation_log=rotation_log,
            metrics=metrics,
            secret_ids=self._secret_ids.status,
        )
        identity = settings.identity
        leaf_source = OpenBaoLeafSource(
            self._store, identity.trust_domain, identity.service_id, identity.instance_id
        )
        self.session = Session(
            settings,
            application_account(profile),
            MemberPorts(
                store=self._store,
                bus=NatsBus(),
                leaf_source=leaf_source,
                files=LocalFiles(),
                keys=authority.lookup,
                clock=clock,
                randomness=SystemRandomness(),
            ),
            registry,
            loops=self._loops,
        )
        self.session.on_connection(self._bus.use)

    def app(self) -> App:
        """Return the process's tasks."""
        return App(
            tasks={
                "ca": lambda: self._every("ca", _ROUND, self._ca.round),
                "keys": lambda: self._every("keys", _KEYS_ROUND, self._keys_round),
                "secret_ids": lambda: self._every(
                    "secret_ids", _KEYS_ROUND, self._secret_ids_round
                ),
                "announce": lambda: self._every(
                    "announce", _KEYS_ROUND, self._bus.round, self._announcing
                ),
                "exchange": self._bus.serve_requests,
                **self.session.tasks(),
            },
            ready=self._not_ready,
            drain=self._drain,
            close=self._close,
        )

    async def _keys_round(self) -> None:
        await self._policy.round(may_write=self._ca.is_holder)
        acl = self._policy.compiled
        if acl is None or not self._ca.is_holder:
            return
        await self._keys.recall_policies()
        await self._keys.ensure_topic_keys(acl)
        await self._keys.ensure_directory(acl, self._policy.deny)
        self._announcing.wake()
        try:
            await self._keys.ensure_bundles(acl)
        finally:
            await self._bus.push_notices()

    async def _secret_ids_round(self) -> None:
        acl = self._policy.acl
        if acl is None or not self._ca.is_holder:
            self._secret_ids.forget()
            return
        await self._secret_ids.round(acl, self._policy.deny)

    async def _every(
        self,
        name: str,
        interval: timedelta,
        action: Callable[[], Awaitable[object]],
        wakeup: supervisor.Wakeup | None = None,
    ) -> None:
        await supervisor.every(
            name,
            interval,
            action,
            wakeup=wakeup,
            on_error=lambda error: self._loops.failed(name, error),
            on_done=lambda: self._loops.done(name),
        )

    def _not_ready(self) -> list[str]:
        """Ready without a bus: what others need from the authority lies in OpenBao then."""
        if self._ca.is_standby:
            return []
        state = self._ca.state
        if state is None:
            return ["no round of the rotation was completed yet"]
        reasons: list[str] = []
        active, published = state.record.active, state.observation.published
        if active is None:
            reasons.append("no CA epoch is active yet")
        elif published is None or published.bundle.active != active.epoch:
            reasons.append("the trust bundle of the active epoch was not published yet")
        if self._policy.acl is None:
            reasons.append("no ACL was accepted yet")
        if self._ca.is_holder and self._policy.published is None:
            reasons.append("the broker policy was not published yet")
        if self._ca.is_holder and self._keys.directory is None:
            reasons.append("the directory was not published yet")
        reasons += [
            Remark(f"too large for the bus: {what}") for what in sorted(self._keys.too_large)
        ]
        cut = sorted(self._keys.cut_short)
        reasons += [Remark(f"not every kept key fits into the bundle of {name}") for name in cut]
        return reasons

    async def _drain(self) -> None:
        if self._ca.is_holder:
            await self._ca.release()

    async def _close(self) -> None:
        await self.session.close()
        self._store.close()


async def build(settings: MetadataSettings, registry: CollectorRegistry) -> App:
    """Make the authority's objects; nothing is called yet, so everything else may still be down."""
    return Metadata(settings, registry).app()

"""The CA rotation as a loop: observe, decide, carry out one step, observe again.

What is safe is decided by :func:`securetransport.core.decisions.ca.decide.decide`; this module only
looks and acts. Every intent is written to the record before it is carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from securetransport.core.base import names
from securetransport.core.base.errors import (
    ConflictError,
    MalformedMessageError,
    SecureTransportError,
)
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca import gates, steps
from securetransport.core.decisions.ca.bundle import lifetime, renewal_window, wanted_bundle
from securetransport.core.decisions.ca.decide import decide
from securetransport.core.decisions.ca.observation import Observation, PublishedBundle
from securetransport.core.decisions.ca.record import CaEpoch, Excuse, Issuer, RotationRecord
from securetransport.core.decisions.ca.steps import Step
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.body import DocumentKind, problem_of
from securetransport.core.formats.trust_bundle import EpochState, TrustBundle
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.metadata.document_store import DocumentStore, StoredDocument
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.issuers import IssuerMount, issuer_facts
from securetransport.metadata.recorder import Recorder
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.runtime.logs import get_logger

StepListener = Callable[[str, int | None, tuple[str, ...], datetime], None]
"""Told each step that was carried out: its name, epoch, details and instant."""


@dataclass(slots=True)
class CaState:
    """What the last round found; for status and readiness."""

    record: RotationRecord
    observation: Observation
    step: Step | Wait
    stored: StoredDocument | None
    waiting_since: datetime | None


class CaRotation:
    """Carries out the rotation of the intermediate CA while this instance holds the lease.

    Attributes:
        is_holder: Whether this instance acts.
        is_standby: Whether another one does; both are false before the first round.
        state: What the last round found.
    """

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in app.py
        self,
        *,
        store: SecretStore,
        clock: Clock,
        profile: Profile,
        trust_domain: str,
        servers: tuple[str, ...],
        recorder: Recorder,
        mount: IssuerMount,
        document_store: DocumentStore,
        evidence: EvidenceStore,
        metrics: MetadataMetrics,
        foreign_users: Callable[[], frozenset[str]],
        on_step: StepListener,
        on_published: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._profile = profile
        self._admin_user = names.spiffe_id(trust_domain, names.ADMIN)
        self._servers = servers
        self._recorder = recorder
        self._mount = mount
        self._document_store = document_store
        self._evidence = evidence
        self._metrics = metrics
        self._log = get_logger(kind="ca")
        self._foreign_users = foreign_users
        self._on_step = on_step
        self._on_published = on_published
        self.is_holder = False
        self.is_standby = False
        self.state: CaState | None = None

    async def round(self) -> None:
        """Look once, and carry out steps until there is one that waits.

        Raises:
            SecureTransportError: A step failed; the next round looks again.
        """
        for _ in range(32):  # more steps than any start needs; a mistake must not spin
            step = await self._once()
            if step is None or isinstance(step, Wait):
                return
        self._log.warning("many_steps", reason="32 steps in one round")

    async def release(self) -> None:
        """Give the lease up, so that a standby need not wait for its end."""
        await self._recorder.release()

    async def _once(self) -> Step | Wait | None:
        """Carry out one step; ``None`` when another instance holds the lease."""
        try:
            record = await self._recorder.hold(await self._recorder.read())
        except ConflictError:
            self._mount.forget()
            return None
        self.is_holder, self.is_standby = record is not None, record is None
        if record is None:
            self._mount.forget()  # whoever acts now changes it
            return None
        observation, stored = await self._observe(record)
        step = decide(observation, record, self._profile)
        self._remember(record, observation, step, stored)
        if isinstance(step, Wait):
            return step
        try:
            await self._act(step, record, observation)
        except ConflictError:
            self._log.info("record_changed", step=type(step).__name__)
            return None
        finally:
            self._mount.forget()
        return step

    async def _observe(self, record: RotationRecord) -> tuple[Observation, StoredDocument | None]:
        issuers = await self._mount.list()
        stored = await self._document_store.read(names.KV_TRUST_BUNDLE)
        self._evidence.know_issuers(entry.issuer for entry in record.epochs if entry.issuer)
        keepers = {server: await self._keeper(server) for server in self._servers}
        observation = Observation(
            now=self._clock.now(),
            issuers=issuers,
            published=_published(stored),
            keepers=keepers,
            report=self._evidence.report,
            report_received_at=self._evidence.report_received_at,
            members=dict(self._evidence.members),
            admin_user=self._admin_user,
            foreign_users=self._foreign_users(),
        )
        return observation, stored

    async def _keeper(self, server: str) -> KeeperAttestation | None:
        try:
            entry = await self._store.kv_get(names.kv_keeper_attestation(server))
            if entry is None:
                return None
            found = KeeperAttestation.model_validate(entry.value["attestation"])
        except (KeyError, ValidationError, MalformedMessageError) as err:
            reason = problem_of(err) if isinstance(err, ValueError) else str(err)
            self._log.warning("keeper_attestation_malformed", server=server, reason=reason)
            return None
        if found.server != server:
            self._log.warning("keeper_attestation_malformed", server=server, reason="server")
            return None
        return found

    def _remember(
        self,
        record: RotationRecord,
        observation: Observation,
        step: Step | Wait,
        stored: StoredDocument | None,
    ) -> None:
        waits = isinstance(step, Wait) and bool(step.waits_for)
        before = self.state.waiting_since if self.state else None
        since = (before or observation.now) if waits else None
        if waits and before is None and isinstance(step, Wait):
            self._log.info(
                "rotation_holds", step=step.step, epoch=step.epoch, reason="; ".join(step.waits_for)
            )
        self.state = CaState(record, observation, step, stored, since)
        self._metrics.observe(
            record, gates.census(observation), observation.now, waiting_since=since
        )

    async def _act(  # noqa: C901  # one case per step
        self, step: Step, record: RotationRecord, seen: Observation
    ) -> None:
        """Carry out one step: a write of the record, or one effect that the record asks for."""
        match step:
            case steps.Plan(epoch):
                await self._recorder.write(record.planned(epoch, seen.now))
                self._done("plan", epoch, seen)
            case steps.Prepare(entry):
                await self._prepared("prepare", entry, await self._mount.make(entry), record, seen)
            case steps.NameIssuer(left, name):
                await self._mount.name(left, name)
                self._done("name_issuer", None, seen, (name,))
            case steps.Adopt(entry, left):
                issuer = issuer_facts(left.issuer_id, left.certificate)
                await self._prepared("adopt", entry, issuer, record, seen)
            case steps.RemoveIssuer(left):
                await self._mount.remove(left)
                self._done("remove_issuer", None, seen, (left.made_as or left.issuer_id,))
            case steps.SetUsage(left, may_issue, make_default):
                await self._mount.set_usage(left, may_issue=may_issue, make_default=make_default)
                word = "allow_issuing" if may_issue else "stop_issuing"
                self._done(word, None, seen, (left.made_as,))
            case steps.Publish():
                await self._publish(record, seen)
            case steps.Move(entry, state, missing):
                changed = record.replaced(entry.moved(state, seen.now))
                await self._write(changed, state.value, entry, missing, seen)
            case steps.Activate():
                await self._activate(step, record, seen)
            case steps.Demote(entry, missing):
                members = sum(gates.census(seen).by_epoch.values())
                window = renewal_window(entry, seen.now, self._profile, members)
                changed = record.model_copy(update={"renewal": window})
                await self._write(changed, "demote", entry, missing, seen)

    async def _prepared(
        self,
        word: str,
        entry: CaEpoch,
        issuer: Issuer,
        record: RotationRecord,
        seen: Observation,
    ) -> None:
        prepared = entry.moved(EpochState.PREPARED, self._clock.now(), issuer)
        await self._recorder.write(record.replaced(prepared))
        self._done(word, entry.epoch, seen)

    async def _publish(self, record: RotationRecord, seen: Observation) -> None:
        stored = await self._document_store.publish(
            names.KV_TRUST_BUNDLE,
            DocumentKind.TRUST_BUNDLE,
            wanted_bundle(record),
            lifetime(self._profile),
        )
        self._on_published()
        self._done("publish", None, seen, (str(stored.document.version),))

    async def _activate(
        self, step: steps.Activate, record: RotationRecord, seen: Observation
    ) -> None:
        changed = record.replaced(step.epoch.moved(EpochState.ACTIVE, seen.now))
        if step.previous is not None:
            changed = changed.replaced(step.previous.moved(EpochState.LEGACY, seen.now))
            changed = changed.model_copy(update={"completed": changed.completed + 1})
        await self._write(changed, "activate", step.epoch, step.missing, seen)

    async def _write(
        self,
        changed: RotationRecord,
        word: str,
        entry: CaEpoch,
        missing: tuple[str, ...],
        seen: Observation,
    ) -> None:
        """Store the record; evidence that was missing is kept in it by name."""
        if missing:
            excuse = Excuse(epoch=entry.epoch, step=word, missing=missing, at=seen.now)
            changed = changed.excused(excuse)
        await self._recorder.write(changed)
        self._done(word, entry.epoch, seen, missing)

    def _done(
        self, step: str, epoch: int | None, seen: Observation, detail: tuple[str, ...] = ()
    ) -> None:
        self._log.info("rotation_step", step=step, epoch=epoch, reason="; ".join(detail))
        self._metrics.step(step)
        self._on_step(step, epoch, detail, seen.now)


def _published(stored: StoredDocument | None) -> PublishedBundle | None:
    if stored is None:
        return None
    try:
        bundle = TrustBundle.from_bytes(stored.document.body)
    except ValidationError as err:
        raise SecureTransportError(
            "the published trust bundle is damaged", path=names.KV_TRUST_BUNDLE
        ) from err
    return PublishedBundle(
        bundle=bundle,
        version=stored.document.version,
        created_at=stored.document.created_at,
        not_after=stored.document.not_after,
    )

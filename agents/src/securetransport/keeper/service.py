"""The keeper's loop: look, ask ``decisions.server_files`` for one step, carry it out, look again.

One round reads OpenBao, then takes steps until there is nothing to do. A round does not fail
because OpenBao is away: what is on disk is still watched and repaired, and the server goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.base.names import KV_BROKER_POLICY, KV_TRUST_BUNDLE
from securetransport.core.decisions import server_files
from securetransport.core.decisions.server_files import (
    FilesInForce,
    LeafNeed,
    Observation,
    Step,
    Wait,
    Wanted,
)
from securetransport.core.formats.documents import EVERYBODY, PublicKeyLookup
from securetransport.core.ports import (
    Clock,
    Files,
    KvEntry,
    LeafSource,
    Randomness,
    SecretStore,
    ServerControl,
    TlsProbe,
)
from securetransport.core.trust.bundle import TRUST_BUNDLE, AcceptedTrust, fitting_ttl
from securetransport.core.trust.documents import BROKER_POLICY, AcceptedPolicy
from securetransport.documents.followed import FollowedDocument
from securetransport.documents.gate import DocumentGate, stored_document
from securetransport.documents.versions import VersionStore
from securetransport.keeper.generations import Generation, Generations, content_digest
from securetransport.keeper.material import (
    LeafMaterial,
    accept_leaf,
    facts_of,
    material_of,
    render,
    wanted_of,
)
from securetransport.keeper.ready import ReadyFile
from securetransport.keeper.server import FilesRefusedError, KeptServer, ServerPorts
from securetransport.keeper.settings import KeeperSettings
from securetransport.keeper.statements import ServerOrder, Statements
from securetransport.keeper.step_backoff import StepBackoff
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.runtime.health import Remark
from securetransport.runtime.logs import get_logger

_MOST_STEPS: Final = 16  # a round that needs more has a bug; the next one goes on anyway
_TURN_POLL: Final = timedelta(milliseconds=200)
_URGENT: Final = frozenset({LeafNeed.MISSING, LeafNeed.EXPIRED, LeafNeed.UNTRUSTED})


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world of a keeper, chosen by ``app``."""

    store: SecretStore
    leaf_source: LeafSource
    server: ServerControl
    tls: TlsProbe
    files: Files
    keys: PublicKeyLookup
    clock: Clock
    randomness: Randomness


class Keeper:
    """Keeps one server's files in force."""

    def __init__(self, settings: KeeperSettings, ports: Ports, telemetry: KeeperTelemetry) -> None:
        self._settings = settings
        self._name = settings.server.name
        self._ports = ports
        self._clock = ports.clock
        self._telemetry = telemetry
        self._log = get_logger(server=self._name)
        files, managed = ports.files, settings.server.managed_dir
        self._server = KeptServer(
            settings,
            ServerPorts(ports.server, ports.tls, files, ports.clock, ports.randomness),
            telemetry,
        )
        self._generations = Generations(managed, files)
        self._ready_file = ReadyFile(files, managed, self._name, ports.clock)
        self._statements = Statements(ports.store, self._name)
        self._turn = ServerOrder(
            self._statements,
            self._name,
            settings.server.order,
            timedelta(seconds=settings.timing.turn_limit_seconds),
            ports.clock,
        )
        gate = DocumentGate(
            keys=ports.keys,
            clock=ports.clock,
            versions=VersionStore(files, settings.paths.state_dir),
            skew=settings.profile_value().clock_skew,
            on_result=telemetry.document_judged,
        )
        self._trust = FollowedDocument(gate, TRUST_BUNDLE, EVERYBODY, is_kept=True)
        self._policy = FollowedDocument(gate, BROKER_POLICY, EVERYBODY, is_kept=True)
        self._followed: tuple[AcceptedTrust, AcceptedPolicy] | None = None
        self._wanted_now: Wanted | None = None
        self._broker = b""
        self._generation: Generation | None = None
        self._leaf: LeafMaterial | None = None
        self._renew_at_monotonic: float | None = None
        self._issue_hold = StepBackoff(self._clock, ports.randomness)
        self._write_hold = StepBackoff(self._clock, ports.randomness)
        self._refused_content = ""
        self._away_since: float | None = None
        self._waits_for: str | None = "the first round"
        self._is_turn = True

    # --- what the app calls -------------------------------------------------------------------

    def restore(self) -> None:
        """Take up what an earlier run left on disk; called once before the first round."""
        self._trust.restore()
        self._policy.restore()
        self._generation = self._generations.current()
        if self._generation is not None:
            self._leaf = material_of(self._generation)

    def interval(self) -> timedelta:
        """Return how long to rest after a round."""
        poll = timedelta(seconds=self._settings.timing.poll_seconds)
        return poll if self._is_turn else min(poll, _TURN_POLL)

    def not_ready_reasons(self) -> list[str]:
        """Return what is not in force, and since when OpenBao is away."""
        reasons: list[str] = []
        kind: type[str]
        if self._away_since is not None:
            seconds = self._clock.monotonic() - self._away_since
            left = self._leaf.facts.not_after - self._clock.now() if self._leaf else timedelta(0)
            kind = Remark if left > timedelta(0) else str  # its server goes on until then
            reasons.append(
                kind(
                    f"OpenBao has not answered for {seconds:.0f} s;"
                    f" the server leaf lasts {max(left.total_seconds(), 0):.0f} s more"
                )
            )
        if self._waits_for is not None:
            is_served = self._generation is not None and self._server.view.serves(
                self._generation.facts
            )
            kind = Remark if is_served else str
            reasons.append(kind(f"waits for {self._waits_for}"))
        return reasons

    async def round(self) -> None:
        """Do everything that is to be done now."""
        await self._fetch()
        for _ in range(_MOST_STEPS):
            step = server_files.decide(await self._observe())
            if not await self._carry_out(step):
                break
        self._measure()
        self._state_readiness()

    # --- look ---------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        store = self._ports.store
        try:
            trust, policy = await asyncio.gather(
                store.kv_get(KV_TRUST_BUNDLE), store.kv_get(KV_BROKER_POLICY)
            )
        except SecureTransportError as err:
            if self._away_since is None:
                self._away_since = self._clock.monotonic()
                self._log.warning("openbao_away", kind=type(err).__name__, error=str(err))
            return
        if self._away_since is not None:
            seconds = round(self._clock.monotonic() - self._away_since, 1)
            self._away_since = None
            self._log.info("openbao_back", seconds=seconds)
        self._offer(self._trust, KV_TRUST_BUNDLE, trust)
        self._offer(self._policy, KV_BROKER_POLICY, policy)

    def _offer(self, document: FollowedDocument[Any], path: str, entry: KvEntry | None) -> None:
        """Take what OpenBao has; a document that vanished or is refused changes nothing."""
        if entry is None:
            return
        try:
            document.offer(stored_document(entry, path))
        except RejectedDocumentError as err:
            self._log.debug("document_stays", path=path, error=str(err))

    def _wanted(self) -> Wanted | None:
        """Return the documents to follow; renders ``broker.conf`` when one of them changed."""
        trust, policy = self._trust.current, self._policy.current
        if trust is None or policy is None:
            return None
        if self._followed != (trust, policy):
            self._followed = (trust, policy)
            self._wanted_now, self._broker = wanted_of(trust, policy)
        return self._wanted_now

    def _files(self, wanted: Wanted | None) -> Mapping[str, bytes] | None:
        if wanted is None or self._leaf is None:
            return None
        return render(wanted, self._broker, self._leaf)

    async def _observe(self) -> Observation:
        wanted = self._wanted()
        files = self._files(wanted)
        content = content_digest(files) if files else None
        self._generation = self._generations.current()
        facts = self._generation.facts if self._generation else None
        await self._server.look_if_due(facts)
        leaf = self._leaf.facts if self._leaf else None
        active = wanted.bundle.active if wanted else None
        is_moving = leaf is not None and active is not None and leaf.epoch != active
        self._is_turn = await self._turn.may_move(active) if is_moving and active else True
        return Observation(
            at=self._clock.now(),
            wanted=wanted,
            leaf=leaf,
            in_force=facts,
            wanted_content=content,
            server=self._server.view,
            attested=self._statements.own,
            is_renewal_due=self._is_renewal_due(),
            may_move=self._is_turn,
            may_issue=self._issue_hold.is_over and self._away_since is None,
            may_write=content != self._refused_content or self._write_hold.is_over,
            may_reload=self._server.may_reload,
            is_reload_owed=self._server.is_reload_owed,
            attest_every=timedelta(seconds=self._settings.timing.attest_every_seconds),
        )

    def _is_renewal_due(self) -> bool:
        """Tell whether the leaf's time has come by the monotonic clock, which never jumps."""
        due = self._renew_at_monotonic
        return due is not None and self._clock.monotonic() >= due

    # --- act ----------------------------------------------------------------------------------

    async def _carry_out(self, step: Step | Wait) -> bool:
        """Take a step; returns whether to look again at once."""
        match step:
            case server_files.IssueLeaf():
                await self._issue(step.need)
            case server_files.WriteFiles():
                await self._write()
            case server_files.NoteVersions():
                self._note_versions()
            case server_files.ReloadServer():
                if self._generation is not None:
                    await self._server.reload(self._generation)
            case server_files.Attest():
                return await self._attest(is_served=step.is_served)
            case Wait():
                self._rest("; ".join(step.waits_for) or None)
                return False
        return True

    async def _issue(self, need: LeafNeed) -> None:
        wanted = self._wanted()
        if wanted is None:
            return
        try:
            longest = self._settings.profile_value().leaf_validity
            life = fitting_ttl(longest, wanted.bundle, self._clock.now())
            identity = await self._ports.leaf_source.issue(life)
            leaf = accept_leaf(
                identity,
                wanted,
                server=self._name,
                trust_domain=self._settings.identity.trust_domain,
                at=self._clock.now(),
                is_urgent=need in _URGENT,
            )
        except SecureTransportError as err:
            self._issue_hold.failed()
            self._telemetry.leaf_certificates_failed.labels(need.value).inc()
            self._log.warning("leaf_not_issued", reason=need.value, error=str(err))
            return
        self._issue_hold.done()
        self._leaf = leaf
        lead = (leaf.facts.renew_at - self._clock.now()).total_seconds()
        self._renew_at_monotonic = self._clock.monotonic() + lead
        self._telemetry.leaf_certificates_issued.labels(need.value).inc()
        self._log.info(
            "leaf_issued",
            reason=need.value,
            epoch=leaf.facts.epoch,
            fingerprint=leaf.facts.fingerprint[:16],
        )

    async def _write(self) -> None:
        wanted = self._wanted()
        files = self._files(wanted)
        if wanted is None or files is None or self._leaf is None:
            return
        facts = facts_of(wanted, self._leaf, files)
        try:
            generation = await self._replace(files, facts)
        except SecureTransportError as err:
            self._refused_content = facts.content
            self._write_hold.failed()
            is_refused = isinstance(err, FilesRefusedError)
            self._telemetry.files_refused.inc(int(is_refused))
            event = "files_refused" if is_refused else "files_not_written"
            self._log.error(event, error=str(err), version=str(wanted.bundle_version))
            return
        self._write_hold.done()
        self._generation = generation
        self._server.owe_reload()
        self._telemetry.generations.inc()
        self._log.info(
            "files_written",
            count=generation.number,
            digest=facts.digest[:16],
            version=str(facts.bundle_version),
            fingerprint=facts.leaf.fingerprint[:16],
        )
        self._state_readiness()

    async def _replace(self, files: Mapping[str, bytes], facts: FilesInForce) -> Generation:
        """Put a new set in force that the server's own check accepts.

        Raises:
            FilesRefusedError: The check refused it.
            SecureTransportError: It cannot be written or checked; the next try begins anew.
        """
        generation = await asyncio.to_thread(self._generations.prepare, files, facts)
        try:
            await self._server.check(generation)
        except FilesRefusedError:
            self._generations.discard(generation)
            raise
        self._generations.switch(generation)
        return generation

    def _note_versions(self) -> None:
        wanted, generation = self._wanted(), self._generation
        if wanted is None or generation is None:
            return
        facts = replace(
            generation.facts,
            bundle_version=wanted.bundle_version,
            policy_version=wanted.policy_version,
        )
        self._generations.note(generation, facts)

    async def _attest(self, *, is_served: bool) -> bool:
        if self._generation is None or self._away_since is not None:
            self._rest("OpenBao")
            return False
        statement = server_files.attestation(
            self._name, self._generation.facts, self._clock.now(), is_served=is_served
        )
        try:
            await self._statements.write(statement)
        except SecureTransportError as err:
            self._log.warning("statement_not_written", kind=type(err).__name__, error=str(err))
            self._rest("OpenBao to take the keeper's statement")
            return False
        self._telemetry.attestations.inc()
        return True

    def _rest(self, waits_for: str | None) -> None:
        if waits_for != self._waits_for:
            self._log.info("keeper_rests", reason=waits_for or "all is in force")
        self._waits_for = waits_for

    def _state_readiness(self) -> None:
        """Tell ``exec-server`` about verified files; needs verified documents."""
        if self._generation is None or self._wanted() is None:
            return
        try:
            self._ready_file.state(self._generation)
        except SecureTransportError as err:
            self._log.warning("readiness_not_written", error=str(err))
            self._rest("its folder to take files")

    def _measure(self) -> None:
        at, generation = self._clock.now(), self._generation
        facts = generation.facts if generation else None
        self._telemetry.observe_leaf(facts.leaf.not_after if facts else None, at)
        self._telemetry.is_served.set(int(facts is not None and self._server.view.serves(facts)))
        away = self._away_since
        self._telemetry.openbao_away_seconds.set(
            self._clock.monotonic() - away if away is not None else 0
        )
        documents = (self._trust.current, self._policy.current)
        self._telemetry.stale_documents.set(sum(1 for d in documents if d and d.is_stale(at)))

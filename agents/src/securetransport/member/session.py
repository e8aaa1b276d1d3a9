"""A member's session: trust, leaf certificate, signing keys and one admitted connection.

Every part is a loop of its own (:meth:`Session.tasks`), so that one that waits for OpenBao does not
stop the others; what one learns wakes those that need it. Nothing blocks at start: a session is
ready when all parts have what they need, in whatever order the outside comes up.

Used by every process on the bus, in whichever account it lives::

    session = Session(settings, application_account(profile), ports, registry)
    session.on_connection(follow)            # called with each new connection
    tasks = {**session.tasks(), ...}
    session.connection                        # the one to publish on; raises while there is none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry

from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedDocumentError,
    SecureTransportError,
    UnknownKeyError,
)
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.decisions.member import refresh
from securetransport.core.decisions.member.leaf import HeldLeaf
from securetransport.core.formats.documents import PublicKeyLookup
from securetransport.core.ports import (
    Bus,
    Clock,
    Connection,
    Files,
    LeafSource,
    Randomness,
    SecretStore,
)
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.documents.gate import DocumentGate
from securetransport.documents.versions import VersionStore
from securetransport.member.account import Account, clamp
from securetransport.member.attestation import Attestor
from securetransport.member.connection import ConnectionSwitch, Follower
from securetransport.member.enrolment import SigningKeys
from securetransport.member.leaf import LeafHolder
from securetransport.member.settings import SessionSettings
from securetransport.member.telemetry import SessionTelemetry
from securetransport.member.trust import TrustClient
from securetransport.runtime.logs import get_logger
from securetransport.runtime.metrics import LoopMetrics
from securetransport.runtime.supervisor import EternalTask, Wakeup, every

_LEAF_ROUND: Final = timedelta(seconds=0.5)
_CONNECTION_ROUND: Final = timedelta(seconds=0.5)
_BOOT_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class MemberPorts:
    """The outside world of a member, chosen by ``app``.

    Attributes:
        store: OpenBao, logged in.
        bus: Makes connections.
        leaf_source: Of this instance's leaf certificates.
        files: Where the state directory lies.
        keys: The pinned keys of the authority.
        clock: Wall and monotonic time.
        randomness: Of the boot id and of nonces.
    """

    store: SecretStore
    bus: Bus
    leaf_source: LeafSource
    files: Files
    keys: PublicKeyLookup
    clock: Clock
    randomness: Randomness


class Session:
    """See the module.

    Args:
        settings: Identity, servers, profile, pinned keys, state directory.
        account: Where it lives.
        ports: The outside world.
        registry: For metrics.
        loops: Counts the rounds of the session's loops.

    Attributes:
        boot_id: 32 hex digits, random per process.
        instance: Who this is.
        gate: Judges the authority's documents; shared by everybody in the process.
        signing_keys: This instance's own keys.
        telemetry: Metrics of the session.
    """

    def __init__(
        self,
        settings: SessionSettings,
        account: Account,
        ports: MemberPorts,
        registry: CollectorRegistry,
        *,
        loops: LoopMetrics | None = None,
    ) -> None:
        self._profile = settings.profile_value()
        self._account = account
        self._clock = ports.clock
        self.instance = settings.identity.instance_id
        self.telemetry = SessionTelemetry(registry, loops)
        self._log = get_logger(instance=self.instance)
        self.boot_id = ports.randomness.token_bytes(_BOOT_ID_BYTES).hex()
        self.gate = DocumentGate(
            keys=ports.keys,
            clock=ports.clock,
            versions=VersionStore(ports.files, settings.paths.state_dir),
            skew=self._profile.clock_skew,
            on_result=self.telemetry.document_judged,
        )
        self._wakeups = {name: Wakeup() for name in ("trust", "leaf", "signing_keys")}
        self._key_listeners: list[Callable[[], None]] = []
        self._trust = TrustClient(
            ports.store,
            self.gate,
            account.announcements,
            refresh.repair_every(self._profile.ca_period, self.instance),
            self._trust_changed,
        )
        self._leaf = LeafHolder(
            ports.leaf_source,
            self.instance,
            self._profile.leaf_validity,
            ports.clock,
            self.telemetry,
        )
        self.signing_keys = SigningKeys(
            ports.store, self.instance, self._profile, ports.clock, self.telemetry
        )
        self._switch = ConnectionSwitch(
            settings,
            account,
            bus=ports.bus,
            trust=self._trust,
            leaf=self._leaf,
            keys=self.signing_keys,
            attestor=Attestor(self.instance, self.boot_id, account, ports.clock, self.telemetry),
            clock=ports.clock,
            telemetry=self.telemetry,
        )
        self._wakeups["connection"] = self._switch.wakeup

    # --- for the agent -----------------------------------------------------------------------

    @property
    def trust(self) -> AcceptedTrust | None:
        """The verified TrustBundle in force."""
        return self._trust.accepted

    @property
    def connection(self) -> Connection:
        """The connection to use now; ask again for every use, it moves.

        Raises:
            BusUnavailableError: There is none yet.
        """
        if self._switch.current is None:
            raise BusUnavailableError(f"not connected to {self._account.name} yet")
        return self._switch.current

    @property
    def is_admitted(self) -> bool:
        """Whether it is connected and has attested since."""
        return self._switch.is_admitted

    @property
    def leaf(self) -> HeldLeaf | None:
        """The newest leaf certificate, ``None`` before the first."""
        return self._leaf.held

    def signing_key(self) -> SigningKey:
        """Return an enrolled key that is valid now; the authority needs no more to know it.

        Raises:
            UnknownKeyError: There is none: not yet, or not any more.
        """
        return self.signing_keys.for_signing(must_be_listed=False)

    def on_connection(self, follower: Follower) -> None:
        """Call ``follower`` with each new connection; see :data:`Follower`."""
        self._switch.follow(follower)

    def on_enrolment(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when another signing key of this instance was enrolled."""
        self._key_listeners.append(listener)

    def not_ready_reasons(self) -> list[str]:
        """Return what is missing, in words; empty when ready."""
        reasons: list[str] = []
        if self._trust.accepted is None:
            reasons.append("no trust bundle")
        if self._leaf.held is None:
            reasons.append("no leaf certificate")
        elif self._leaf.is_over:
            reasons.append("leaf certificate expired")
        if not self.signing_keys.enrolled:
            reasons.append("no enrolled signing key")
        connection = self._switch.current
        if connection is None or not connection.is_connected:
            reasons.append(f"not connected to {self._account.name}")
        elif not self._switch.is_admitted:
            reasons.append("not attested since connecting")
        return reasons

    def tasks(self) -> Mapping[str, EternalTask]:
        """Return the loops of this session, to be supervised by the process."""
        key_round = clamp(self._profile.key_lead / 8, 0.25, 5)
        return {
            "trust": self._loop("trust", self._account.trust_round, self._reconcile_trust),
            "leaf": self._loop("leaf", _LEAF_ROUND, self._reconcile_leaf),
            "signing_keys": self._loop("signing_keys", key_round, self._reconcile_keys),
            "connection": self._loop("connection", _CONNECTION_ROUND, self._reconcile_connection),
        }

    async def close(self) -> None:
        """Drain and close the connection."""
        await self._switch.close()

    # --- loops -------------------------------------------------------------------------------

    def _loop(self, name: str, interval: timedelta, action: EternalTask) -> EternalTask:
        return lambda: every(
            name,
            interval,
            action,
            wakeup=self._wakeups[name],
            on_error=lambda error: self.telemetry.round_failed(name, error),
            on_done=lambda: self.telemetry.round_done(name),
        )

    async def _reconcile_trust(self) -> None:
        held = self._trust.accepted
        if held is not None:
            left = held.not_after - self._clock.now()
            self.telemetry.trust_seconds_left.set(left.total_seconds())
        connection, has_bus_told = self._switch.current, False
        if connection is not None and connection.is_connected:
            try:
                has_bus_told = await self._trust.refresh_from_bus(connection)
            except BusUnavailableError:
                pass  # the connection's loop sees to it; OpenBao has the same document
            except SecureTransportError as error:
                self._log.warning("trust_not_read", path="bus", reason=str(error))
        if self._trust.is_store_due(has_bus_told=has_bus_told):
            await self._trust.refresh_from_store()

    async def _reconcile_leaf(self) -> None:
        trust = self._trust.accepted
        try:
            is_new = await self._leaf.reconcile(trust.body if trust else None)
        except RejectedDocumentError:
            # The issuer became active a moment ago and our trust set is older: read it first.
            self._trust.demand()
            self._wakeups["trust"].wake()
            raise
        if is_new:
            self._switch.wakeup.wake()

    async def _reconcile_keys(self) -> None:
        before = len(self.signing_keys.enrolled)
        await self.signing_keys.reconcile()
        if len(self.signing_keys.enrolled) > before:
            self._switch.wakeup.wake()
            for listener in self._key_listeners:
                listener()

    async def _reconcile_connection(self) -> None:
        try:
            await self._switch.reconcile()
        except UnknownKeyError:
            self._wakeups["signing_keys"].wake()  # nothing to attest with before the enrolment
        if self._leaf.held is None:
            self._wakeups["leaf"].wake()

    def _trust_changed(self) -> None:
        self._wakeups["leaf"].wake()
        self._switch.wakeup.wake()

"""A member's session: trust, leaf, signing keys, directory and one admitted connection.

Every part is a loop of its own (:meth:`Session.tasks`), so that one that waits for OpenBao does not
stop the others; what one learns wakes those that need it. Nothing blocks at start: a session is
ready when all parts have what they need, in whatever order the outside comes up.

Used by every process that speaks on account APP, the authority included::

    session = Session(settings, store, clock, registry)
    session.on_connection(follow)            # called with each new connection
    tasks = {**session.tasks(), ...}
    session.connection                        # the one to publish on; raises while there is none
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry

from securetransport.adapters.openbao import OpenBaoLeafSource
from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedDocumentError,
    SecureTransportError,
    UnknownKeyError,
)
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.ports import LeafSource, SecretStore
from securetransport.core.ports.bus import Connection
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.bundle import AcceptedTrust, fitting_ttl
from securetransport.member.attestation import Attestor
from securetransport.member.connection import ConnectionSwitch, Follower
from securetransport.member.directory import LONGEST_WAIT, DirectoryClient
from securetransport.member.documents import DocumentGate
from securetransport.member.enrolment import SigningKeys
from securetransport.member.leaf import LeafHolder
from securetransport.member.settings import SessionSettings
from securetransport.member.telemetry import SessionTelemetry
from securetransport.member.trust import TrustClient
from securetransport.member.versions import VersionStore
from securetransport.runtime.logs import get_logger
from securetransport.runtime.metrics import LoopMetrics
from securetransport.runtime.supervisor import EternalTask, Wakeup, every

_LEAF_ROUND: Final = timedelta(seconds=0.5)
_CONNECTION_ROUND: Final = timedelta(seconds=0.5)
_EAGER_ROUND: Final = timedelta(seconds=1)
_BOOT_ID_BYTES: Final = 16


def clamp(value: timedelta, low: float, high: float) -> timedelta:
    """Return ``value`` between ``low`` and ``high`` seconds."""
    return timedelta(seconds=min(max(value.total_seconds(), low), high))


class Session:
    """See the module.

    Args:
        settings: Identity, servers, profile, pinned keys, state directory.
        store: OpenBao, logged in.
        clock: Injected time.
        registry: For metrics.
        leaf_source: Of leaf certificates; OpenBao's PKI role of this service by default.
        loops: Counts the rounds of the session's loops.

    Attributes:
        boot_id: 32 hex digits, random per process.
        directory: Verify keys and deny list.
        signing_keys: This instance's own keys.
    """

    def __init__(  # noqa: PLR0913  # the last two have defaults that fit almost always
        self,
        settings: SessionSettings,
        store: SecretStore,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        leaf_source: LeafSource | None = None,
        loops: LoopMetrics | None = None,
    ) -> None:
        identity = settings.identity
        self._profile = settings.profile_value()
        self._clock = clock
        self.boot_id = secrets.token_hex(_BOOT_ID_BYTES)
        self.instance = identity.instance_id
        self.telemetry = SessionTelemetry(registry)
        self.telemetry.loops = loops
        self._log = get_logger(instance=self.instance)
        self.gate = DocumentGate(
            keys=AuthorityKeys.from_json(settings.authority.keys_file.read_text(encoding="utf-8")),
            clock=clock,
            versions=VersionStore(settings.paths.state_dir),
            skew=self._profile.clock_skew,
            telemetry=self.telemetry,
        )
        self._directory_listeners: list[Callable[[], None]] = []
        self._trust_wakeup, self._leaf_wakeup = Wakeup(), Wakeup()
        self._key_wakeup, self._directory_wakeup = Wakeup(), Wakeup()
        source = leaf_source or OpenBaoLeafSource(
            store,
            identity.trust_domain,
            identity.service_id,
            self.instance,
            ttl=self._leaf_life,
        )
        self._trust = TrustClient(store, self.gate, self._trust_changed)
        self._leaf = LeafHolder(source, self.instance, clock, self.telemetry)
        self.signing_keys = SigningKeys(store, self.instance, self._profile, clock, self.telemetry)
        self._switch = ConnectionSwitch(
            settings,
            trust=self._trust,
            leaf=self._leaf,
            keys=self.signing_keys,
            attestor=Attestor(
                self.instance, self.boot_id, clock, self._profile.ca_period, self.telemetry
            ),
            clock=clock,
            telemetry=self.telemetry,
        )
        self.directory = DirectoryClient(
            store, self.gate, lambda: self._switch.current, self._directory_changed
        )

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
            raise BusUnavailableError("not connected yet")
        return self._switch.current

    @property
    def is_admitted(self) -> bool:
        """Whether it is connected and has attested since."""
        return self._switch.is_admitted

    @property
    def leaf_epoch(self) -> int:
        """CA epoch of the leaf in hand; 0 before the first."""
        held = self._leaf.held
        return held.epoch if held is not None and held.epoch is not None else 0

    def on_connection(self, follower: Follower) -> None:
        """Call ``follower`` with each new connection; see :data:`Follower`."""
        self._switch.follow(follower)

    def signing_key(self) -> SigningKey:
        """Return the key to sign messages with.

        Raises:
            UnknownKeyError: None is listed in the Directory yet.
        """
        return self.signing_keys.for_signing()

    def on_directory(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the Directory or the deny list changed."""
        self._directory_listeners.append(listener)

    def not_ready_reasons(self) -> list[str]:
        """Return what is missing, in words; empty when ready."""
        reasons: list[str] = []
        now = self._clock.now()
        if self._trust.accepted is None:
            reasons.append("no trust bundle")
        held = self._leaf.held
        if held is None:
            reasons.append("no leaf certificate")
        elif now >= held.identity.not_after:
            reasons.append("leaf certificate expired")
        if not self.signing_keys.is_listed():
            reasons.append("own signing key is not in the directory")
        connection = self._switch.current
        if connection is None or not connection.is_connected:
            reasons.append("not connected to the bus")
        elif not self._switch.is_admitted:
            reasons.append("not attested since connecting")
        return reasons

    def tasks(self) -> Mapping[str, EternalTask]:
        """Return the loops of this session, to be supervised by the process."""
        period = self._profile.ca_period
        key_round = clamp(self._profile.key_lead / 8, 0.25, 5)
        return {
            "trust": self._loop("trust", clamp(period / 16, 1, 30), self._reconcile_trust),
            "leaf": self._loop("leaf", _LEAF_ROUND, self._reconcile_leaf, self._leaf_wakeup),
            "signing_keys": self._loop(
                "signing_keys", key_round, self._reconcile_keys, self._key_wakeup
            ),
            "connection": self._loop(
                "connection", _CONNECTION_ROUND, self._reconcile_connection, self._switch.wakeup
            ),
            "directory": self._directory_loop,
        }

    async def close(self) -> None:
        """Drain and close the connection."""
        await self._switch.close()

    def _leaf_life(self) -> timedelta:
        accepted = self._trust.accepted
        bundle = accepted.bundle if accepted is not None else None
        return fitting_ttl(self._profile.leaf_validity, bundle, self._clock.now())

    # --- loops -------------------------------------------------------------------------------

    def _loop(
        self,
        name: str,
        interval: timedelta,
        action: EternalTask,
        wakeup: Wakeup | None = None,
    ) -> EternalTask:
        return lambda: every(
            name,
            interval,
            action,
            wakeup=wakeup or self._trust_wakeup,
            on_error=lambda error: self.telemetry.round_failed(name, error),
            on_done=lambda: self.telemetry.round_done(name),
        )

    async def _directory_loop(self) -> None:
        calm = clamp(self._profile.key_period / 32, 1, 4)
        await every(
            "directory",
            lambda: calm if self.signing_keys.is_listed() else _EAGER_ROUND,
            self._reconcile_directory,
            wakeup=self._directory_wakeup,
            on_error=lambda error: self.telemetry.round_failed("directory", error),
            on_done=lambda: self.telemetry.round_done("directory"),
        )

    async def _reconcile_trust(self) -> None:
        held = self._trust.accepted
        if held is not None:
            left = held.not_after - self._clock.now()
            self.telemetry.trust_seconds_left.set(left.total_seconds())
        connection = self._switch.current
        if connection is not None and connection.is_connected:
            try:
                await self._trust.refresh_from_bus(connection)
            except BusUnavailableError:
                pass  # the link's loop sees to it; OpenBao has the same document
            except SecureTransportError as error:
                self._log.warning("trust_not_read", path="bus", reason=str(error))
        await self._trust.refresh_from_store()

    async def _reconcile_leaf(self) -> None:
        trust = self._trust.accepted
        if trust is None:
            return
        try:
            is_new = await self._leaf.reconcile(trust.bundle)
        except RejectedDocumentError:
            # The issuer became active a moment ago and our trust set is older: read it first.
            self._trust_wakeup.wake()
            raise
        if is_new:
            self._switch.wakeup.wake()

    async def _reconcile_keys(self) -> None:
        before = len(self.signing_keys.enrolled)
        await self.signing_keys.reconcile()
        if len(self.signing_keys.enrolled) > before:
            self._directory_wakeup.wake()
            self._switch.wakeup.wake()

    async def _reconcile_connection(self) -> None:
        try:
            await self._switch.reconcile()
        except UnknownKeyError:
            self._key_wakeup.wake()  # nothing to attest with before the first enrolment
        if self._leaf.held is None:
            self._leaf_wakeup.wake()

    async def _reconcile_directory(self) -> None:
        await self.directory.refresh()
        self.signing_keys.know_listed(self.directory.known_ids())
        await self.directory.prefetch()
        profile = self._profile
        retention = profile.key_validity + LONGEST_WAIT
        self.directory.verify_keys.prune(self._clock.now(), profile.key_schedule, retention)

    def _trust_changed(self) -> None:
        self._leaf_wakeup.wake()
        self._switch.wakeup.wake()

    def _directory_changed(self) -> None:
        self.signing_keys.know_listed(self.directory.known_ids())
        for listener in self._directory_listeners:
            listener()

"""The connection of a session, moved make-before-break.

Steps of a move, in this order:

1. The leaf about to be used is attested on the old connection, if that is up.
2. A new connection is made with the new leaf and the trust set in force.
3. It listens for announcements, and the newest trust document is read again: what changed while
   connecting is known before anybody uses it.
4. It is attested.
5. It becomes the current one: whoever publishes uses it from now on.
6. Followers (consumers) start on the new one, stop on the old one, and have finished there.
7. The old one is drained: no receipt and no acknowledgement is on its way when it closes.

A lost server is no move: nats-py reconnects by itself, with the newest leaf; steps 3 and 4 follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from securetransport.core.base.errors import BusUnavailableError, SecureTransportError
from securetransport.core.base.names import inbox_prefix, service_of
from securetransport.core.ports import TlsIdentity
from securetransport.core.ports.bus import (
    Bus,
    BusEvent,
    BusEventKind,
    BusTimeouts,
    Connection,
    Credentials,
)
from securetransport.core.ports.clock import Clock
from securetransport.core.trust import bundle as trust_rules
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.member.attestation import Attested, Attestor
from securetransport.member.enrolment import SigningKeys
from securetransport.member.leaf import LeafHolder
from securetransport.member.settings import SessionSettings
from securetransport.member.telemetry import SessionTelemetry
from securetransport.member.trust import TrustClient
from securetransport.runtime.logs import get_logger
from securetransport.runtime.supervisor import Wakeup

Follower = Callable[[Connection], Awaitable[None]]
"""Called with each new connection; returns when nothing of the follower is left on the old one."""

_FOLLOW_SECONDS: Final = 5.0
# nats-py tries for ever; after this long a connection made anew is tried beside it.
_STUCK_SECONDS: Final = 8.0
# A census is about a second old when the authority reads it, and counts a leaf that nobody attests
# against every epoch; so a leaf stays attested for a while after its connection closed.
_REMEMBERED_SECONDS: Final = 5.0


class ConnectionSwitch:
    """Owns the connection; everything here runs in one loop (:meth:`reconcile`).

    Attributes:
        current: The connection to use, ``None`` before the first.
        wakeup: Ends the wait for the next round.
    """

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in session.py
        self,
        settings: SessionSettings,
        *,
        bus: Bus,
        attest_every: timedelta,
        trust: TrustClient,
        leaf: LeafHolder,
        keys: SigningKeys,
        attestor: Attestor,
        clock: Clock,
        telemetry: SessionTelemetry,
    ) -> None:
        self._settings = settings
        self._instance = settings.identity.instance_id
        self._bus = bus
        self._trust = trust
        self._leaf = leaf
        self._keys = keys
        self._attestor = attestor
        self._clock = clock
        self._telemetry = telemetry
        self._attest_every = attest_every.total_seconds()
        self._followers: list[Follower] = []
        self._identity: TlsIdentity | None = None
        self._context_digest = ""
        self._attested: Attested | None = None
        self._former: list[tuple[TlsIdentity, float]] = []
        self._must_reread = False
        self._is_lame_duck = False
        self._down_since: float | None = None
        self._log = get_logger(kind="connection")
        self.current: Connection | None = None
        self.wakeup = Wakeup()

    def follow(self, follower: Follower) -> None:
        """Call ``follower`` with every connection made from now on."""
        self._followers.append(follower)

    @property
    def is_admitted(self) -> bool:
        """Whether it is up and has attested the trust set in force since it connected."""
        trust = self._trust.accepted
        is_up = self.current is not None and self.current.is_connected
        attested = self._attested
        return (
            is_up
            and trust is not None
            and attested is not None
            and attested.digest == trust.bundle.digest
        )

    async def reconcile(self) -> None:
        """Look, and do what is due: move, take over new anchors, attest.

        Raises:
            TransientError: The bus is not there; the next round tries again.
        """
        trust = self._trust.accepted
        self._telemetry.is_ready.set(self.is_admitted)
        if trust is None or self._leaf.held is None:
            return
        reason = self._move_reason(self._leaf.held.identity)
        if reason is not None:
            await self._move(reason, trust, self._leaf.held.identity)
        elif self._context_digest != trust.bundle.digest:
            self._take_over(trust, self._leaf.held.identity)
        if self.current is not None and self.current.is_connected:
            if self._must_reread:
                self._must_reread = False
                await self._reread(self.current)
            await self._attest_if_due(self.current)
        self._telemetry.is_ready.set(self.is_admitted)

    async def close(self) -> None:
        """Drain and close."""
        connection, self.current = self.current, None
        self._attested = None
        if connection is not None:
            await connection.drain()

    # --- moving ------------------------------------------------------------------------------

    def _move_reason(self, leaf: TlsIdentity) -> str | None:
        if self.current is None:
            return "first"
        if self.current.is_closed:
            return "closed"
        if self._identity is None or self._identity.fingerprint != leaf.fingerprint:
            return "leaf"
        if self._is_lame_duck:
            return "lame_duck"
        down = self._down_since
        if down is not None and self._clock.monotonic() - down > _STUCK_SECONDS:
            return "stuck"
        return None

    async def _move(self, reason: str, trust: AcceptedTrust, leaf: TlsIdentity) -> None:
        old, old_identity = self.current, self._identity
        if old is not None and old.is_connected and old_identity is not None:
            await self._attest_both(old, trust, old_identity, leaf)
        try:
            new = await self._connect(trust, leaf)
        except SecureTransportError:
            self._telemetry.moves.labels(reason, "failed").inc()
            if old is not None:
                self._take_over(trust, leaf)
            raise
        try:
            await self._prepare(new, leaf, old_identity if old else None)
        except (SecureTransportError, asyncio.CancelledError):
            self._telemetry.moves.labels(reason, "failed").inc()
            await new.close()
            raise
        self.current, self._identity = new, leaf
        self._is_lame_duck, self._down_since, self._must_reread = False, None, False
        self._telemetry.moves.labels(reason, "done").inc()
        self._log.info("connection_moved", reason=reason, server=new.server)
        await self._hand_over(new)
        if old is not None:
            await old.drain()
            self._left(old_identity)

    async def _attest_both(
        self, old: Connection, trust: AcceptedTrust, held: TlsIdentity, coming: TlsIdentity
    ) -> None:
        """Step 1; a move with the same leaf has nothing new to state, and must not wait for it."""
        if held.fingerprint == coming.fingerprint:
            return
        key = self._keys.for_signing(must_be_listed=False)
        await self._attestor.attest(old, key, trust, (held, coming))

    async def _connect(self, trust: AcceptedTrust, leaf: TlsIdentity) -> Connection:
        nats = self._settings.nats
        made: list[Connection] = []

        def heard(event: BusEvent) -> None:
            self._heard(event, made[0] if made else None)

        connection = await self._bus.connect(
            nats.servers,
            Credentials(trust_rules.anchors(trust.bundle), leaf),
            name=self._instance,
            inbox_prefix=inbox_prefix(service_of(self._instance)),
            timeouts=BusTimeouts(
                connect=nats.connect_timeout_seconds * (len(nats.servers) + 1),
                server=nats.connect_timeout_seconds,
            ),
            on_event=heard,
        )
        made.append(connection)
        self._context_digest = trust.bundle.digest
        return connection

    async def _prepare(
        self, new: Connection, leaf: TlsIdentity, old_identity: TlsIdentity | None
    ) -> None:
        await self._trust.listen(new)
        await self._reread(new)
        trust = self._trust.accepted
        if trust is None:
            raise BusUnavailableError("no trust set to attest")
        key = self._keys.for_signing(must_be_listed=False)
        identities = (leaf,) if old_identity is None else (leaf, old_identity)
        self._attested = await self._attestor.attest(new, key, trust, identities)

    async def _hand_over(self, new: Connection) -> None:
        """Step 6; a follower that fails is logged and follows again with the next connection."""
        for follower in self._followers:
            try:
                async with asyncio.timeout(_FOLLOW_SECONDS):
                    await follower(new)
            except (SecureTransportError, TimeoutError) as error:
                self._log.warning("follower_failed", kind=type(error).__name__, error=str(error))

    def _take_over(self, trust: AcceptedTrust, leaf: TlsIdentity) -> None:
        """Let later reconnects use the newest anchors and leaf."""
        if self.current is None:
            return
        self.current.use_credentials(Credentials(trust_rules.anchors(trust.bundle), leaf))
        self._context_digest = trust.bundle.digest

    # --- after a connect ---------------------------------------------------------------------

    async def _reread(self, connection: Connection) -> None:
        """Read the newest trust document from the stream and from OpenBao; either may be silent."""
        try:
            await self._trust.refresh_from_bus(connection)
        except SecureTransportError as error:
            self._log.warning("trust_not_read", path="bus", reason=str(error))
        try:
            await self._trust.refresh_from_store()
        except SecureTransportError as error:
            self._log.warning("trust_not_read", path="openbao", reason=str(error))

    async def _attest_if_due(self, connection: Connection) -> None:
        trust, attested, leaf = self._trust.accepted, self._attested, self._identity
        if trust is None or leaf is None:
            return
        is_due = (
            attested is None
            or attested.digest != trust.bundle.digest
            or leaf.fingerprint not in attested.leaf_fingerprints
            or self._clock.monotonic() - attested.monotonic >= self._attest_every
        )
        if is_due:
            await self._attest_now(connection)

    async def _attest_now(self, connection: Connection) -> None:
        trust, leaf = self._trust.accepted, self._identity
        if trust is None or leaf is None:
            return
        key = self._keys.for_signing(must_be_listed=False)
        self._attested = await self._attestor.attest(
            connection, key, trust, (leaf, *self._just_left())
        )

    def _left(self, identity: TlsIdentity | None) -> None:
        if identity is not None:
            self._former.append((identity, self._clock.monotonic() + _REMEMBERED_SECONDS))

    def _just_left(self) -> tuple[TlsIdentity, ...]:
        """Return leaf certificates that a census from a moment ago may still show as ours."""
        now = self._clock.monotonic()
        self._former = [entry for entry in self._former if entry[1] > now]
        return tuple(identity for identity, _ in self._former)

    # --- events ------------------------------------------------------------------------------

    def _heard(self, event: BusEvent, connection: Connection | None) -> None:
        self._telemetry.bus_events.labels(event.kind.value).inc()
        self._log.info("bus_event", kind=event.kind.value, reason=event.detail)
        if connection is None or connection is not self.current:
            return
        if event.kind is BusEventKind.DISCONNECTED:
            self._attested = None
            self._down_since = self._clock.monotonic()
        elif event.kind is BusEventKind.RECONNECTED:
            self._attested = None
            self._down_since = None
            self._must_reread = True
        elif event.kind is BusEventKind.LAME_DUCK:
            self._is_lame_duck = True
            self._leave_old_epoch()
        elif event.kind is BusEventKind.CLOSED:
            self._attested = None
        self.wakeup.wake()

    def _leave_old_epoch(self) -> None:
        """Asked to leave: with a leaf of an older epoch than the active one, renew it first."""
        trust, leaf = self._trust.accepted, self._leaf.held
        if trust is None or leaf is None:
            return
        active = trust.bundle.active
        if active is not None and leaf.epoch is not None and leaf.epoch < active:
            self._leaf.request_renewal()

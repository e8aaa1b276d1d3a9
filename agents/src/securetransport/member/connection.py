"""The connection of a session, moved make-before-break.

``core.decisions.member.connection`` says what is due; here each step is carried out. Steps of a
move, in this order:

1. The leaf about to be used is attested on the old connection, if that is up.
2. A new connection is made with the new leaf and the trust set in force.
3. It listens for announcements, and the newest trust document is read again: what changed while
   connecting is known before anybody uses it.
4. It is attested.
5. It becomes the current one: whoever publishes uses it from now on.
6. Followers (consumers) start on the new one, stop on the old one, and have finished there.
7. The old one is drained: no receipt and no acknowledgement is on its way when it closes.

A lost server is no move: the connection reconnects by itself, with the newest leaf; steps 3 and 4
follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from securetransport.core.base.errors import BusUnavailableError, SecureTransportError
from securetransport.core.base.names import inbox_prefix, service_of
from securetransport.core.decisions.member import connection as rules
from securetransport.core.decisions.member.connection import (
    Attest,
    Move,
    Presented,
    Reread,
    Step,
    UseCredentials,
)
from securetransport.core.decisions.wait import Wait
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
from securetransport.member.account import Account
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
_MOST_STEPS: Final = 8  # a round that needs more has a bug; the next one goes on anyway
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
        account: Account,
        *,
        bus: Bus,
        trust: TrustClient,
        leaf: LeafHolder,
        keys: SigningKeys,
        attestor: Attestor,
        clock: Clock,
        telemetry: SessionTelemetry,
    ) -> None:
        self._settings = settings.nats
        self._instance = settings.identity.instance_id
        self._account = account
        self._bus = bus
        self._trust = trust
        self._leaf = leaf
        self._keys = keys
        self._attestor = attestor
        self._clock = clock
        self._telemetry = telemetry
        self._followers: list[Follower] = []
        self._used: TlsIdentity | None = None
        self._prepared: tuple[AcceptedTrust, TlsIdentity] | None = None
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
        return rules.is_admitted(self._observe())

    async def reconcile(self) -> None:
        """Look, and carry out one step after the other until none is due.

        Raises:
            TransientError: The bus is not there; the next round tries again.
        """
        self._note_silence()
        try:
            for _ in range(_MOST_STEPS):
                step = rules.decide(self._observe())
                if isinstance(step, Wait):
                    break
                await self._carry_out(step)
        finally:
            self._telemetry.is_ready.set(self.is_admitted)

    async def close(self) -> None:
        """Drain and close."""
        connection, self.current = self.current, None
        self._attested = None
        if connection is not None:
            await connection.drain()

    # --- look --------------------------------------------------------------------------------

    def _observe(self) -> rules.Observation:
        trust, leaf = self._trust.accepted, self._leaf.held
        return rules.Observation(
            digest=trust.body.digest if trust else None,
            leaf=leaf.identity.fingerprint if leaf else None,
            connection=self._view(),
            attested=self._attested_now(),
            attest_every=self._account.attest_every,
        )

    def _view(self) -> rules.ConnectionView | None:
        current, used, prepared = self.current, self._used, self._prepared
        if current is None or used is None or prepared is None:
            return None
        down = self._down_since
        return rules.ConnectionView(
            is_connected=current.is_connected,
            is_closed=current.is_closed,
            leaf=used.fingerprint,
            prepared=Presented(prepared[0].body.digest, prepared[1].fingerprint),
            down_seconds=None if down is None else self._clock.monotonic() - down,
            is_lame_duck=self._is_lame_duck,
            must_reread=self._must_reread,
        )

    def _attested_now(self) -> rules.Attested | None:
        done = self._attested
        if done is None:
            return None
        age = self._clock.monotonic() - done.monotonic
        return rules.Attested(done.digest, done.leaf_fingerprints, age)

    # --- act ---------------------------------------------------------------------------------

    async def _carry_out(self, step: Step) -> None:
        trust, leaf = self._trust.accepted, self._leaf.held
        if trust is None or leaf is None:
            return
        match step:
            case Move():
                await self._move(step.reason, trust, leaf.identity)
            case UseCredentials():
                self._prepare_reconnect(trust, leaf.identity)
            case Reread():
                self._must_reread = False
                if self.current is not None:
                    await self._reread(self.current)
            case Attest():
                await self._attest(trust)

    async def _move(self, reason: str, trust: AcceptedTrust, leaf: TlsIdentity) -> None:
        old, old_identity = self.current, self._used
        try:
            if old is not None and old.is_connected and old_identity is not None:
                await self._attest_both(old, trust, old_identity, leaf)
            new = await self._connect(trust, leaf)
        except SecureTransportError:
            self._telemetry.moves.labels(reason, "failed").inc()
            raise
        try:
            await self._admit(new, leaf, old_identity if old else None)
        except (SecureTransportError, asyncio.CancelledError):
            self._telemetry.moves.labels(reason, "failed").inc()
            await new.close()
            raise
        self.current, self._used = new, leaf
        self._prepared = (trust, leaf)
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
        nats = self._settings
        made: list[Connection] = []

        def heard(event: BusEvent) -> None:
            self._heard(event, made[0] if made else None)

        connection = await self._bus.connect(
            nats.servers,
            Credentials(trust_rules.anchors(trust.body), leaf),
            name=self._instance,
            inbox_prefix=inbox_prefix(service_of(self._instance)),
            timeouts=BusTimeouts(
                connect=nats.connect_timeout_seconds * (len(nats.servers) + 1),
                server=nats.connect_timeout_seconds,
            ),
            on_event=heard,
        )
        made.append(connection)
        return connection

    async def _admit(
        self, new: Connection, leaf: TlsIdentity, old_identity: TlsIdentity | None
    ) -> None:
        """Steps 3 and 4."""
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

    def _prepare_reconnect(self, trust: AcceptedTrust, leaf: TlsIdentity) -> None:
        if self.current is not None:
            self.current.use_credentials(Credentials(trust_rules.anchors(trust.body), leaf))
            self._prepared = (trust, leaf)

    async def _reread(self, connection: Connection) -> None:
        """Read the newest trust document from the bus and from OpenBao; either may be silent."""
        try:
            await self._trust.refresh_from_bus(connection)
        except SecureTransportError as error:
            self._log.warning("trust_not_read", path="bus", reason=str(error))
        try:
            await self._trust.refresh_from_store()
        except SecureTransportError as error:
            self._log.warning("trust_not_read", path="openbao", reason=str(error))

    async def _attest(self, trust: AcceptedTrust) -> None:
        if self.current is None or self._used is None:
            return
        key = self._keys.for_signing(must_be_listed=False)
        self._attested = await self._attestor.attest(
            self.current, key, trust, (self._used, *self._just_left())
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
            self._reconnected()
        elif event.kind is BusEventKind.LAME_DUCK:
            self._is_lame_duck = True
            self._leave_old_epoch()
        elif event.kind is BusEventKind.CLOSED:
            self._attested = None
        self.wakeup.wake()

    def _reconnected(self) -> None:
        self._attested = None
        self._down_since = None
        self._must_reread = True
        used, prepared = self._used, self._prepared
        if used is not None and prepared is not None and used is not prepared[1]:
            self._left(used)
            self._used = prepared[1]

    def _note_silence(self) -> None:
        """A loss before a connection became the current one was told to nobody."""
        current = self.current
        if current is not None and not current.is_connected and self._down_since is None:
            self._attested = None
            self._down_since = self._clock.monotonic()

    def _leave_old_epoch(self) -> None:
        """Asked to leave: with a leaf of an older epoch than the active one, renew it first."""
        trust, leaf = self._trust.accepted, self._leaf.held
        if trust is None or leaf is None:
            return
        active = trust.body.active
        if active is not None and leaf.epoch is not None and leaf.epoch < active:
            self._leaf.request_renewal()

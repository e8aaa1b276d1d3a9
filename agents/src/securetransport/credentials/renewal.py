"""One member's renewal: observe, decide, carry out one step; see ``decisions.secret_ids.handover``.

The order of writes, so that the process may end between any two of them:

1. What was opened is on the disk before anything is done with it.
2. The new secret-id is in its place before the authority is told; what is known of it is written
   after, and the opened one goes last. Whatever is missing is done again from the opened one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from securetransport.core.base import names
from securetransport.core.base.errors import (
    NotFoundError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from securetransport.core.base.names import InstanceId, instance_role, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.secret_ids import handover, renewal_interval
from securetransport.core.decisions.secret_ids.handover import (
    Keep,
    Kept,
    LookForOffer,
    LookUp,
    Observation,
    Open,
    Prove,
    State,
)
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.secret_id import Offer, Proof
from securetransport.core.ports import Logins, SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.credentials.disk import Disk, Opened
from securetransport.credentials.telemetry import CredentialsMetrics
from securetransport.runtime.logs import get_logger

_MOST_STEPS: Final = 10
_REFUSED_AGAIN: Final = timedelta(seconds=30)
"""How often a refused secret-id is asked about again: its role may have been made anew."""


@dataclass
class _Memory:
    """What a restart may forget.

    Attributes:
        is_proven: Whether the opened secret-id was proven.
        offer: The newest offer that was seen.
        spent: The handover that was tried last.
        looked_at: When the offer was looked for.
        proof_cas: For the next statement.
        refused_at: When OpenBao refused the kept one last.
    """

    is_proven: bool = False
    offer: Offer | None = None
    spent: str | None = None
    looked_at: datetime | None = None
    proof_cas: int | None = None
    refused_at: datetime | None = None


@dataclass
class Renewal:
    """Renews one member's secret-id.

    Attributes:
        instance: Whose.
        disk: Its files.
        store: OpenBao with the token of its sink.
        logins: OpenBao without a token.
        clock: Wall clock.
        profile: How often.
        metrics: Counts.
        waits_for: What the last decision said is missing.
        handovers: How many were completed by this process.
        failures: How many steps failed since the last that worked.
    """

    instance: InstanceId
    disk: Disk
    store: SecretStore
    logins: Logins
    clock: Clock
    profile: Profile
    metrics: CredentialsMetrics
    waits_for: tuple[str, ...] = ()
    handovers: int = 0
    failures: int = 0
    _memory: _Memory = field(default_factory=_Memory)

    async def round(self) -> None:
        """Carry out what is due.

        Raises:
            SecureTransportError: A step failed; the next round goes on from the disk.
        """
        log = get_logger(instance=self.instance)
        interval = renewal_interval(service_of(self.instance), self.profile)
        for _ in range(_MOST_STEPS):
            step = handover.decide(self._observe(), interval)
            if isinstance(step, Wait):
                self.waits_for = step.waits_for
                return
            try:
                await self._carry_out(step)
            except SecureTransportError:
                self.failures += 1
                self.metrics.failed(type(step).__name__.lower())
                raise
            self.failures = 0
            log.debug("secret_id_step", step=type(step).__name__.lower())

    def state(self) -> tuple[str, datetime | None]:
        """Return how the secret-id is (ok, over, refused, missing, unknown) and when it ends."""
        secret_id = self.disk.secret_id()
        if secret_id is None:
            return "missing", None
        known = self.disk.known(secret_id)
        if known is None:
            return "unknown", None
        if known.expires_at is not None and known.expires_at <= self.clock.now():
            return "over", known.expires_at
        return ("refused" if known.is_refused else "ok"), known.expires_at

    def _observe(self) -> Observation:
        memory, now = self._memory, self.clock.now()
        secret_id = self.disk.secret_id()
        known = self.disk.known(secret_id) if secret_id is not None else None
        if known is not None and known.is_refused and self._is_asked_again(now):
            known = None
        kept = None
        if known is not None:
            kept = Kept(
                since=known.since,
                accessor=known.accessor,
                expires_at=known.expires_at,
                is_stated=known.is_stated,
                is_refused=known.is_refused,
            )
        return Observation(
            now=now,
            has_secret_id=secret_id is not None,
            kept=kept,
            has_opened=self.disk.opened() is not None,
            is_proven=memory.is_proven,
            offer=memory.offer,
            spent=memory.spent,
            looked_at=memory.looked_at,
        )

    def _is_asked_again(self, now: datetime) -> bool:
        refused_at = self._memory.refused_at
        return refused_at is None or now >= refused_at + _REFUSED_AGAIN

    async def _carry_out(self, step: handover.Step) -> None:
        match step:
            case Prove():
                await self._prove()
            case Keep():
                self._keep()
            case LookUp():
                await self._look_up()
            case State():
                await self._state()
            case LookForOffer():
                await self._look_for_offer()
            case Open():
                await self._open(step.offer)

    async def _open(self, offer: Offer) -> None:
        self._memory.spent = offer.handover
        # It opens once, so whether the disk takes it is tried before.
        self.disk.try_room()
        minted = await self.logins.unwrap(offer.wrapped, instance_role(self.instance))
        life = minted.life
        self.disk.put_opened(
            Opened(
                secret_id=minted.secret_id,
                accessor=minted.accessor,
                handover=offer.handover,
                expires_at=offer.created_at + life if life is not None else None,
            )
        )
        self._memory.is_proven = False

    async def _prove(self) -> None:
        opened = self.disk.opened()
        if opened is None:
            return
        try:
            await self._try(opened.secret_id)
        except PermissionDeniedError:
            self.disk.drop_opened()
            raise
        self._memory.is_proven = True

    def _keep(self) -> None:
        opened = self.disk.opened()
        if opened is None:
            return
        self.disk.put_secret_id(opened.secret_id)
        self.disk.remember(
            opened.secret_id,
            since=self.clock.now(),
            accessor=opened.accessor,
            handover=opened.handover,
            expires_at=opened.expires_at,
        )
        self.disk.drop_opened()
        self._memory.is_proven = False

    async def _look_up(self) -> None:
        """Learn the age and end of a secret-id that somebody else put there."""
        secret_id = self.disk.secret_id()
        if secret_id is None:
            return
        now = self.clock.now()
        path = f"auth/{names.APPROLE_MOUNT}/role/{instance_role(self.instance)}/secret-id/lookup"
        try:
            found = await self.store.write(path, {"secret_id": secret_id})
        except (SecretStoreUnavailableError, PermissionDeniedError, NotFoundError):
            # No token, or none that is good: a login tells whether the secret-id is.
            found = None
        if found:
            self.disk.remember(
                secret_id,
                since=_instant(found.get("creation_time")) or now,
                accessor=str(found.get("secret_id_accessor") or "") or None,
                expires_at=_instant(found.get("expiration_time")),
            )
            return
        try:
            await self._try(secret_id)
        except PermissionDeniedError:
            self._memory.refused_at = now
            self.disk.remember(secret_id, since=now, is_refused=True, is_stated=True)
            self.metrics.failed("refused")
            get_logger(instance=self.instance).error(
                "secret_id_refused", reason="run site.yml; it delivers a new one"
            )
            return
        self.disk.remember(secret_id, since=now, is_stated=True)

    async def _state(self) -> None:
        secret_id = self.disk.secret_id()
        known = self.disk.known(secret_id) if secret_id is not None else None
        if known is None or known.accessor is None:
            return
        path, memory = names.kv_proven_secret_id(self.instance), self._memory
        if memory.proof_cas is None:
            entry = await self.store.kv_get(path)
            memory.proof_cas = entry.cas if entry else 0
        proof = Proof(accessor=known.accessor, handover=known.handover, stated_at=self.clock.now())
        cas, memory.proof_cas = memory.proof_cas, None
        memory.proof_cas = await self.store.kv_put(path, proof.model_dump(mode="json"), cas=cas)
        self.disk.stated()
        if known.handover is not None:
            self.handovers += 1
            self.metrics.handed_over()
            get_logger(instance=self.instance).info("secret_id_renewed")

    async def _look_for_offer(self) -> None:
        self._memory.looked_at = self.clock.now()
        entry = await self.store.kv_get(names.kv_offered_secret_id(self.instance))
        try:
            self._memory.offer = Offer.model_validate(entry.value) if entry else None
        except ValidationError as err:
            self._memory.offer = None
            raise SecureTransportError("the offered secret-id is unreadable") from err

    async def _try(self, secret_id: str) -> None:
        token = await self.logins.login(self.disk.role_id(), secret_id)
        await self.logins.revoke(token.value)


def _instant(text: object) -> datetime | None:
    """Return an instant of OpenBao; ``None`` for its "never", the year 1."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.year > 1 and found.tzinfo is not None else None

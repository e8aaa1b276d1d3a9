"""Renewal of every instance's secret-id: minted wrapped, offered in KV, old ones destroyed.

One round looks at the instances whose time has come and carries out at most one step for each, by
``core.decisions.secret_ids.offering``. What is remembered between rounds only saves calls: all of
it can be read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from securetransport.core.acl import Acl, login_instances
from securetransport.core.base import names
from securetransport.core.base.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from securetransport.core.base.names import InstanceId, instance_role, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.secret_ids import offer_window, offering, renewal_interval
from securetransport.core.decisions.secret_ids.offering import (
    Destroy,
    KnownSecretId,
    Mint,
    Observation,
    Withdraw,
)
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.secret_id import Offer, Proof
from securetransport.core.ports import KvEntry, Randomness, SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.runtime.logs import get_logger

_HANDOVER_BYTES: Final = 16
_MOST_STEPS: Final = 20
"""Steps for one instance in one round; nothing that OpenBao says makes a round endless."""


@dataclass
class _Room:
    """What is remembered of one instance.

    Attributes:
        known: Its secret-ids by accessor, each looked up once.
        look_at: When it is looked at next; ``None`` for now.
        waits_for: What the last decision said is missing.
    """

    known: dict[str, KnownSecretId] = field(default_factory=dict)
    look_at: datetime | None = None
    waits_for: tuple[str, ...] = ()


class SecretIds:
    """Renews the secret-ids of everybody who logs in.

    Args:
        store: OpenBao, logged in as the authority.
        clock: Wall clock.
        profile: How often.
        servers: Names of the message servers in the order of their keepers.
        randomness: Of handovers.
        metrics: Counts steps.
    """

    def __init__(  # noqa: PLR0913  # the outside world of one loop
        self,
        *,
        store: SecretStore,
        clock: Clock,
        profile: Profile,
        servers: Sequence[str],
        randomness: Randomness,
        metrics: MetadataMetrics,
    ) -> None:
        self._store = store
        self._clock = clock
        self._profile = profile
        self._servers = tuple(servers)
        self._randomness = randomness
        self._metrics = metrics
        self._rooms: dict[InstanceId, _Room] = {}
        self._log = get_logger(kind="secret_ids")

    async def round(self, acl: Acl, deny: DenyList) -> None:
        """Look at every instance whose time has come.

        One instance that OpenBao refuses something for does not keep the others waiting.

        Raises:
            SecretStoreUnavailableError: OpenBao does not answer; the next round tries again.
        """
        wanted = [
            one
            for one in login_instances(acl, self._servers)
            if service_of(one) not in deny.services
        ]
        self._rooms = {one: self._rooms.get(one, _Room()) for one in wanted}
        now = self._clock.now()
        for instance, room in self._rooms.items():
            if room.look_at is not None and now < room.look_at:
                continue
            try:
                await self._reconcile(instance, room)
            except SecretStoreUnavailableError:
                raise
            except SecureTransportError as err:
                room.look_at = now + offer_window(self._interval(instance))
                room.waits_for = (str(err),)
                self._metrics.secret_id_step("failed")
                self._log.warning("secret_id_failed", instance=instance, error=str(err))
        self._metrics.secret_ids(Counter(self._state(room) for room in self._rooms.values()))

    def forget(self) -> None:
        """Look at everybody anew: another instance may have acted in between."""
        self._rooms = {}

    def status(self) -> dict[str, Any]:
        """Return what ``securetransport status`` shows: how many, and whom it waits for."""
        return {
            "instances": sum(bool(room.known) for room in self._rooms.values()),
            "waiting": {
                instance: list(room.waits_for)
                for instance, room in self._rooms.items()
                if room.waits_for and room.known
            },
        }

    @staticmethod
    def _state(room: _Room) -> str:
        if not room.known:
            return "none"
        return "waiting" if room.waits_for else "renewed"

    def _interval(self, instance: InstanceId) -> timedelta:
        return renewal_interval(service_of(instance), self._profile)

    async def _reconcile(self, instance: InstanceId, room: _Room) -> None:
        for _ in range(_MOST_STEPS):
            seen, cas = await self._observe(instance, room)
            step = offering.decide(seen, self._interval(instance))
            if isinstance(step, Wait):
                room.look_at, room.waits_for = step.until, step.waits_for
                return
            await self._carry_out(step, instance, cas)
            name = type(step).__name__.lower()
            self._metrics.secret_id_step(name)
            self._log.info("secret_id_step", step=name, instance=instance)

    async def _observe(self, instance: InstanceId, room: _Room) -> tuple[Observation, int]:
        role = f"auth/{names.APPROLE_MOUNT}/role/{instance_role(instance)}"
        accessors = await self._store.list(f"{role}/secret-id")
        room.known = {key: one for key, one in room.known.items() if key in accessors}
        for accessor in accessors:
            if accessor not in room.known:
                found = await self._look_up(role, accessor)
                if found is not None:
                    room.known[accessor] = found
        now = self._clock.now()
        alive = [one for one in room.known.values() if not one.expires_at or now < one.expires_at]
        offer = await self._store.kv_get(names.kv_offered_secret_id(instance)) if alive else None
        proof = await self._store.kv_get(names.kv_proven_secret_id(instance)) if alive else None
        seen = Observation(now, tuple(alive), _offer(offer), _proof(proof))
        return seen, offer.cas if offer else 0

    async def _look_up(self, role: str, accessor: str) -> KnownSecretId | None:
        body = {"secret_id_accessor": accessor}
        try:
            data = await self._store.write(f"{role}/secret-id-accessor/lookup", body)
        except (NotFoundError, PermissionDeniedError):
            return None  # it ended between the list and now
        try:
            expires_at = datetime.fromisoformat(data["expiration_time"])
            return KnownSecretId(
                accessor=accessor,
                created_at=datetime.fromisoformat(data["creation_time"]),
                # The year 1 is OpenBao's word for "never".
                expires_at=expires_at if expires_at.year > 1 else None,
                handover=(data.get("metadata") or {}).get("handover"),
            )
        except (KeyError, TypeError, ValueError) as err:
            raise SecureTransportError("openbao's answer about a secret-id is unreadable") from err

    async def _carry_out(self, step: offering.Step, instance: InstanceId, cas: int) -> None:
        role = f"auth/{names.APPROLE_MOUNT}/role/{instance_role(instance)}"
        match step:
            case Mint():
                await self._mint(role, instance, cas)
            case Withdraw():
                await self._withdraw(step.offer, role, instance, cas)
            case Destroy():
                await self._destroy(role, step.accessor)

    async def _mint(self, role: str, instance: InstanceId, cas: int) -> None:
        window = offer_window(self._interval(instance))
        handover = self._randomness.token_bytes(_HANDOVER_BYTES).hex()
        now = self._clock.now()
        # The wrapping outlives the offer, so that taking it back tells whether it was opened.
        wrapped = await self._store.write_wrapped(
            f"{role}/secret-id", {"metadata": json.dumps({"handover": handover})}, window * 3
        )
        offer = Offer(
            handover=handover,
            wrapped=wrapped.token,
            accessor=wrapped.inner,
            created_at=now,
            not_after=now + window,
        )
        try:
            await self._put(instance, offer, cas)
        except ConflictError:
            # Another instance of the authority offered first: nobody may open this one.
            await self._withdraw_wrapping(offer, role)
            raise

    async def _withdraw(self, offer: Offer, role: str, instance: InstanceId, cas: int) -> None:
        await self._withdraw_wrapping(offer, role)
        await self._put(instance, offer.model_copy(update={"is_withdrawn": True}), cas)

    async def _withdraw_wrapping(self, offer: Offer, role: str) -> None:
        # Wrapping it anew takes it from whoever has the old wrapping, and fails when that was
        # opened, in one step; revoking its token does not say which of both happened.
        try:
            await self._store.write("sys/wrapping/rewrap", {"token": offer.wrapped})
        except SecretStoreUnavailableError:
            raise
        except SecureTransportError:
            # Opened, or over: the secret-id may be the one that the instance has by now.
            self._log.info("offer_was_opened", reason="the instance has not stated it yet")
            return
        await self._destroy(role, offer.accessor)

    async def _destroy(self, role: str, accessor: str) -> None:
        body = {"secret_id_accessor": accessor}
        try:
            await self._store.write(f"{role}/secret-id-accessor/destroy", body)
        except NotFoundError:
            return  # it ended by itself

    async def _put(self, instance: InstanceId, offer: Offer, cas: int) -> None:
        value = offer.model_dump(mode="json")
        await self._store.kv_put(names.kv_offered_secret_id(instance), value, cas=cas)


def _offer(entry: KvEntry | None) -> Offer | None:
    try:
        return Offer.model_validate(entry.value) if entry else None
    except ValidationError:
        return None


def _proof(entry: KvEntry | None) -> Proof | None:
    # The instance writes it: one that cannot be read proves nothing.
    try:
        return Proof.model_validate(entry.value) if entry else None
    except ValidationError:
        return None

"""Signing keys of this process: one per key epoch, made here, enrolled in OpenBao, never stored.

The public half goes, create-only, to ``enroll/<service>/<replica>/<key id>`` with a self-signature;
the authority lists it in the Directory. The private half dies with the process, so a restart makes
and enrols a new key.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import ConflictError, SecureTransportError, UnknownKeyError
from securetransport.core.base.names import InstanceId, KeyId, service_of
from securetransport.core.base.pae import pae
from securetransport.core.base.profile import Profile
from securetransport.core.crypto.signing import SigningKey, generate_signing_key
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.member.telemetry import SessionTelemetry
from securetransport.runtime.logs import get_logger

ENROL_TYPE: Final = "securetransport/v1/enrol"


class SigningKeys:
    """The keys of the valid epochs, and the next one from its lead on.

    Attributes:
        enrolled: Key ids that OpenBao has taken.
    """

    def __init__(
        self,
        store: SecretStore,
        instance: InstanceId,
        profile: Profile,
        clock: Clock,
        telemetry: SessionTelemetry,
    ) -> None:
        self._store = store
        self._instance = instance
        self._profile = profile
        self._clock = clock
        self._telemetry = telemetry
        self._keys: dict[EpochNumber, SigningKey] = {}
        self._listed: frozenset[KeyId] = frozenset()
        self._log = get_logger(kind="signing_key")
        self.enrolled: set[KeyId] = set()

    async def reconcile(self) -> None:
        """Make and enrol what is missing; forget what is over.

        Raises:
            SecretStoreUnavailableError: OpenBao did not answer; the next round tries again.
        """
        now = self._clock.now()
        schedule = self._profile.key_schedule
        current = schedule.number_at(now)
        following = EpochNumber(current + 1)
        wanted = [current]
        if now >= schedule.start_of(following) - self._profile.key_lead:
            wanted.append(following)
        for epoch in wanted:
            key = self._keys.get(epoch) or generate_signing_key()
            self._keys[epoch] = key
            if key.key_id not in self.enrolled:
                await self._enrol(key, epoch, now)
        for epoch in [held for held in self._keys if now >= schedule.expiry_of(held)]:
            self.enrolled.discard(self._keys.pop(epoch).key_id)

    def know_listed(self, key_ids: frozenset[KeyId]) -> None:
        """Tell which keys the Directory lists."""
        self._listed = key_ids

    def is_listed(self) -> bool:
        """Whether the Directory lists a key of this process that is valid now."""
        now = self._clock.now()
        schedule = self._profile.key_schedule
        return any(
            key.key_id in self._listed
            for epoch, key in self._keys.items()
            if schedule.is_valid(epoch, now)
        )

    def for_signing(self, *, must_be_listed: bool = True) -> SigningKey:
        """Return the newest key of a started epoch.

        Args:
            must_be_listed: Receivers know it from the Directory; the authority needs it enrolled
                only.

        Raises:
            UnknownKeyError: There is none yet.
        """
        now = self._clock.now()
        known = self._listed if must_be_listed else self.enrolled
        current = self._profile.key_schedule.number_at(now)
        for epoch in sorted((held for held in self._keys if held <= current), reverse=True):
            if self._keys[epoch].key_id in known:
                return self._keys[epoch]
        what = "listed" if must_be_listed else "enrolled"
        raise UnknownKeyError(f"no signing key of this instance is {what} yet")

    async def _enrol(self, key: SigningKey, epoch: EpochNumber, now: datetime) -> None:
        entry = VerifyKey(
            key_id=key.key_id,
            service=service_of(self._instance),
            instance=self._instance,
            epoch=epoch,
            algorithm=key.algorithm,
            public_key=key.public_key,
            created_at=now,
        )
        proof = key.sign(pae(ENROL_TYPE, entry.to_bytes()))
        value = {
            "key": entry.model_dump(mode="json"),
            "proof": base64.b64encode(proof).decode("ascii"),
        }
        path = names.kv_enrolled_key(self._instance, key.key_id)
        try:
            await self._store.kv_put(path, value, cas=0)
        except ConflictError:
            # The id is the key's digest: only this process can have written it, in a call whose
            # answer was lost.
            self._log.info("enrolment_exists", epoch=epoch)
        except SecureTransportError:
            self._telemetry.enrolments.labels("failed").inc()
            raise
        self.enrolled.add(key.key_id)
        self._telemetry.enrolments.labels("done").inc()
        self._log.info("signing_key_enrolled", epoch=epoch)

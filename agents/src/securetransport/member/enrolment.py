"""Signing keys of this process: one per key epoch, made here, enrolled in OpenBao, never stored.

The public half goes, create-only, to ``enroll/<service>/<replica>/<key id>`` with a self-signature;
the authority lists it in the Directory. The private half dies with the process, so a restart makes
and enrols a new key.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from datetime import datetime
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import ConflictError, SecureTransportError, UnknownKeyError
from securetransport.core.base.names import InstanceId, KeyId, service_of
from securetransport.core.base.pae import pae
from securetransport.core.base.profile import Profile
from securetransport.core.crypto.signing import SigningKey, generate_signing_key
from securetransport.core.decisions.member import signing_keys as rules
from securetransport.core.decisions.member.signing_keys import EnrolKey, ForgetKey
from securetransport.core.decisions.wait import Wait
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
        """Forget what is over; make and enrol what is missing.

        Raises:
            SecretStoreUnavailableError: OpenBao did not answer; the next round tries again.
        """
        while True:
            step = rules.decide(self._observe(), self._profile)
            match step:
                case ForgetKey():
                    self.enrolled.discard(self._keys.pop(step.epoch).key_id)
                case EnrolKey():
                    key = self._keys.setdefault(step.epoch, generate_signing_key())
                    await self._enrol(key, step.epoch, self._clock.now())
                case Wait():
                    return

    def _observe(self) -> rules.Observation:
        return rules.Observation(
            now=self._clock.now(),
            held=frozenset(self._keys),
            enrolled=frozenset(
                epoch for epoch, key in self._keys.items() if key.key_id in self.enrolled
            ),
        )

    def know_listed(self, key_ids: frozenset[KeyId]) -> None:
        """Tell which keys the Directory lists."""
        self._listed = key_ids

    def held(self) -> dict[EpochNumber, KeyId]:
        """Return the id of each key that this process has, by epoch."""
        return {epoch: key.key_id for epoch, key in self._keys.items()}

    @property
    def listed(self) -> frozenset[KeyId]:
        """The ids that the Directory lists, of whomever."""
        return self._listed

    def knows(self, key_id: KeyId) -> bool:
        """Whether a key was seen in the Directory."""
        return key_id in self._listed

    def of_epoch(self, epoch: EpochNumber) -> SigningKey:
        """Return the key of an epoch, which must be one of :meth:`held`."""
        return self._keys[epoch]

    def is_listed(self) -> bool:
        """Whether the Directory lists a key of this process that is valid now."""
        return self._epoch(self._listed) is not None

    def for_signing(self, *, must_be_listed: bool = True) -> SigningKey:
        """Return the newest key that is valid now.

        Args:
            must_be_listed: Receivers know it from the Directory; the authority needs it enrolled
                only.

        Raises:
            UnknownKeyError: There is none: not yet, or not any more.
        """
        epoch = self._epoch(self._listed if must_be_listed else self.enrolled)
        if epoch is None:
            what = "listed" if must_be_listed else "enrolled"
            raise UnknownKeyError(f"no signing key of this instance is {what} and valid now")
        return self._keys[epoch]

    def _epoch(self, known: Collection[KeyId]) -> EpochNumber | None:
        held = (epoch for epoch, key in self._keys.items() if key.key_id in known)
        return rules.for_signing(held, self._profile.key_schedule, self._clock.now())

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

"""Verify keys that instances enrolled in KV: found, checked, remembered while they count.

OpenBao's policy lets a service create below its own name and nothing else, so the path says whose a
key is; the self-signature shows that the instance holds the private half.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from securetransport.core.base import names
from securetransport.core.base.errors import (
    MalformedMessageError,
    RejectedDocumentError,
    SignatureError,
    UnknownKeyError,
)
from securetransport.core.base.names import InstanceId, KeyId, instance_id, service_of
from securetransport.core.base.pae import pae
from securetransport.core.base.profile import Profile
from securetransport.core.crypto import signing
from securetransport.core.formats.body import problem_of
from securetransport.core.formats.directory import SIGNING_KEY_ID, VerifyKey
from securetransport.core.ports import KvEntry, SecretStore
from securetransport.runtime.logs import get_logger

ENROL_TYPE = "securetransport/v1/enrol"
_ROOT = "enroll"
MOST_ENROLMENTS = 256
"""Of one instance: what it enrols beyond is not looked at, and it alone is the poorer for it."""

_MOST_REFUSED = 10_000
_LONGEST_PROOF = 16 * 1024


class EnrolledKeys:
    """The keys of every instance; ``refresh`` reads what is new and drops what is over.

    A key is kept as long as a message signed with it may wait to be read.
    """

    def __init__(self, store: SecretStore, profile: Profile) -> None:
        self._store = store
        self._profile = profile
        self._keys: dict[KeyId, VerifyKey] = {}
        self._refused: set[str] = set()
        self._over_quota: set[InstanceId] = set()
        self._log = get_logger(loop="enrolled")

    @property
    def keys(self) -> tuple[VerifyKey, ...]:
        """Every key held."""
        return tuple(self._keys.values())

    async def find(self, instance: InstanceId, key_id: str, now: datetime) -> VerifyKey:
        """Return a valid key of ``instance``, reading it from KV when it is new.

        Raises:
            UnknownKeyError: There is none, it is another instance's, or its epoch is not valid.
        """
        key = self._keys.get(KeyId(key_id))
        if key is None and _is_enrolment(instance, key_id):
            key = await self._read(instance, KeyId(key_id), now)
        if key is None or key.instance != instance or not self._is_current(key, now):
            raise UnknownKeyError("no valid enrolled key", instance=instance, key=key_id)
        return key

    def is_any_overdue(self, at: datetime) -> bool:
        """Tell whether a key's validity ended at ``at``."""
        return any(self._is_over(key, at) for key in self._keys.values())

    async def refresh(
        self, now: datetime, longest_wait: timedelta, agreed_at: datetime | None = None
    ) -> None:
        """Look at every enrolment; one that is wrong is logged once and left out.

        Args:
            now: The authority's clock.
            longest_wait: How long a message may wait to be read; keys stay as long.
            agreed_at: The time that OpenBao agrees with; without it no enrolment is destroyed.
        """
        over_at = agreed_at - longest_wait if agreed_at else None
        seen: set[KeyId] = set()
        for service in await self._folders(_ROOT):
            for replica in await self._folders(f"{_ROOT}/{service}"):
                await self._refresh_instance(service, replica, now, over_at, seen)
        for gone in set(self._keys) - seen:
            del self._keys[gone]
        if len(self._refused) > _MOST_REFUSED:
            self._refused.clear()  # each is read, refused and told once more

    async def _refresh_instance(
        self,
        service: str,
        replica: str,
        now: datetime,
        over_at: datetime | None,
        seen: set[KeyId],
    ) -> None:
        try:
            instance = instance_id(names.parse_service(service), replica)
        except ValueError:
            return
        listed = await self._store.kv_list(f"{_ROOT}/{instance}")
        self._note_quota(instance, len(listed))
        for name in listed[:MOST_ENROLMENTS]:
            if not SIGNING_KEY_ID.fullmatch(name):
                continue  # nobody asks for such a key
            key_id = KeyId(name)
            key = self._keys.get(key_id) or await self._read(instance, key_id, now)
            if key is not None and over_at is not None and self._is_over(key, over_at):
                await self._store.kv_destroy(names.kv_enrolled_key(instance, key_id))
                self._keys.pop(key_id, None)
            elif key is not None:
                seen.add(key_id)

    def _note_quota(self, instance: InstanceId, count: int) -> None:
        is_over = count > MOST_ENROLMENTS
        if is_over and instance not in self._over_quota:
            self._log.error("enrolments_over_quota", instance=instance, count=count)
        (self._over_quota.add if is_over else self._over_quota.discard)(instance)

    async def _folders(self, path: str) -> list[str]:
        found = await self._store.kv_list(path)
        return [name.rstrip("/") for name in found if name.endswith("/")]

    async def _read(self, instance: InstanceId, key_id: KeyId, now: datetime) -> VerifyKey | None:
        path = names.kv_enrolled_key(instance, key_id)
        if path in self._refused:
            return None
        try:
            entry = await self._store.kv_get(path)
            if entry is None:
                return None
            key = _checked(entry, instance, key_id)
            self._check_epoch(key, now)
        except (RejectedDocumentError, MalformedMessageError) as err:
            self._refused.add(path)
            self._log.warning("enrolment_refused", path=path, reason=str(err))
            return None
        self._keys[key_id] = key
        return key

    def _check_epoch(self, key: VerifyKey, now: datetime) -> None:
        """Refuse what no honest instance enrols: a key for a later epoch than the next one."""
        latest = self._profile.key_schedule.number_at(now + self._profile.clock_skew) + 1
        if not 0 <= key.epoch <= latest:
            raise RejectedDocumentError("enrolment is for an epoch too far ahead", latest=latest)

    def _is_current(self, key: VerifyKey, now: datetime) -> bool:
        """Tell whether statements may be signed with it now, clocks and the lead allowed for."""
        schedule, slack = self._profile.key_schedule, self._profile.clock_skew
        begins = schedule.start_of(key.epoch) - self._profile.key_lead - slack
        return begins <= now < schedule.expiry_of(key.epoch) + slack

    def _is_over(self, key: VerifyKey, at: datetime) -> bool:
        return at >= self._profile.key_schedule.expiry_of(key.epoch)


def _is_enrolment(instance: InstanceId, key_id: str) -> bool:
    """Tell whether a path may be made of names that nobody has proven yet."""
    service, _, replica = instance.partition("/")
    try:
        instance_id(names.parse_service(service), replica)
    except ValueError:
        return False
    return SIGNING_KEY_ID.fullmatch(key_id) is not None


def _proof(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > _LONGEST_PROOF:
        raise ValueError(f"proof: not base64 text of at most {_LONGEST_PROOF} characters")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as err:
        raise ValueError(f"proof: {err}") from err


def _checked(entry: KvEntry, instance: InstanceId, key_id: KeyId) -> VerifyKey:
    try:
        key = VerifyKey.model_validate(entry.value["key"])
        proof = _proof(entry.value["proof"])
        signing.verify(key.algorithm, key.public_key, pae(ENROL_TYPE, key.to_bytes()), proof)
    except KeyError as err:
        raise RejectedDocumentError("enrolment is malformed", problem=f"{err}: missing") from err
    except ValueError as err:  # not of this model, or not base64 at all
        raise RejectedDocumentError("enrolment is malformed", problem=problem_of(err)) from err
    except SignatureError as err:
        raise RejectedDocumentError("enrolment is not signed by its own key") from err
    if key.instance != instance or key.service != service_of(instance):
        raise RejectedDocumentError("enrolment names another instance than its path")
    if key.key_id != key_id or key_id != signing.key_id_of(key.algorithm, key.public_key):
        raise RejectedDocumentError("enrolment names another key than its path")
    return key

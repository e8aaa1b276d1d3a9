"""Verify keys that instances enrolled in KV: found, checked, remembered while they count.

OpenBao's policy lets a service create below its own name and nothing else, so the path says whose a
key is; the self-signature shows that the instance holds the private half. Rules:

1. A key is taken for the current and the next epoch only, the clocks and the lead allowed for.
2. Of one instance and epoch ``MOST_ENROLMENTS`` are taken, the newest first; what it enrols beyond
   is refused, and it alone is the poorer for it.
3. A key that was listed stays as long as a message signed with it may wait to be read, whatever was
   enrolled since. What was listed lies in OpenBao where only the authority writes, so a restart
   knows it.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
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
_LISTED = "directory/keys"
MOST_ENROLMENTS = 32
"""Of one instance and epoch. One is needed; a process makes another at each start."""

_MOST_NEW = 64
"""Read of one instance in one round; what it enrolled beyond waits for the next."""

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
        self._untimely: dict[str, EpochNumber] = {}  # refused by the clock, so not for ever
        self._over_quota: dict[InstanceId, EpochNumber] = {}
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
            listed = await self._store.kv_get(names.kv_directory_entry(KeyId(key_id)))
            key = await self._read(instance, KeyId(key_id), now, is_listed=listed is not None)
            if key is not None and not self._take(key, is_listed=listed is not None):
                key = None
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
        if len(self._refused) + len(self._untimely) > _MOST_REFUSED:
            self._refused.clear()  # each is read, refused and told once more
            self._untimely.clear()

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
        fresh: list[KeyId] = []
        for name in await self._store.kv_list(f"{_ROOT}/{instance}"):
            if not SIGNING_KEY_ID.fullmatch(name):
                continue  # nobody asks for such a key
            key_id = KeyId(name)
            key = self._keys.get(key_id)
            if key is None:
                fresh.append(key_id)
            elif key.instance != instance:
                continue  # its name in another's folder
            elif over_at is not None and self._is_over(key, over_at):
                await self._store.kv_destroy(names.kv_enrolled_key(instance, key_id))
                del self._keys[key_id]
            else:
                seen.add(key_id)
        fresh = [each for each in fresh if not self._is_refused(instance, each, now)]
        if fresh:
            seen.update(await self._read_fresh(instance, fresh, now))

    async def _read_fresh(
        self, instance: InstanceId, fresh: list[KeyId], now: datetime
    ) -> list[KeyId]:
        """Read enrolments that are not held; returns those that were taken (rules 2, 3)."""
        listed = frozenset(await self._store.kv_list(_LISTED))
        kept = [key_id for key_id in fresh if key_id in listed]
        new = [key_id for key_id in fresh if key_id not in listed][:_MOST_NEW]
        taken: list[KeyId] = []
        for ids, is_listed in ((kept, True), (new, False)):
            read = [await self._read(instance, each, now, is_listed=is_listed) for each in ids]
            found = [key for key in read if key is not None]
            found.sort(key=lambda key: (key.epoch, key.created_at), reverse=True)
            taken += [key.key_id for key in found if self._take(key, is_listed=is_listed)]
        return taken

    def _take(self, key: VerifyKey, *, is_listed: bool) -> bool:
        """Hold a key unless its instance has enough of its epoch; returns whether."""
        same = (key.instance, key.epoch)
        count = sum((held.instance, held.epoch) == same for held in self._keys.values())
        if count < MOST_ENROLMENTS or is_listed:
            self._keys[key.key_id] = key
            return True
        self._refused.add(names.kv_enrolled_key(key.instance, key.key_id))
        if key.epoch > self._over_quota.get(key.instance, -1):
            self._over_quota[key.instance] = key.epoch
            self._log.error("enrolments_over_quota", instance=key.instance, count=count + 1)
        return False

    def _is_refused(self, instance: InstanceId, key_id: KeyId, now: datetime) -> bool:
        path = names.kv_enrolled_key(instance, key_id)
        epoch = self._untimely.get(path)
        if epoch is not None and epoch in self._timely(now):
            del self._untimely[path]
            epoch = None
        return path in self._refused or epoch is not None

    async def _folders(self, path: str) -> list[str]:
        found = await self._store.kv_list(path)
        return [name.rstrip("/") for name in found if name.endswith("/")]

    async def _read(
        self, instance: InstanceId, key_id: KeyId, now: datetime, *, is_listed: bool
    ) -> VerifyKey | None:
        path = names.kv_enrolled_key(instance, key_id)
        if self._is_refused(instance, key_id, now) and not is_listed:
            return None
        try:
            entry = await self._store.kv_get(path)
            if entry is None:
                return None
            key = _checked(entry, instance, key_id)
            self._check_epoch(key, now, is_listed=is_listed)
        except (RejectedDocumentError, MalformedMessageError) as err:
            if path not in self._untimely:
                self._refused.add(path)
            self._log.warning("enrolment_refused", path=path, reason=str(err))
            return None
        return key

    def _timely(self, now: datetime) -> range:
        """Return the epochs that keys may be enrolled for now (rule 1)."""
        schedule, slack = self._profile.key_schedule, self._profile.clock_skew
        earliest = schedule.number_at(now - slack - self._profile.key_lead)
        return range(earliest, schedule.number_at(now + slack) + 2)

    def _check_epoch(self, key: VerifyKey, now: datetime, *, is_listed: bool) -> None:
        """Refuse what no honest instance enrols now.

        Raises:
            RejectedDocumentError: The key is for another epoch; it may be timely later.
        """
        timely = self._timely(now)
        if key.epoch in timely or (is_listed and 0 <= key.epoch < timely.stop):
            return
        self._untimely[names.kv_enrolled_key(key.instance, key.key_id)] = key.epoch
        raise RejectedDocumentError(
            "enrolment is for another epoch than the current and the next",
            epoch=key.epoch,
            earliest=timely.start,
            latest=timely.stop - 1,
        )

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

"""The Directory and the deny list: whose signatures count.

Both are announced on the bus, whole and signed; OpenBao is asked at start, while the bus does not
tell, and seldom else.

The Directory is small: one Merkle root per key epoch and the ids of the keys in force. The keys
themselves are pulled one by one, when a message names one that is not held, and believed only with
an inclusion proof against a signed root. So the cost is linear in the number of services.

A key is pulled from OpenBao, or asked of the authority on the bus when OpenBao does not answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from securetransport.core.base import names
from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedDocumentError,
    SecretStoreUnavailableError,
    SecureTransportError,
    UnknownKeyError,
)
from securetransport.core.base.names import KeyId
from securetransport.core.base.profile import MAX_DEAD_LETTER_AGE, Profile
from securetransport.core.decisions.member.refresh import Observation, is_store_due
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import Directory, DirectoryEntry
from securetransport.core.formats.documents import EVERYBODY
from securetransport.core.ports import SecretStore
from securetransport.core.ports.bus import Connection
from securetransport.core.trust.directory import check_entry
from securetransport.core.trust.documents import DENY_LIST, DIRECTORY
from securetransport.core.trust.keyring import VerifyKeyring
from securetransport.documents.announced import AnnouncedDocuments, Announcement
from securetransport.documents.followed import FollowedDocument
from securetransport.documents.gate import DocumentGate, stored_document
from securetransport.runtime.demand import Demand
from securetransport.runtime.logs import get_logger

# A proof belongs to the tree of its moment, and an epoch's tree grows with each enrolment.
_ATTEMPTS: Final = 4
_RETRY_SECONDS: Final = 0.25
_PREFETCHED_KEYS: Final = 32

LONGEST_WAIT: Final = MAX_DEAD_LETTER_AGE
"""How long keys are kept beyond their validity; what the authority still names stays longer."""

_NOBODY: Final = DenyList()

ConnectionGetter = Callable[[], Connection]
"""The connection to use now; raises ``BusUnavailableError`` while there is none."""


class DirectoryClient:
    """Keeps the Directory, the deny list, and the verify keys pulled so far.

    Args:
        store: OpenBao.
        gate: Judges Directory and deny list.
        profile: How long keys are kept.
        connection: Where the authority is asked when OpenBao does not answer.
        on_change: Called when Directory or deny list changed.
        repair_every: OpenBao is asked at this distance while the bus tells.

    Attributes:
        verify_keys: Keys whose inclusion was proven.
        read_at: When OpenBao was last read, by the monotonic clock; ``None`` before.
    """

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in client.py
        self,
        store: SecretStore,
        gate: DocumentGate,
        profile: Profile,
        *,
        connection: ConnectionGetter,
        on_change: Callable[[], None],
        repair_every: timedelta,
    ) -> None:
        self._repair_every = repair_every
        self._store = store
        self._gate = gate
        self._profile = profile
        self._connection = connection
        self._on_change = on_change
        self._pulling: dict[KeyId, asyncio.Lock] = {}
        self._log = get_logger(kind=DocumentKind.DIRECTORY.value)
        self._directory = FollowedDocument(gate, DIRECTORY, EVERYBODY)
        self._deny = FollowedDocument(gate, DENY_LIST, EVERYBODY, is_urgent=True)
        self._followed: dict[str, FollowedDocument[Any]] = {
            names.KV_DENY_LIST: self._deny,
            names.KV_DIRECTORY: self._directory,
        }
        self._told = AnnouncedDocuments(
            (Announcement(names.SUBJECT_DIRECTORY_NOTICE, names.STREAM_CA_CLIENT),),
            lambda data: self._announced(self._directory, data),
        )
        self._denials_told = AnnouncedDocuments(
            (Announcement(names.SUBJECT_DENY_LIST_NOTICE, names.STREAM_CA_CLIENT),),
            lambda data: self._announced(self._deny, data),
        )
        self._demand = Demand()
        self.verify_keys = VerifyKeyring()
        self.read_at: float | None = None

    @property
    def directory(self) -> Directory | None:
        """The Directory in force, ``None`` before the first."""
        return self._directory.current.body if self._directory.current else None

    @property
    def deny(self) -> DenyList:
        """The deny list in force; empty before the first."""
        return self._deny.current.body if self._deny.current else _NOBODY

    async def listen(self, connection: Connection) -> None:
        """Hear of changes on ``connection``, and read what was announced before it was made.

        Raises:
            SecureTransportError: It broke, or may not; what is announced is found by timer then.
        """
        for told in (self._told, self._denials_told):
            await told.listen(connection)
        await self._has_bus_told()

    def demand(self) -> None:
        """Ask OpenBao in the next round: something newer exists."""
        self._demand.make()

    async def reconcile(self) -> None:
        """Read what changed, pull the keys that are few, forget those that are over.

        Raises:
            SecretStoreUnavailableError: No node answered; what is in force stays.
            RejectedDocumentError: A document is refused; the one in force stays.
        """
        since = None if self.read_at is None else self._gate.clock.monotonic() - self.read_at
        seen = Observation(await self._has_bus_told(), since, self._demand.is_open)
        if is_store_due(seen, self._repair_every):
            await self.refresh()
        await self._prefetch()
        retention = self._profile.key_validity + LONGEST_WAIT
        self.verify_keys.prune(self._gate.clock.now(), self._profile.key_schedule, retention)

    async def refresh(self) -> None:
        """Read Directory and deny list; one that is refused does not hold up the other.

        Raises:
            SecretStoreUnavailableError: No node answered; what is in force stays.
            RejectedDocumentError: A document is refused; the one in force stays.
        """
        refused: RejectedDocumentError | None = None
        is_changed, began = False, self._demand.begin()
        began_at = self._gate.clock.monotonic()
        for path, document in self._followed.items():
            try:
                is_changed = await self._read(path, document) or is_changed
            except RejectedDocumentError as error:
                refused = error
        if refused is None:
            self.read_at = began_at
            self._demand.serve(began)
        if is_changed:
            self._on_change()
        if refused is not None:
            raise refused

    async def _has_bus_told(self) -> bool:
        """Read both announcements; a Directory that is not there tells nothing of the newest."""
        try:
            connection = self._connection()
            await self._denials_told.read(connection)
            return await self._told.read(connection)
        except BusUnavailableError:
            return False  # the connection's loop sees to it
        except SecureTransportError as error:
            self._log.warning("directory_not_read", path="bus", reason=str(error))
            return False

    def _announced(self, document: FollowedDocument[Any], data: bytes) -> None:
        if document.offer(data, may_lag=True):
            self._log.info("directory_document_changed", path="announcement")
            self._on_change()

    async def _read(self, path: str, document: FollowedDocument[Any]) -> bool:
        entry = await self._store.kv_get(path)
        if entry is None or not document.offer(stored_document(entry, path)):
            return False
        version = document.current.version if document.current else None
        self._log.info("directory_document_changed", path=path, version=str(version))
        return True

    def known_ids(self) -> frozenset[KeyId]:
        """Return the ids that the Directory lists."""
        directory = self.directory
        return frozenset(directory.key_ids) if directory else frozenset()

    async def _prefetch(self) -> None:
        """Pull the listed keys if they are few; more are pulled on demand.

        Else every member would read every other's, at each key epoch.
        """
        listed = self.known_ids()
        if len(listed) > _PREFETCHED_KEYS:
            return
        for key_id in [each for each in listed if each not in self.verify_keys]:
            await self.pull(key_id)

    async def pull(self, key_id: KeyId) -> None:
        """Get one key into hand; several callers share one pull.

        Raises:
            UnknownKeyError: The Directory does not list it, or its proof does not verify.
            SecretStoreUnavailableError: Neither OpenBao nor the authority answered.
        """
        lock = self._pulling.setdefault(key_id, asyncio.Lock())
        try:
            async with lock:
                if key_id not in self.verify_keys:
                    await self._pull(key_id)
        finally:
            if not lock.locked():
                self._pulling.pop(key_id, None)

    async def _pull(self, key_id: KeyId) -> None:
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_RETRY_SECONDS)
                await self.refresh()
            entry = await self._entry(key_id)
            if entry is not None and entry.key.key_id == key_id and self._is_proven(entry):
                self.verify_keys.add(entry.key)
                return
        raise UnknownKeyError("verify key is not in the directory", key_id=key_id)

    def _is_proven(self, entry: DirectoryEntry) -> bool:
        directory = self.directory
        if directory is None:
            return False
        try:
            check_entry(directory, entry)
        except RejectedDocumentError:
            return False
        return True

    async def _entry(self, key_id: KeyId) -> DirectoryEntry | None:
        try:
            stored = await self._store.kv_get(names.kv_directory_entry(key_id))
            if stored is None:
                return None
            return DirectoryEntry.model_validate(stored.value["entry"])
        except SecretStoreUnavailableError:
            return await self._ask(key_id)
        except (KeyError, ValidationError) as error:
            raise RejectedDocumentError("directory entry is malformed", key_id=key_id) from error

    async def _ask(self, key_id: KeyId) -> DirectoryEntry | None:
        try:
            answer = await self._connection().request(names.SUBJECT_DIRECTORY, key_id.encode())
            return DirectoryEntry.model_validate(json.loads(answer.data)["entry"])
        except BusUnavailableError as error:
            raise SecretStoreUnavailableError(
                "neither openbao nor the authority answers"
            ) from error
        except (KeyError, TypeError, ValueError):
            return None  # the authority refused, or knows no such key

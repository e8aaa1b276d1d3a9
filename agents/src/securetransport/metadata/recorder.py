"""The rotation record in KV, and the lease of the one who may change it.

Fencing: OpenBao's PKI knows no compare-and-swap, so the holder's token is part of the lease. A
take-over writes the record first and revokes the predecessor's token by its accessor before it does
anything else; a predecessor that wakes up later can neither write the record nor use its token.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import ValidationError

from securetransport.core.base import names
from securetransport.core.base.errors import NotFoundError, SecureTransportError
from securetransport.core.base.names import InstanceId
from securetransport.core.decisions.ca.record import Holder, RotationRecord, lease_is_free
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.runtime.logs import get_logger


class Recorder:
    """Reads and writes the record; remembers the CAS number of what it read last."""

    def __init__(
        self,
        store: SecretStore,
        clock: Clock,
        instance: InstanceId,
        boot_id: str,
        lease: timedelta,
    ) -> None:
        self._store = store
        self._clock = clock
        self._instance = instance
        self._boot_id = boot_id
        self._lease = lease
        self._cas = 0
        self._log = get_logger(instance=instance)

    async def read(self) -> RotationRecord:
        """Return the record; an empty one when there is none yet.

        Raises:
            SecureTransportError: The stored record cannot be read; nothing is overwritten.
        """
        entry = await self._store.kv_get(names.KV_CA_RECORD)
        if entry is None:
            self._cas = 0
            return RotationRecord()
        self._cas = entry.cas
        try:
            return RotationRecord.model_validate_json(entry.value["record"])
        except (KeyError, ValidationError) as err:
            raise SecureTransportError(
                "the rotation record is damaged; restore it before rotating",
                path=names.KV_CA_RECORD,
            ) from err

    async def write(self, record: RotationRecord) -> None:
        """Store the record that follows from the one read last.

        It is stored as one text: OpenBao refuses a request with more than a thousand strings, which
        a long history has.

        Raises:
            ConflictError: Somebody else wrote in between.
        """
        value = {"record": record.model_dump_json()}
        self._cas = await self._store.kv_put(names.KV_CA_RECORD, value, cas=self._cas)

    async def hold(self, record: RotationRecord) -> RotationRecord | None:
        """Return the record with this process as its holder, ``None`` while another one is.

        Raises:
            ConflictError: Another instance took the lease at the same moment.
        """
        now = self._clock.now()
        holder = record.holder
        if holder and holder.boot_id == self._boot_id:
            if now - holder.renewed_at < self._lease / 3:
                return record
            return await self._renew(record, holder.accessor)
        if not lease_is_free(record, self._instance, now, self._lease):
            return None
        return await self._take_over(record, holder)

    async def release(self) -> None:
        """Give the lease up, so that a standby need not wait for its end."""
        record = await self.read()
        if record.holder and record.holder.boot_id == self._boot_id:
            await self.write(record.model_copy(update={"holder": None}))

    async def _renew(self, record: RotationRecord, accessor: str) -> RotationRecord:
        held = record.model_copy(update={"holder": self._holder(accessor)})
        await self.write(held)
        return held

    async def _take_over(self, record: RotationRecord, before: Holder | None) -> RotationRecord:
        token = await self._store.read("auth/token/lookup-self") or {}
        accessor = str(token.get("accessor", ""))
        held = await self._renew(record, accessor)
        self._log.info("lease_taken", reason=before.instance if before else "nobody held it")
        if before and before.accessor and before.accessor != accessor:
            await self._revoke(before.accessor)
        return held

    async def _revoke(self, accessor: str) -> None:
        try:
            await self._store.write("auth/token/revoke-accessor", {"accessor": accessor})
        except NotFoundError:
            return  # expired or revoked before
        except SecureTransportError as err:
            if "invalid accessor" not in str(err):
                raise

    def _holder(self, accessor: str) -> Holder:
        return Holder(
            instance=self._instance,
            boot_id=self._boot_id,
            accessor=accessor,
            renewed_at=self._clock.now(),
        )

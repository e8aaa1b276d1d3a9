"""The keeper's statement in OpenBao, and those of the servers before it in the order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pydantic import ValidationError

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import ConflictError, SecureTransportError
from securetransport.core.base.names import kv_keeper_attestation
from securetransport.core.decisions import server_files
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.ports import KvEntry, SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.runtime.logs import get_logger

_FIELD: Final = "attestation"


class Statements:
    """Reads and writes ``attest/keeper/<server>``.

    Attributes:
        own: The last statement of this keeper, of an earlier run too; ``None`` while unknown.
    """

    def __init__(self, store: SecretStore, server: str) -> None:
        self._store = store
        self._server = server
        self._path = kv_keeper_attestation(server)
        self._cas: int | None = None
        self._log = get_logger(server=server)
        self.own: KeeperAttestation | None = None

    async def write(self, statement: KeeperAttestation) -> None:
        """Write the own statement.

        Raises:
            ConflictError: Somebody else wrote there; two keepers for one server would be a mistake
                of the configuration. The next write reads first.
        """
        if self._cas is None:
            entry = await self._store.kv_get(self._path)
            self._cas = entry.cas if entry else 0
        value = {_FIELD: statement.model_dump(mode="json")}
        try:
            self._cas = await self._store.kv_put(self._path, value, cas=self._cas)
        except ConflictError:
            self._cas = None
            self._log.error("statement_conflict", path=self._path)
            raise
        self.own = statement

    async def of(self, server: str) -> KeeperAttestation | None:
        """Return what the keeper of ``server`` last stated."""
        return _parse(await self._store.kv_get(kv_keeper_attestation(server)))


class ServerOrder:
    """Rule 3 of ``server_files``: whether this server may move to a newly active epoch."""

    def __init__(
        self,
        statements: Statements,
        server: str,
        order: Sequence[str],
        limit: timedelta,
        clock: Clock,
    ) -> None:
        self._statements = statements
        self._server = server
        self._earlier = list(order[: order.index(server)]) if server in order else []
        self._order = order
        self._limit = limit
        self._clock = clock
        self._active: EpochNumber | None = None
        self._since = 0.0

    async def may_move(self, active: EpochNumber) -> bool:
        """Tell whether this server may get a leaf of ``active`` now."""
        now = self._clock.monotonic()
        if active != self._active:
            self._active, self._since = active, now
        waited = timedelta(seconds=now - self._since)
        if waited >= self._limit * len(self._earlier):
            return True
        stated: dict[str, KeeperAttestation] = {}
        for server in self._earlier:
            try:
                found = await self._statements.of(server)
            except SecureTransportError:
                return False  # unknown is not "done"; the limit above ends the wait
            if found is not None:
                stated[server] = found
        return server_files.may_move(
            self._server, self._order, active, stated, waited=waited, limit=self._limit
        )


def _parse(entry: KvEntry | None) -> KeeperAttestation | None:
    try:
        return KeeperAttestation.model_validate(entry.value.get(_FIELD)) if entry else None
    except ValidationError:
        return None

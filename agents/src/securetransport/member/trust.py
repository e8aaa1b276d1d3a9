"""The trust set of this process: where it hears of it, and which one is in force.

Heard from OpenBao (at start, and by timer) and, where the account has announcements, from the bus:
by a core subscription, and from the stream's last message after each connect and by timer; OpenBao
is asked seldom then. Each of them may be silent. All of them pass the same rules
(:mod:`securetransport.core.trust.documents`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from securetransport.core.base import names
from securetransport.core.decisions.member import refresh
from securetransport.core.formats.documents import EVERYBODY
from securetransport.core.ports import SecretStore
from securetransport.core.ports.bus import Connection
from securetransport.core.trust.bundle import TRUST_BUNDLE, AcceptedTrust
from securetransport.documents.announced import AnnouncedDocuments, Announcement
from securetransport.documents.followed import FollowedDocument
from securetransport.documents.gate import DocumentGate, stored_document
from securetransport.runtime.demand import Demand
from securetransport.runtime.logs import get_logger


class TrustClient:
    """Keeps the newest accepted TrustBundle.

    Args:
        store: OpenBao.
        gate: Judges what is heard.
        announcements: Where the bus tells of trust sets; empty in an account without any.
        repair_every: OpenBao is asked at this distance while the bus tells.
        on_change: Called when another one is in force.
    """

    def __init__(
        self,
        store: SecretStore,
        gate: DocumentGate,
        announcements: Sequence[Announcement],
        repair_every: timedelta,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = gate.clock
        self._repair_every = repair_every
        self._read_at: float | None = None
        self._demand = Demand()
        self._announced = AnnouncedDocuments(
            announcements, lambda data: self.offer(data, may_lag=True)
        )
        self._on_change = on_change
        self._document = FollowedDocument(gate, TRUST_BUNDLE, EVERYBODY)
        self._log = get_logger(kind=TRUST_BUNDLE.kind.value)

    @property
    def accepted(self) -> AcceptedTrust | None:
        """The one in force, ``None`` before the first."""
        return self._document.current

    def demand(self) -> None:
        """Ask OpenBao in the next round: something newer exists."""
        self._demand.make()

    def is_store_due(self, *, has_bus_told: bool) -> bool:
        """Tell whether OpenBao is asked in this round."""
        since = None if self._read_at is None else self._clock.monotonic() - self._read_at
        seen = refresh.Observation(has_bus_told, since, self._demand.is_open)
        return refresh.is_store_due(seen, self._repair_every)

    async def refresh_from_store(self) -> None:
        """Read the newest document from OpenBao.

        Raises:
            SecretStoreUnavailableError: No node answered.
            RejectedDocumentError: What lies there is refused.
        """
        began_at, began = self._clock.monotonic(), self._demand.begin()
        entry = await self._store.kv_get(names.KV_TRUST_BUNDLE)
        self._read_at = began_at
        if entry is not None:
            self.offer(stored_document(entry, names.KV_TRUST_BUNDLE))
        self._demand.serve(began)

    async def refresh_from_bus(self, connection: Connection) -> bool:
        """Read the newest announcement; returns whether there is one.

        Raises:
            BusUnavailableError: No answer.
            RejectedDocumentError: What lies there is refused.
        """
        return await self._announced.read(connection)

    async def listen(self, connection: Connection) -> None:
        """Subscribe to announcements on ``connection``."""
        await self._announced.listen(connection)

    def offer(self, data: bytes, *, may_lag: bool = False) -> None:
        """Put a document in force if it is acceptable and newer than the one in force.

        Raises:
            RejectedDocumentError: It is refused; nothing changes.
            SecureTransportError: The disk did not take its version; nothing changes.
        """
        is_new = self._document.offer(data, may_lag=may_lag)
        found = self._document.current
        if not is_new or found is None:
            return
        self._log.info(
            "trust_changed",
            version=str(found.version),
            digest=found.body.digest[:16],
            epoch=found.body.active,
            count=len(found.body.issuers),
        )
        self._on_change()

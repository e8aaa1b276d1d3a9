"""The trust set of this process: where it hears of it, and which one is in force.

Heard from OpenBao (at start, and by timer) and, where the account has announcements, from the bus:
by a core subscription, and from the stream's last message after each connect. Each of them may be
silent. All of them pass the same rules (:mod:`securetransport.core.trust.documents`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from securetransport.core.base import names
from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.formats.documents import EVERYBODY
from securetransport.core.ports import SecretStore
from securetransport.core.ports.bus import Connection, Message
from securetransport.core.trust.bundle import TRUST_BUNDLE, AcceptedTrust
from securetransport.documents.followed import FollowedDocument
from securetransport.documents.gate import DocumentGate, stored_document
from securetransport.member.account import Announcement
from securetransport.runtime.logs import get_logger


class TrustClient:
    """Keeps the newest accepted TrustBundle.

    Args:
        store: OpenBao.
        gate: Judges what is heard.
        announcements: Where the bus tells of trust sets; empty in an account without any.
        on_change: Called when another one is in force.
    """

    def __init__(
        self,
        store: SecretStore,
        gate: DocumentGate,
        announcements: Sequence[Announcement],
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._announcements = announcements
        self._on_change = on_change
        self._document = FollowedDocument(gate, TRUST_BUNDLE, EVERYBODY)
        self._log = get_logger(kind=TRUST_BUNDLE.kind.value)

    @property
    def accepted(self) -> AcceptedTrust | None:
        """The one in force, ``None`` before the first."""
        return self._document.current

    async def refresh_from_store(self) -> None:
        """Read the newest document from OpenBao.

        Raises:
            SecretStoreUnavailableError: No node answered.
            RejectedDocumentError: What lies there is refused.
        """
        entry = await self._store.kv_get(names.KV_TRUST_BUNDLE)
        if entry is not None:
            self.offer(stored_document(entry, names.KV_TRUST_BUNDLE))

    async def refresh_from_bus(self, connection: Connection) -> None:
        """Read the newest announcement of each stream that keeps one.

        Raises:
            BusUnavailableError: No answer.
            RejectedDocumentError: What lies there is refused.
        """
        for place in self._announcements:
            stored = await connection.last_message(place.stream, place.subject)
            if stored is not None:
                self.offer(stored.data, may_lag=True)

    async def listen(self, connection: Connection) -> None:
        """Subscribe to announcements on ``connection``."""
        for place in self._announcements:
            await connection.subscribe(place.subject, self._announced)

    async def _announced(self, message: Message) -> None:
        try:
            self.offer(message.data, may_lag=True)
        except RejectedDocumentError:
            pass  # counted and logged by the document
        except SecureTransportError as error:
            self._log.warning("trust_not_taken", path="announcement", error=str(error))

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

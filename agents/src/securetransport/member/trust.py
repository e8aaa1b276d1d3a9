"""The trust set of this process: where it hears of it, and which one is in force.

Heard from OpenBao (at start, and by timer) and, where the account has announcements, from the bus:
by a core subscription, and from the stream's last message after each connect. Each of them may be
silent. All of them pass the same rules (:mod:`securetransport.core.trust.bundle`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from securetransport.core.base import names
from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.formats.body import DocumentKind
from securetransport.core.ports import SecretStore
from securetransport.core.ports.bus import Connection, Message
from securetransport.core.trust import bundle as rules
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.member.account import Announcement
from securetransport.member.documents import DocumentGate, stored_document
from securetransport.runtime.logs import get_logger

_KIND = DocumentKind.TRUST_BUNDLE


class TrustClient:
    """Keeps the newest accepted TrustBundle.

    Args:
        store: OpenBao.
        gate: Judges what is heard.
        announcements: Where the bus tells of trust sets; empty in an account without any.
        on_change: Called when another one is in force.

    Attributes:
        accepted: The one in force, ``None`` before the first.
    """

    def __init__(
        self,
        store: SecretStore,
        gate: DocumentGate,
        announcements: Sequence[Announcement],
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._gate = gate
        self._announcements = announcements
        self._on_change = on_change
        self._log = get_logger(kind=_KIND.value)
        self._newest_data = b""
        self.accepted: AcceptedTrust | None = None

    async def refresh_from_store(self) -> None:
        """Read the newest document from OpenBao.

        Raises:
            SecretStoreUnavailableError: No node answered.
            RejectedDocumentError: What lies there is refused.
        """
        entry = await self._store.kv_get(names.KV_TRUST_BUNDLE)
        if entry is not None:
            await self.offer(stored_document(entry, names.KV_TRUST_BUNDLE))

    async def refresh_from_bus(self, connection: Connection) -> None:
        """Read the newest announcement of each stream that keeps one.

        Raises:
            BusUnavailableError: No answer.
            RejectedDocumentError: What lies there is refused.
        """
        for place in self._announcements:
            stored = await connection.last_message(place.stream, place.subject)
            if stored is not None:
                await self._offer_unless_late(stored.data)

    async def listen(self, connection: Connection) -> None:
        """Subscribe to announcements on ``connection``."""
        for place in self._announcements:
            await connection.subscribe(place.subject, self._announced)

    async def _announced(self, message: Message) -> None:
        try:
            await self._offer_unless_late(message.data)
        except RejectedDocumentError as error:
            self._log.warning("document_refused", reason=str(error), path="announcement")

    async def _offer_unless_late(self, data: bytes) -> None:
        try:
            await self.offer(data)
        except RejectedDocumentError as error:
            # The bus may only lag behind what OpenBao has told already.
            if error.fields.get("reason") != "rollback":
                raise

    async def offer(self, data: bytes) -> None:
        """Put a document in force if it is acceptable and newer than the one in force.

        Raises:
            RejectedDocumentError: It is refused; nothing changes.
        """
        if data == self._newest_data:
            return
        gate = self._gate
        found = gate.counted(
            _KIND,
            lambda: rules.accept_trust(
                data,
                gate.keys.lookup,
                at=gate.clock.now(),
                newest=gate.versions.newest(_KIND),
                skew=gate.skew,
            ),
        )
        held = self.accepted
        if held is None or found.version >= held.version:
            self._newest_data = data
        if held is not None and found.version <= held.version:
            return
        # Durable first: what was in force once must not be undone by a restart.
        await gate.versions.accept(_KIND, found.version)
        self.accepted = found
        self._log.info(
            "trust_changed",
            version=str(found.version),
            digest=found.bundle.digest[:16],
            epoch=found.bundle.active,
            count=len(found.bundle.issuers),
        )
        self._on_change()

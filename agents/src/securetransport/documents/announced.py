"""Documents that the authority announces on the bus.

Each is published whole and signed, so hearing it costs OpenBao nothing; the stream keeps the last
one for whoever was not connected. An announcement only repeats what lies in OpenBao: an older one
is no refusal, and one that never comes is found there by timer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.base.names import Subject
from securetransport.core.ports.bus import Connection, Message
from securetransport.runtime.logs import get_logger


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where signed documents of one kind are announced.

    Attributes:
        subject: They are published there.
        stream: It keeps the last one.
    """

    subject: Subject
    stream: str


Offer = Callable[[bytes], object]
"""Takes encoded bytes; raises ``RejectedDocumentError`` when they are refused."""


class AnnouncedDocuments:
    """Hears and reads the announcements of one kind of document.

    Args:
        places: Where they are; empty where nothing is announced.
        offer: Takes what was found.
    """

    def __init__(self, places: Sequence[Announcement], offer: Offer) -> None:
        self._places = places
        self._offer = offer
        self._log = get_logger(kind="announcement")

    async def listen(self, connection: Connection) -> None:
        """Subscribe on ``connection``.

        Raises:
            BusUnavailableError: It broke.
        """
        for place in self._places:
            await connection.subscribe(place.subject, self._heard)

    async def read(self, connection: Connection) -> bool:
        """Read the last one of each stream; returns whether every stream keeps one.

        Raises:
            BusUnavailableError: No answer.
            RejectedDocumentError: What lies there is refused.
        """
        found = 0
        for place in self._places:
            stored = await connection.last_message(place.stream, place.subject)
            if stored is not None:
                self._offer(stored.data)
                found += 1
        return found == len(self._places) > 0

    async def _heard(self, message: Message) -> None:
        try:
            self._offer(message.data)
        except RejectedDocumentError:
            pass  # counted and logged by the document
        except SecureTransportError as error:
            self._log.warning("document_not_taken", subject=message.subject, error=str(error))

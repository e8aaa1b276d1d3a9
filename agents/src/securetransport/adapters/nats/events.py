"""What a connection tells its owner between calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BusEventKind(StrEnum):
    """Kinds of events; used as a metric label.

    ``CLOSED`` comes only when the server ended the connection for good (for example after its user
    was removed), never after the owner's own ``close``: the owner must connect anew.
    """

    DISCONNECTED = "disconnected"
    RECONNECTED = "reconnected"
    LAME_DUCK = "lame_duck"
    PERMISSION_DENIED = "permission_denied"
    ERROR = "error"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class BusEvent:
    """One event.

    Attributes:
        kind: What happened.
        detail: The client's or the server's words; for logs.
    """

    kind: BusEventKind
    detail: str = ""


EventHandler = Callable[[BusEvent], None]
"""Called in the event loop; must not block."""

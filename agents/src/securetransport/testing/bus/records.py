"""What a stream keeps and says: a stored message, a receipt, an error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from securetransport.testing.bus.frames import Frame

_NANOSECONDS: Final = 1_000_000_000


class ApiError(Exception):
    """What JetStream answers instead of a result.

    Args:
        code: Like HTTP's.
        err_code: JetStream's own number.
        description: Its words.
    """

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.err_code = err_code
        self.description = description

    def body(self) -> dict[str, Any]:
        """Return the ``error`` object of an answer."""
        return {"code": self.code, "err_code": self.err_code, "description": self.description}


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a stream.

    Attributes:
        sequence: Its number, from 1.
        frame: The message.
        stored_at: Wall time of the server.
        monotonic: When, for its age.
    """

    sequence: int
    frame: Frame
    stored_at: datetime
    monotonic: float

    def facts(self, stream: str) -> dict[str, str]:
        """Return the headers with which it is read directly."""
        nanoseconds = int(self.stored_at.timestamp() * 1_000_000) * 1000
        whole, rest = divmod(nanoseconds, _NANOSECONDS)
        at = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return {
            **self.frame.headers,
            "Nats-Stream": stream,
            "Nats-Subject": self.frame.subject,
            "Nats-Sequence": str(self.sequence),
            "Nats-Time-Stamp": f"{at}.{rest:09d}Z",
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the publisher is told.

    Attributes:
        sequence: The message's number.
        is_duplicate: It was stored before.
    """

    sequence: int
    is_duplicate: bool = False

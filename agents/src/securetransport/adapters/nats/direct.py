"""Reading a stream without a consumer: ``$JS.API.DIRECT.GET``.

Needs ``allow_direct`` on the stream and the right to publish the request subject; any replica
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from securetransport.adapters.nats.numbers import unsigned
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import StoredMessage

_PREFIX: Final = "$JS.API.DIRECT.GET"
_NOT_FOUND: Final = "404"
_END_OF_BATCH: Final = "204"
_NO_RESPONDERS: Final = "503"
_SERVER_HEADERS: Final = (
    "Nats-Sequence",
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
)


def subject_of(stream: str, subject: str = "") -> str:
    """Return the request subject for the newest message on ``subject``, or for a list."""
    return f"{_PREFIX}.{stream}" + (f".{subject}" if subject else "")


def is_end(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer ends a list."""
    return _status(headers) in {_END_OF_BATCH, _NOT_FOUND}


def is_nobody(data: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether an answer says that nobody listens where the request went."""
    return not data and _status(headers) == _NO_RESPONDERS


def _status(headers: Mapping[str, str]) -> str | None:
    """Return the server's status; a stored message has none, whatever its sender wrote."""
    return None if _SERVER_HEADERS[0] in headers else headers.get("Status")


def parse(data: bytes, headers: Mapping[str, str], stream: str) -> StoredMessage | None:
    """Read an answer; ``None`` when the stream has no such message.

    Raises:
        BusUnavailableError: The answer is an error, or not one of DIRECT.GET.
    """
    status = _status(headers)
    if status == _NOT_FOUND:
        return None
    if _SERVER_HEADERS[0] not in headers:
        if is_nobody(data, headers):
            raise BusUnavailableError("nobody listens", stream=stream)
        reason = headers.get("Description", status)
        raise BusUnavailableError("direct read refused", stream=stream, reason=reason)
    own = {name: value for name, value in headers.items() if name not in _SERVER_HEADERS}
    try:
        return StoredMessage(
            subject=headers["Nats-Subject"],
            data=data,
            sequence=unsigned(headers["Nats-Sequence"]),
            stored_at=_instant(headers["Nats-Time-Stamp"]),
            headers=own,
        )
    except (KeyError, ValueError, OverflowError) as error:
        raise BusUnavailableError(
            "direct read: unreadable answer", stream=stream, reason=str(error)
        ) from error


def _instant(text: str) -> datetime:
    """Parse RFC 3339 in UTC with up to nine decimals; Python keeps microseconds."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or (rest and not (rest.isascii() and rest.isdigit())):
        raise ValueError("Nats-Time-Stamp is no instant in UTC")
    at = datetime.fromisoformat(f"{whole}.{(rest + '000000')[:6]}+00:00")
    return at.astimezone(UTC)

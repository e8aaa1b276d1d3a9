"""Reading a stream without a consumer: ``$JS.API.DIRECT.GET``.

Needs ``allow_direct`` on the stream and the right to publish the request subject; any replica
answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import StoredMessage

if TYPE_CHECKING:
    from securetransport.adapters.nats.connection import Connection
    from securetransport.core.ports.bus import Message

_PREFIX: Final = "$JS.API.DIRECT.GET"
_NOT_FOUND: Final = "404"
_END_OF_BATCH: Final = "204"
_NO_RESPONDERS: Final = "503"


def subject_of(stream: str, subject: str) -> str:
    """Return the request subject for the newest message on ``subject``."""
    return f"{_PREFIX}.{stream}.{subject}"


def parse(data: bytes, headers: Mapping[str, str], stream: str) -> StoredMessage | None:
    """Read an answer; ``None`` when the stream has no such message.

    Raises:
        BusUnavailableError: The answer is an error, or not one of DIRECT.GET.
    """
    status = headers.get("Status")
    if status == _NOT_FOUND:
        return None
    if status is not None or "Nats-Sequence" not in headers:
        reason = headers.get("Description", status)
        raise BusUnavailableError("direct read refused", stream=stream, reason=reason)
    own = {name: value for name, value in headers.items() if name not in _SERVER_HEADERS}
    return StoredMessage(
        subject=headers["Nats-Subject"],
        data=data,
        sequence=int(headers["Nats-Sequence"]),
        stored_at=_instant(headers["Nats-Time-Stamp"]),
        headers=own,
    )


_SERVER_HEADERS: Final = frozenset(
    {"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending"}
    | {"Nats-Last-Sequence", "Nats-UpTo-Sequence"}
)


def _instant(text: str) -> datetime:
    """Parse RFC 3339 with up to nine decimals; Python keeps microseconds."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(rest + '000000')[:6]}+00:00")


async def list_last(
    connection: Connection, stream: str, subject_filter: str, timeout_seconds: float
) -> list[StoredMessage]:
    """Return the newest message of every matching subject, in stream order.

    Raises:
        BusUnavailableError: The answer was not complete in time.
    """
    found: list[StoredMessage] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(message: Message) -> None:
        status = message.headers.get("Status")
        if done.done():
            return
        if status in {_END_OF_BATCH, _NOT_FOUND}:
            done.set_result(None)
        elif status == _NO_RESPONDERS:
            done.set_exception(BusUnavailableError("nobody listens", stream=stream))
        else:
            try:
                stored = parse(message.data, message.headers, stream)
            except BusUnavailableError as error:
                done.set_exception(error)
                return
            if stored is not None:
                found.append(stored)

    async with connection.expect(f"{_PREFIX}.{stream}") as (reply, refusal):
        inbox = reply.replace(".r.", ".l.", 1)
        subscription = await connection.subscribe(inbox, receive)
        try:
            body = json.dumps({"multi_last": [subject_filter], "batch": 1000}).encode()
            await connection.publish(f"{_PREFIX}.{stream}", body, reply=inbox)
            async with asyncio.timeout(timeout_seconds):
                ends: set[asyncio.Future[Any]] = {done, refusal}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise BusUnavailableError("list was not complete in time", stream=stream) from error
        finally:
            await subscription.unsubscribe()
        if refusal.done():
            refusal.result()
        done.result()
    return found

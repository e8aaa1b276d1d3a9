"""The stream's receipt of a publish, read strictly: whatever a server says becomes our error."""

from __future__ import annotations

import json

from securetransport.adapters.nats.errors import translate_api
from securetransport.adapters.nats.numbers import is_unsigned
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import PublishAck


def parse_receipt(data: bytes, subject: str) -> PublishAck:
    """Read the answer to a publish into a stream.

    Raises:
        BusUnavailableError: The stream did not store it now, or the answer is no receipt: the
            message may be stored, so it is repeated under the same id.
        RejectedMessageError: The stream refuses this message for what it is.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BusUnavailableError("publish: unreadable receipt", subject=subject) from error
    if not isinstance(body, dict):
        raise BusUnavailableError("publish: receipt is no object", subject=subject)
    if "error" in body:
        raise translate_api(body["error"], f"publish {subject}")
    stream, sequence = body.get("stream"), body.get("seq")
    if not isinstance(stream, str) or not stream:
        raise BusUnavailableError("publish: receipt names no stream", subject=subject)
    if not is_unsigned(sequence):
        raise BusUnavailableError("publish: receipt has no sequence", subject=subject)
    return PublishAck(stream, sequence, body.get("duplicate") is True)

"""How large a message becomes, and how large it may be.

A server counts body and headers of a publish against its ``max_payload``, and closes the connection
of who sends more. What is published must also fit when it is parked with the headers of a dead
letter, so that much is left free.

Source: docs/wire-format.md, "Size".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securetransport.core.base import codec
from securetransport.core.crypto import aead
from securetransport.core.crypto.signing import SIGNATURE_BYTES
from securetransport.core.formats.dead_letter import PARKING_ROOM_BYTES
from securetransport.core.formats.envelope.header import (
    SALT_BYTES,
    MessageHeader,
    encode_header,
)
from securetransport.core.formats.envelope.sealing import COMMITMENT_BYTES
from securetransport.core.formats.envelope.suites import SUITES

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Most bytes of a sealed message that any receiver reads."""
_LONGEST_LENGTH: Final = 4
_HASH_BYTES: Final = 32


def largest_sealed(max_payload_bytes: int) -> int:
    """Return the most bytes of a sealed message that a server delivers, parks and gives out again.

    Args:
        max_payload_bytes: The server's limit of body and headers.
    """
    return min(MAX_MESSAGE_BYTES, max_payload_bytes - PARKING_ROOM_BYTES)


def sealed_at_most(payload_bytes: int, header: MessageHeader, largest_batch: int) -> int:
    """Return how many bytes a message has at most when it is sealed, alone or in a batch.

    At most 40 bytes and the path of the batch above what it has in the end.

    Args:
        payload_bytes: Of its payload.
        header: Its header; without a salt.
        largest_batch: Messages of the largest batch that it may become part of.
    """
    depth = max(largest_batch - 1, 0).bit_length()
    longest = 2**62
    header = replace(header, salt=bytes(SALT_BYTES), sequence=longest, generation=longest)
    empty = codec.encode(
        "message",
        {
            "header": encode_header(header),
            "commitment": bytes(COMMITMENT_BYTES),
            "ciphertext": b"",
            "signature": bytes(SIGNATURE_BYTES[SUITES[header.suite].signature]),
            "batch": {
                "index": largest_batch,
                "size": largest_batch,
                "path": bytes(depth * _HASH_BYTES),
            },
        },
    )
    return len(empty) + payload_bytes + aead.TAG_BYTES + _LONGEST_LENGTH

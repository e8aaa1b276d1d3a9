"""Pre-authentication encoding: what is signed, as bytes that can be read in one way only.

Layout (docs/wire-format.md, "PAE"), all integers unsigned 64-bit little-endian::

    count of pieces ‖ (length ‖ bytes) for the type ‖ (length ‖ bytes) for each part

The type is the first piece, so a signature made for one purpose never verifies for another.
"""

from __future__ import annotations

import struct

_LENGTH = struct.Struct("<Q")


def pae(type: str, *parts: bytes) -> bytes:  # noqa: A002  # the word of the format's description
    """Return the unambiguous encoding of ``type`` and ``parts``.

    Args:
        type: What the bytes are for, for example ``securetransport/document/v1``.
        parts: The pieces, in the order the format gives; an empty piece still counts.
    """
    name = type.encode()
    pieces = [_LENGTH.pack(len(parts) + 1), _LENGTH.pack(len(name)), name]
    for part in parts:
        pieces.append(_LENGTH.pack(len(part)))
        pieces.append(part)
    return b"".join(pieces)

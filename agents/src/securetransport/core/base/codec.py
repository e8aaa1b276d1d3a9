"""Avro records with a four-byte frame in front that says which schema they are.

Layout (docs/wire-format.md, "Frame")::

    0x53 0x54 ("ST") ‖ schema id (1 byte) ‖ schema version (1 byte) ‖ Avro binary

Rules:

1. Unknown magic, schema id or version is refused; nothing is guessed.
2. One value has one encoding: what does not encode to the very same bytes again (trailing bytes,
   stretched integers, short strings) is refused.
3. Schemas hold no arrays and no maps, so a short input never makes a large value.

Schemas are files in ``core/base/schemas``; each is read and parsed once per process.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any, Final, cast

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from securetransport.core.base.errors import MalformedMessageError

MAGIC: Final = b"ST"
FRAME_BYTES: Final = 4

# What fastavro raises on bytes that are not a record of the schema; found by fuzzing.
_BAD_INPUT: Final = (
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class _Schema:
    frame: bytes
    parsed: Any


# Name, which is also the file's name: (schema id, version). Ids are never used twice.
_SCHEMAS: Final[dict[str, tuple[int, int]]] = {
    "document": (1, 1),
    "message": (2, 1),
    "header": (3, 1),
}


@cache
def _schema(name: str) -> _Schema:
    schema_id, version = _SCHEMAS[name]
    text = (
        resources.files("securetransport.core.base").joinpath("schemas", f"{name}.avsc").read_text()
    )
    return _Schema(MAGIC + bytes((schema_id, version)), parse_schema(json.loads(text)))


def is_newer(name: str, data: bytes) -> bool:
    """Tell whether ``data`` is framed as a later version of a schema, which this code cannot read.

    Nothing else of it is looked at.
    """
    schema_id, version = _SCHEMAS[name]
    frame = data[:FRAME_BYTES]
    is_ours = len(frame) == FRAME_BYTES and frame[:2] == MAGIC and frame[2] == schema_id
    return is_ours and frame[3] > version


def encode(name: str, record: dict[str, Any]) -> bytes:
    """Return the framed encoding of ``record``.

    Args:
        name: Schema name: ``document``, ``message`` or ``header``.
        record: Every field of the schema.

    Raises:
        ValueError: The record does not fit its schema; a mistake of the caller.
    """
    schema = _schema(name)
    stream = BytesIO()
    stream.write(schema.frame)
    try:
        schemaless_writer(stream, schema.parsed, record, strict=True)
    except (TypeError, OverflowError, AttributeError) as err:
        raise ValueError(f"record does not fit schema {name}") from err
    return stream.getvalue()


def decode(name: str, data: bytes) -> dict[str, Any]:
    """Return the record that ``data`` holds.

    Raises:
        MalformedMessageError: Another schema or version, not a record of it, or not the one
            encoding of its value.
    """
    schema = _schema(name)
    if data[:FRAME_BYTES] != schema.frame:
        found = data[:FRAME_BYTES].hex() or "nothing"
        raise MalformedMessageError("not a record of this schema", schema=name, frame=found)
    try:
        # The schema is a record, which fastavro reads as a dict.
        record = cast(
            "dict[str, Any]", schemaless_reader(BytesIO(data[FRAME_BYTES:]), schema.parsed, None)
        )
        is_canonical = encode(name, record) == data
    except _BAD_INPUT as err:
        raise MalformedMessageError("bytes are not a record", schema=name) from err
    if not is_canonical:
        raise MalformedMessageError("bytes are not the encoding of their value", schema=name)
    return record

"""Dead letters as an administrator handles them: read, give out again, drop.

Rules:

1. Nothing is decrypted here, and no payload is shown: an administrator has no topic key.
2. Given out again are the stored bytes with the stored statement, so the receivers judge them by
   everything but their age. What was revoked is not given out at all.
3. What is given out or dropped is written down first; without that nothing is done.
4. A letter whose headers cannot be read is listed as that, and can be dropped: whoever may park can
   store one, and it must not hide the others.

Source: docs/wire-format.md, "Dead letters"; docs/runbooks/dead-letters.md.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from securetransport.cli.session import stored_after
from securetransport.core.base import codec, names
from securetransport.core.base.errors import (
    MalformedMessageError,
    NotFoundError,
    NotPermittedError,
    RejectedDocumentError,
    SecureTransportError,
)
from securetransport.core.formats import documents
from securetransport.core.formats.dead_letter import LetterHeaders, read_headers
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.envelope.header import MessageHeader, decode_header
from securetransport.core.ports import Connection

_LARGE: Final = "large-"
_NAME: Final = re.compile(rf"({_LARGE})?[1-9][0-9]{{0,17}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is stored.

    Attributes:
        stream: Which stream of dead letters.
        sequence: Its number there.
        parked_at: When it was stored there.
        notes: Its headers; not verified. ``None`` when they cannot be read.
        data: The bytes of the message.
    """

    stream: str
    sequence: int
    parked_at: datetime
    notes: LetterHeaders | None
    data: bytes

    @property
    def name(self) -> str:
        """How a person names it: ``12``, or ``large-12``."""
        prefix = _LARGE if self.stream == names.STREAM_LARGE_LETTERS else ""
        return f"{prefix}{self.sequence}"

    def readable(self) -> LetterHeaders:
        """Return its headers.

        Raises:
            MalformedMessageError: They cannot be read.
        """
        if self.notes is None:
            raise MalformedMessageError(
                "its headers cannot be read, so it can only be dropped", letter=self.name
            )
        return self.notes

    def header(self) -> MessageHeader:
        """Return the message's own header; its signature is not verified.

        Raises:
            MalformedMessageError: It is no message of a version that this command knows.
        """
        try:
            return decode_header(codec.decode("message", self.data)["header"])
        except (MalformedMessageError, ValueError) as error:
            raise MalformedMessageError(
                "not a message of a version that this command knows", letter=self.name
            ) from error


def parse_name(text: str) -> tuple[str, int]:
    """Return stream and number of the letter that a person names.

    Raises:
        SecureTransportError: It is no name of a letter.
    """
    if not _NAME.fullmatch(text):
        raise SecureTransportError("ID must be a number, or large-NUMBER, as list says", id=text)
    number = text.removeprefix(_LARGE)
    is_large = text.startswith(_LARGE)
    return (names.STREAM_LARGE_LETTERS if is_large else names.STREAM_DEAD_LETTERS, int(number))


async def every_letter(bus: Connection) -> AsyncIterator[Letter]:
    """Yield every dead letter, oldest first, small ones before large ones."""
    for stream in (names.STREAM_DEAD_LETTERS, names.STREAM_LARGE_LETTERS):
        sequence = 1
        while (letter := await _next(bus, stream, sequence)) is not None:
            yield letter
            sequence = letter.sequence + 1


async def one_letter(bus: Connection, text: str) -> Letter:
    """Return the letter that a person names.

    Raises:
        NotFoundError: There is none of that name.
    """
    stream, sequence = parse_name(text)
    letter = await _next(bus, stream, sequence)
    if letter is None or letter.sequence != sequence:
        raise NotFoundError("no such dead letter; list prints those that are there", id=text)
    return letter


async def _next(bus: Connection, stream: str, sequence: int) -> Letter | None:
    found = await stored_after(bus, stream, sequence)
    if found is None:
        return None
    notes: LetterHeaders | None = None
    with suppress(MalformedMessageError):
        notes = read_headers(found.headers)
    return Letter(stream, found.sequence, found.stored_at, notes, found.data)


def check_replay(letter: Letter, deny: DenyList) -> dict[str, str]:
    """Return which key material a replay uses, by name.

    Raises:
        SecureTransportError: It cannot or must not be given out again; the text says why.
    """
    notes, header = letter.readable(), letter.header()
    if header.signer in deny.services or header.key_id in deny.key_ids:
        raise NotPermittedError(
            "its signer was revoked, so it is not given out again",
            letter=letter.name,
            signer=header.signer,
            key_id=header.key_id,
        )
    if header.topic != notes.subject:
        raise NotPermittedError(
            "it is a copy under another subject than it was signed for", letter=letter.name
        )
    return {
        "signing key": f"{header.key_id} of {header.instance}",
        "topic key": f"{header.topic} epoch {header.key_epoch} generation {header.generation}",
        "statement": _stated_by(letter.name, notes.statement),
        "judged at": notes.stored_at.isoformat(),
    }


def _stated_by(name: str, statement: str) -> str:
    try:
        document = documents.decode(base64.b64decode(statement, validate=True))
    except (ValueError, RejectedDocumentError) as error:
        raise SecureTransportError(
            "it has no statement, so its receivers would refuse it", letter=name
        ) from error
    return f"{document.key_id} of {document.signer}"


async def give_out(bus: Connection, letter: Letter) -> bool:
    """Publish a letter's bytes on their topic again; tells whether that is new to the stream.

    Raises:
        MalformedMessageError: Its headers cannot be read.
        BusUnavailableError: The stream did not take it.
        PermissionDeniedError: The servers do not allow it.
    """
    notes = letter.readable()
    ack = await bus.publish_acked(
        notes.subject,
        letter.data,
        message_id=f"replay-{letter.stream}-{letter.sequence}",
        headers=notes.to_headers(),
    )
    return not ack.is_duplicate


async def drop(bus: Connection, letter: Letter) -> None:
    """Remove a letter for good.

    Raises:
        SecureTransportError: The servers refuse.
    """
    subject = f"$JS.API.STREAM.MSG.DELETE.{letter.stream}"
    answer = await bus.request(subject, json.dumps({"seq": letter.sequence}).encode())
    try:
        body: Any = json.loads(answer.data)
    except ValueError as error:
        raise SecureTransportError("the servers' answer is not JSON", letter=letter.name) from error
    if not isinstance(body, dict) or body.get("success") is not True:
        reason = body.get("error", {}) if isinstance(body, dict) else {}
        text = reason.get("description", "no description") if isinstance(reason, dict) else reason
        raise SecureTransportError("not dropped", letter=letter.name, reason=text)

"""Replays: a dead letter that is given out again, judged as the original was.

An administrator publishes the stored bytes again, with the headers of the dead letter. The
statement among them was signed by an instance of this very service when it parked the message; what
it says of id and instant stands in for what the broker says of the copy. Every check of a message
is made again, at that instant; only its age is no reason to refuse it.

1. A statement is false when it is none of this service, of this subject and of these bytes, or when
   its signature does not verify. How stream and durable were called then does not matter: the ACL
   may have renamed them since.
2. While the key that it names is not held, nothing is known of it. The message waits, and is parked
   with the statement that it came with.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import datetime

from securetransport.core.base.errors import RejectedDocumentError, UnknownKeyError
from securetransport.core.base.names import InstanceId, KeyId, ServiceId, service_of
from securetransport.core.formats import documents
from securetransport.core.formats.dead_letter import (
    LONGEST_STATEMENT,
    STATEMENT,
    DeadLetter,
)
from securetransport.core.formats.documents import SignedDocument
from securetransport.core.ports.bus import Message
from securetransport.core.trust.documents import DEAD_LETTER, Question, accept
from securetransport.core.trust.opening import Received
from securetransport.messages.keys import ReceiverKeys


async def received_from(
    message: Message, service: ServiceId, keys: ReceiverKeys, now: datetime
) -> Received:
    """Return a message as it is judged; one with a statement that does not count says why.

    Args:
        message: As it was delivered.
        service: Who consumes it.
        keys: Where the verify key of the statement is.
        now: Wall clock.
    """
    text = message.headers.get(STATEMENT)
    received = Received(message.subject, message.message_id, message.facts.stored_at, message.data)
    if text is None:
        return received
    try:
        data, document = _read(text, message, service)
        key_id = KeyId(document.key_id)
        if key_id not in keys.acceptance.verify_keys:
            is_current = await keys.pull(key_id)
            if key_id not in keys.acceptance.verify_keys:
                return replace(received, unverified_statement=text, is_statement_current=is_current)
        body = _verified(data, service, keys, now)
    except (ValueError, RejectedDocumentError) as error:
        return replace(received, statement_problem=f"statement does not hold: {error}")
    return replace(received, message_id=body.message_id, broker_time=body.stored_at, is_replay=True)


def _read(text: str, message: Message, service: ServiceId) -> tuple[bytes, SignedDocument]:
    """Return a statement that is of this message if its signature verifies (rule 1).

    Raises:
        ValueError: It is none.
        RejectedDocumentError: It is none, or of something else.
    """
    if len(text) > LONGEST_STATEMENT:
        raise RejectedDocumentError("longer than any", length=len(text))
    data = base64.b64decode(text, validate=True)
    document = documents.decode(data)
    if service_of(InstanceId(document.signer)) != service:
        raise RejectedDocumentError("of another service", signer=document.signer)
    body = DeadLetter.from_bytes(document.body)
    if body.subject != message.subject:
        raise RejectedDocumentError("of another subject", subject=body.subject)
    if body.digest != hashlib.sha256(message.data).hexdigest():
        raise RejectedDocumentError("of another message")
    return data, document


def _verified(data: bytes, service: ServiceId, keys: ReceiverKeys, now: datetime) -> DeadLetter:
    keyring = keys.acceptance.verify_keys
    signer = documents.decode(data).signer

    def lookup(key_id: str) -> tuple[str, bytes]:
        key = keyring.get(KeyId(key_id))
        if (key.service, key.instance) != (service, signer):
            raise UnknownKeyError("key is of another instance", key_id=key_id)
        return key.algorithm, key.public_key

    question = Question(service, lookup, now, skew=keys.acceptance.skew)
    return accept(data, DEAD_LETTER, question).body

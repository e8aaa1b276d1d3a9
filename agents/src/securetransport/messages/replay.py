"""Replays: a dead letter that is given out again, judged as the original was.

An administrator publishes the stored bytes again, with the headers of the dead letter. The
statement among them was signed by an instance of this very service when it parked the message; what
it says of id and instant stands in for what the broker says of the copy. Every check of a message
is made again, at that instant; only its age is no reason to refuse it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import datetime

from securetransport.core.base.errors import RejectedDocumentError, UnknownKeyError
from securetransport.core.base.names import KeyId, ServiceId
from securetransport.core.formats import documents
from securetransport.core.formats.dead_letter import STATEMENT, DeadLetter
from securetransport.core.ports.bus import Message
from securetransport.core.trust.documents import DEAD_LETTER, Question, accept
from securetransport.core.trust.opening import Received
from securetransport.messages.keys import ReceiverKeys


async def received_from(
    message: Message, service: ServiceId, keys: ReceiverKeys, now: datetime
) -> Received:
    """Return a message as it is judged; one whose statement does not hold says why.

    Args:
        message: As it was delivered.
        service: Who consumes it.
        keys: Where the verify key of the statement is.
        now: Wall clock.
    """
    facts, text = message.facts, message.headers.get(STATEMENT)
    received = Received(message.subject, message.message_id, facts.stored_at, message.data)
    if text is None:
        return received
    try:
        body = await _verified(text, service, keys, now)
    except (ValueError, RejectedDocumentError) as error:
        return replace(received, statement_problem=f"statement does not hold: {error}")
    if (body.stream, body.durable) != (facts.stream, facts.consumer):
        return replace(received, statement_problem="statement is of another durable")
    if body.digest != hashlib.sha256(message.data).hexdigest():
        return replace(received, statement_problem="statement is of another message")
    return replace(received, message_id=body.message_id, broker_time=body.stored_at, is_replay=True)


async def _verified(text: str, service: ServiceId, keys: ReceiverKeys, now: datetime) -> DeadLetter:
    data = base64.b64decode(text, validate=True)
    document = documents.decode(data)
    keyring = keys.acceptance.verify_keys
    if KeyId(document.key_id) not in keyring:
        await keys.pull(KeyId(document.key_id))

    def lookup(key_id: str) -> tuple[str, bytes]:
        key = keyring.get(KeyId(key_id))
        if (key.service, key.instance) != (service, document.signer):
            raise UnknownKeyError("key is of another instance", key_id=key_id)
        return key.algorithm, key.public_key

    question = Question(service, lookup, now, skew=keys.acceptance.skew)
    return accept(data, DEAD_LETTER, question).body

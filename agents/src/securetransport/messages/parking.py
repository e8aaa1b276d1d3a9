"""Parking: a message that cannot be settled goes to the dead letters, whole and with its reason.

The copy lies on ``dlq.<stream>.<durable>.<account>``, where the account is the service that is
answerable for it; a large one has ``.large`` behind. The streams take a bounded number of each
subject, so nobody fills what others need. The instance that parks states, signed, what it saw; a
replay is judged by that.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.errors import (
    BusUnavailableError,
    PermissionDeniedError,
    RejectedMessageError,
    SecureTransportError,
    UnknownKeyError,
)
from securetransport.core.base.names import InstanceId, Topic, service_of
from securetransport.core.base.profile import MAX_DEAD_LETTER_AGE
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.decisions.member.settling import NotTaken, Park
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.dead_letter import DeadLetter, LetterHeaders, is_large
from securetransport.core.ports.bus import Connection, DeliveryFacts, Message
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.opening import Received
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.logs import get_logger

_FULL: Final = 10077
_REMEMBERED_SECONDS: Final = 600.0
"""A refusal older than the longest wait for another attempt says nothing any more."""


class Parking:
    """Parks the messages of one process.

    Args:
        instance: Who parks.
        signing_key: Its key; raises ``UnknownKeyError`` while there is none that others know.
        clock: Wall time of the statements.
        telemetry: Counts what was parked, and what was not taken.
    """

    def __init__(
        self,
        instance: InstanceId,
        signing_key: Callable[[], SigningKey],
        clock: Clock,
        telemetry: MessageTelemetry,
    ) -> None:
        self._instance = instance
        self._signing_key = signing_key
        self._clock = clock
        self._telemetry = telemetry
        self._refused: dict[Topic, tuple[str, float]] = {}
        self._log = get_logger(kind="parking")

    async def park(  # noqa: PLR0913, PLR0917  # what is parked, why, and for whom it is counted
        self,
        message: Message,
        received: Received,
        connection: Connection,
        step: Park,
        reason: str,
        topic: Topic,
    ) -> NotTaken | None:
        """Copy a message to the dead letters; tells why they did not take it, if so.

        Args:
            message: As it was delivered.
            received: As it was judged: a replay keeps the instant of the original.
            connection: Where it came from.
            step: Why, and to whom it is charged.
            reason: Family of the code.
            topic: Label of the metrics.
        """
        facts = message.facts
        try:
            letter = self._letter(received, facts, step, reason)
            await connection.publish_acked(
                names.subject_dead_letter(
                    facts.stream,
                    facts.consumer,
                    step.account,
                    is_large=is_large(len(message.data)),
                ),
                message.data,
                message_id=letter.own_id,
                headers=letter.to_headers(),
            )
        except SecureTransportError as error:
            return self._not_taken(topic, error)
        self._refused.pop(topic, None)
        self._telemetry.parked.labels(topic, step.code).inc()
        self._log.warning(
            "message_parked", reason=step.code, stream=facts.stream, service=step.account
        )
        return None

    def not_ready_reasons(self) -> list[str]:
        """Return which topics have messages that the dead letters did not take of late."""
        now = self._clock.monotonic()
        return [
            f"the dead letters do not take messages of topic {topic}: {why}"
            for topic, (why, at) in sorted(self._refused.items())
            if now - at < _REMEMBERED_SECONDS
        ]

    def _letter(
        self, received: Received, facts: DeliveryFacts, step: Park, reason: str
    ) -> LetterHeaders:
        statement = DeadLetter(
            digest=hashlib.sha256(received.data).hexdigest(),
            stream=facts.stream,
            durable=facts.consumer,
            subject=received.subject,
            message_id=received.message_id or "",
            sequence=facts.stream_sequence,
            stored_at=received.broker_time,
            code=step.code,
        )
        return LetterHeaders(
            reason=reason,
            code=step.code,
            signer=step.account,
            subject=received.subject,
            message_id=received.message_id or "",
            stream=facts.stream,
            durable=facts.consumer,
            sequence=facts.stream_sequence,
            stored_at=received.broker_time,
            deliveries=facts.deliveries,
            statement=self._signed(statement),
        )

    def _signed(self, statement: DeadLetter) -> str:
        now = self._clock.now()
        document = documents.sign_with_key(
            kind=DocumentKind.DEAD_LETTER,
            audience=service_of(self._instance),
            version=Version(counter=int(now.timestamp() * 1_000_000)),
            created_at=now,
            not_after=now + MAX_DEAD_LETTER_AGE,
            body=statement.to_bytes(),
            signer=self._instance,
            key=self._signing_key(),
        )
        return base64.b64encode(documents.encode(document)).decode("ascii")

    def _not_taken(self, topic: Topic, error: SecureTransportError) -> NotTaken:
        match error:
            case BusUnavailableError() if error.fields.get("error_code") == _FULL:
                why = NotTaken.FULL
            case UnknownKeyError():
                why = NotTaken.NO_SIGNING_KEY
            case PermissionDeniedError() | RejectedMessageError():
                why = NotTaken.REFUSED
            case _:
                why = NotTaken.UNAVAILABLE
        self._refused[topic] = (why.value, self._clock.monotonic())
        self._telemetry.not_taken.labels(topic, why.value).inc()
        self._log.error("dead_letter_not_taken", reason=why.value, error=str(error))
        return why

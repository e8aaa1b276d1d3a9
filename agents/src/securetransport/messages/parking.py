"""Parking: a message that cannot be settled goes to the dead letters, whole and with its reason.

The copy lies on ``dlq.<stream>.<durable>.<account>``, where the account is the service that is
answerable for it; a large one has ``.large`` behind. The streams take a bounded number of each
subject, so nobody fills what others need. The instance that parks states, signed, what it saw; a
replay is judged by that.

What they do not take waits or is dropped, by rule 6 of ``core.decisions.member.settling``. Each
instance counts what it lets wait; a message that did not come again when it was due waits no more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
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
from securetransport.core.decisions.member import settling
from securetransport.core.decisions.member.settling import Drop, Holding, Later, NotTaken, Park
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.dead_letter import DeadLetter, LetterHeaders, is_large
from securetransport.core.ports.bus import Connection, DeliveryFacts, Message
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.opening import Received
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.health import Remark
from securetransport.runtime.logs import get_logger

_FULL: Final = 10077
_OVERDUE_SECONDS: Final = 30.0
"""So long after it was due a message is taken for settled by another instance."""
_REMEMBERED_SECONDS: Final = 60.0
"""How long it is said that a message was dropped."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message that waits for room.

    Attributes:
        account: Who is answerable.
        until: When it is taken for settled, by the monotonic clock.
    """

    account: str
    until: float


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
        self._refused: dict[tuple[Topic, str], tuple[NotTaken, float]] = {}
        self._waiting: dict[tuple[str, str], dict[int, _Waiting]] = {}
        self._log = get_logger(kind="parking")

    async def park(  # noqa: PLR0913, PLR0917  # what is parked, why, and for whom it is counted
        self,
        message: Message,
        received: Received,
        connection: Connection,
        step: Park,
        reason: str,
        topic: Topic,
    ) -> Later | Drop | None:
        """Copy a message to the dead letters; returns what becomes of it if they did not take it.

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
            why = self._reason(error)
            self._telemetry.not_taken.labels(topic, why.value).inc()
            self._log.error(
                "dead_letter_not_taken", reason=why.value, service=step.account, error=str(error)
            )
            return self._not_taken(facts, step, why, topic)
        self._waiting_at(facts).pop(facts.stream_sequence, None)
        self._take_back(topic, step.account)
        self._telemetry.parked.labels(topic, step.code).inc()
        self._log.warning(
            "message_parked", reason=step.code, stream=facts.stream, service=step.account
        )
        return None

    def not_ready_reasons(self) -> list[str]:
        """Return whose messages the dead letters do not take now; handling goes on meanwhile."""
        now = self._clock.monotonic()
        return [
            Remark(f"the dead letters do not take messages of topic {topic}: {why} ({account})")
            for (topic, account), (why, until) in sorted(self._refused.items())
            if now < until
        ]

    # --- what is not taken -------------------------------------------------------------------

    def _not_taken(
        self, facts: DeliveryFacts, step: Park, why: NotTaken, topic: Topic
    ) -> Later | Drop:
        now, sequence = self._clock.monotonic(), facts.stream_sequence
        waiting = self._waiting_at(facts)
        for number in [one for one, entry in waiting.items() if entry.until < now]:
            del waiting[number]
        others = [entry.account for number, entry in waiting.items() if number != sequence]
        holding = Holding(others.count(step.account), len(others))
        fate = settling.not_taken(step, facts.deliveries, why, holding)
        until = now + _REMEMBERED_SECONDS
        if isinstance(fate, Later):
            until = now + fate.delay.total_seconds() + _OVERDUE_SECONDS
            waiting[sequence] = _Waiting(step.account, until)
        else:
            waiting.pop(sequence, None)
        known = self._refused.get((topic, step.account))
        self._refused[topic, step.account] = (why, max(until, known[1] if known else 0.0))
        return fate

    def _waiting_at(self, facts: DeliveryFacts) -> dict[int, _Waiting]:
        return self._waiting.setdefault((facts.stream, facts.consumer), {})

    def _take_back(self, topic: Topic, account: str) -> None:
        """Forget what a letter that was taken shows to be over."""
        for key, (why, _until) in tuple(self._refused.items()):
            if key == (topic, account) or not why.is_their_word:
                del self._refused[key]

    # --- what is parked ----------------------------------------------------------------------

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
            # What an instance saw first counts; this one could not tell whether that is so.
            statement=received.unverified_statement or self._signed(statement),
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

    @staticmethod
    def _reason(error: SecureTransportError) -> NotTaken:
        match error:
            case BusUnavailableError() if error.fields.get("error_code") == _FULL:
                return NotTaken.FULL
            case UnknownKeyError():
                return NotTaken.NO_SIGNING_KEY
            case PermissionDeniedError():
                return NotTaken.NOT_PERMITTED
            case RejectedMessageError():
                return NotTaken.REFUSED
        return NotTaken.UNAVAILABLE

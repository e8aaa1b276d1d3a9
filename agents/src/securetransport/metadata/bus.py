"""The authority on the bus: hears statements, answers requests, announces what changed.

Everything here may be missing while the bus is down; the rotation then sees unknown evidence and
holds, and everything needed for a start lies in OpenBao.

A standby hears every statement, so that it can act at once, and answers what lies in OpenBao; what
only the acting instance knows is asked of the acting instance only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import Subject
from securetransport.core.base.profile import Profile
from securetransport.core.formats.body import Version
from securetransport.core.ports.bus import Connection, Message, Subscription
from securetransport.core.ports.clock import Clock
from securetransport.metadata.ca import CaRotation
from securetransport.metadata.document_store import StoredDocument
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.exchange import KeyExchange, refusal
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper
from securetransport.metadata.requests import FairRequests
from securetransport.metadata.rotation_log import RotationLog
from securetransport.metadata.status import status
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.runtime.logs import get_logger

_QUEUE: Final = "metadata"
_ATTESTATIONS: Final = "metadata.attest.>"


class AuthorityBus:
    """Subscriptions and announcements on whichever connection is current."""

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in app.py
        self,
        *,
        clock: Clock,
        profile: Profile,
        evidence: EvidenceStore,
        ca: CaRotation,
        keys: KeyRotation,
        exchange: KeyExchange,
        policy: PolicyKeeper,
        rotation_log: RotationLog,
        metrics: MetadataMetrics,
        secret_ids: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._clock = clock
        self._profile = profile
        self._evidence = evidence
        self._ca = ca
        self._keys = keys
        self._exchange = exchange
        self._policy = policy
        self._rotation_log = rotation_log
        self._metrics = metrics
        self._requests = FairRequests(clock, lambda: metrics.answered("over_quota"))
        self._secret_ids = secret_ids
        self._connection: Connection | None = None
        self._answering: list[Subscription] = []
        self._announced: dict[Subject, Version] = {}
        self._not_announced: dict[Subject, Version] = {}
        self._log = get_logger(kind="bus")

    async def use(self, connection: Connection) -> None:
        """Subscribe on a new connection; the caller closes the one before, when this returns.

        Raises:
            BusUnavailableError: The connection broke; it is tried again with the next one.
        """
        await connection.subscribe(_ATTESTATIONS, self._on_attestation)
        await connection.subscribe(names.SUBJECT_SERVER_REPORT, self._on_report)
        await connection.subscribe(names.SUBJECT_DIRECTORY, self._on_directory, queue=_QUEUE)
        self._connection, self._answering = connection, []
        self._announced = {}
        await self._answer_as_holder(connection)
        await self._recall_attestations(connection)

    async def round(self) -> None:
        """Answer if this instance acts, tell members what is new, write the rotation log.

        Each announcement fails alone, and is named in the log: the others and the rotation log do
        not wait for one that the stream refuses.

        Raises:
            SecureTransportError: The first failure, after everything had its turn; what failed is
                repeated with the next round.
        """
        connection, state = self._connection, self._ca.state
        if connection is None:
            return
        await self._answer_as_holder(connection)
        if not self._ca.is_holder:
            return
        failed: SecureTransportError | None = None
        for subject, stored in (
            (names.SUBJECT_TRUST_NOTICE, state.stored if state else None),
            (names.SUBJECT_DENY_LIST_NOTICE, self._policy.denials),
            (names.SUBJECT_DIRECTORY_NOTICE, self._keys.directory),
        ):
            if stored is None:
                continue
            try:
                await self._announce(connection, subject, stored)
            except SecureTransportError as err:
                failed = failed or err
                self._note_failed(subject, stored, err)
        await self._rotation_log.publish(connection)
        if failed is not None:
            raise failed

    async def push_notices(self) -> None:
        """Tell services that their bundle changed; who could not be told is told next time."""
        if self._connection is None:
            return
        for service, version in list(self._keys.owed.items()):
            notice = json.dumps({"version": version.model_dump()}).encode()
            try:
                await self._connection.publish(names.subject_bundle_push(service), notice)
            except SecureTransportError as err:
                self._log.info("notice_not_sent", instance=service, reason=str(err))
            else:
                self._keys.told(service, version)

    async def _answer_as_holder(self, connection: Connection) -> None:
        """Listen to requests that only the acting instance can answer, while this one acts."""
        if self._ca.is_holder and not self._answering:
            for subject, handler in (
                (f"{names.SUBJECT_KEY_EXCHANGE}.*", self._on_key_request),
                (names.SUBJECT_STATUS, self._on_status),
            ):
                heard = await connection.subscribe(subject, handler, queue=_QUEUE)
                self._answering.append(heard)
        elif not self._ca.is_holder and self._answering:
            while self._answering:
                await self._answering.pop().unsubscribe()

    async def _announce(
        self, connection: Connection, subject: Subject, stored: StoredDocument
    ) -> None:
        document = stored.document
        if self._announced.get(subject) == document.version:
            return
        identity = f"{document.kind.value}-{document.version}"
        await connection.publish_acked(subject, stored.data, message_id=identity)
        self._announced[subject] = document.version
        self._not_announced.pop(subject, None)

    def _note_failed(
        self, subject: Subject, stored: StoredDocument, error: SecureTransportError
    ) -> None:
        """Tell once per document that it could not be announced."""
        version = stored.document.version
        if self._not_announced.get(subject) != version:
            self._not_announced[subject] = version
            self._log.error(
                "announcement_failed",
                subject=subject,
                version=str(version),
                size_bytes=len(stored.data),
                reason=str(error),
            )

    async def _recall_attestations(self, connection: Connection) -> None:
        """Read each member's last attestation, so that a restart needs none repeated."""
        try:
            stored = await connection.list_last(names.STREAM_ATTESTATIONS, _ATTESTATIONS)
        except SecureTransportError as err:
            self._log.info("attestations_not_recalled", reason=str(err))
            return
        for message in stored:
            await self._accept_attestation(message.data, message.stored_at)

    async def _on_attestation(self, message: Message) -> None:
        await self._accept_attestation(message.data, self._clock.now())

    async def _accept_attestation(self, data: bytes, received_at: datetime) -> None:
        try:
            await self._evidence.accept_attestation(data, received_at, self._clock.now())
        except SecureTransportError as err:
            self._metrics.refused("attestation")
            self._log.info("attestation_refused", reason=str(err))

    async def _on_report(self, message: Message) -> None:
        try:
            await self._evidence.accept_report(message.data, self._clock.now())
        except SecureTransportError as err:
            self._metrics.refused("server_report")
            self._log.info("server_report_refused", reason=str(err))

    async def _on_key_request(self, message: Message) -> None:
        """Take a request in; cheap, since it comes before anything is known of who asks."""
        writer = message.subject.rpartition(".")[2]
        self._requests.offer(writer, message)

    async def serve_requests(self) -> None:
        """Answer the requests for bundles, one after the other, for ever."""
        while True:
            message = await self._requests.take()
            await self._reply(message, await self._exchange.answer(message.data))

    async def _on_directory(self, message: Message) -> None:
        await self._reply(message, await self._exchange.directory_entry(message.data))

    async def _on_status(self, message: Message) -> None:
        state = self._ca.state
        if state is None:
            await self._reply(message, refusal("unavailable", "no round was completed yet"))
            return
        picture = status(state, self._keys, self._profile)
        picture["secret_ids"] = self._secret_ids()
        await self._reply(message, json.dumps(picture).encode())

    async def _reply(self, message: Message, data: bytes) -> None:
        try:
            await message.respond(data)
        except SecureTransportError as err:
            self._log.info("answer_not_sent", subject=message.subject, reason=str(err))

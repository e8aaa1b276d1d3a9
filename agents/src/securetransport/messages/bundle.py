"""The ServiceBundle: this service's rights and topic keys, asked of the authority in time.

When it is fetched: ``core.decisions.member.bundle``.

From where: the authority over the bus, by a signed request that only this process can open the
answer to; when the bus or the authority is silent, the copy in OpenBao, which only this service's
policy can decrypt.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.entropy import Entropy
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import (
    BusUnavailableError,
    NotFoundError,
    NotPermittedError,
    RejectedDocumentError,
    SecretStoreUnavailableError,
    SecureTransportError,
    TransientError,
    UnknownKeyError,
)
from securetransport.core.base.names import InstanceId, Topic, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.crypto import kem
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.decisions.member import bundle as rules
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats import documents, exchange
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.exchange import KeyRequest
from securetransport.core.formats.service_bundle import ServiceBundle, TopicRule
from securetransport.core.ports import SecretStore
from securetransport.core.ports.bus import Connection, Message
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.documents import SEALED_BUNDLE, SERVICE_BUNDLE
from securetransport.core.trust.keyring import TopicKeyring
from securetransport.documents.followed import FollowedDocument
from securetransport.documents.gate import DocumentGate
from securetransport.messages.directory import LONGEST_WAIT
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.demand import Demand
from securetransport.runtime.logs import get_logger
from securetransport.runtime.supervisor import Wakeup

_NONCE_BYTES: Final = 32
_REQUEST_LIFE: Final = timedelta(minutes=5)
_REQUEST_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 2.0
"""After a fetch that failed a notice waits so long for the next one."""


class BundleClient:
    """Keeps the newest bundle and the topic keys.

    Attributes:
        topic_keys: Keys held, older ones included.
        changed_at: When the one in force came, by the monotonic clock; ``None`` before the first.
        wakeup: Ends the wait for the next round.
    """

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in app.py
        self,
        *,
        instance: InstanceId,
        share: float,
        store: SecretStore,
        gate: DocumentGate,
        clock: Clock,
        profile: Profile,
        connection: Callable[[], Connection],
        signing_key: Callable[[], SigningKey],
        on_change: Callable[[], None],
        telemetry: MessageTelemetry,
        entropy: Entropy,
    ) -> None:
        self._entropy = entropy
        self._instance = instance
        self._service = service_of(instance)
        self._share = share
        self._store = store
        self._gate = gate
        self._clock = clock
        self._profile = profile
        self._connection = connection
        self._signing_key = signing_key
        self._on_change = on_change
        self._telemetry = telemetry
        self._fetched_at: datetime | None = None
        self._notice = Demand()
        self._failed_at = float("-inf")
        self._lock = asyncio.Lock()
        self._document = FollowedDocument(gate, SERVICE_BUNDLE, self._service)
        self._log = get_logger(kind=SERVICE_BUNDLE.kind.value)
        self.topic_keys = TopicKeyring(profile.key_schedule)
        self.wakeup = Wakeup()
        self.changed_at: float | None = None

    @property
    def bundle(self) -> ServiceBundle | None:
        """The one in force, ``None`` before the first."""
        return self._document.current.body if self._document.current else None

    @property
    def ends_at(self) -> datetime | None:
        """When the one in force ends; ``None`` before the first."""
        return self._document.current.not_after if self._document.current else None

    @property
    def version(self) -> Version | None:
        """Version of the one in force."""
        return self._document.current.version if self._document.current else None

    def rule(self, topic: Topic) -> TopicRule:
        """Return a topic's rule.

        Raises:
            UnknownKeyError: No bundle yet.
            NotPermittedError: The bundle has no such topic.
        """
        bundle = self.bundle
        if bundle is None:
            raise UnknownKeyError("no bundle yet", topic=topic)
        for rule in bundle.rules:
            if rule.topic == topic:
                return rule
        raise NotPermittedError("this service may not use the topic", topic=topic)

    async def listen(self, connection: Connection) -> None:
        """Subscribe to notices on ``connection``."""
        await connection.subscribe(names.subject_bundle_push(self._service), self._noticed)

    def demand(self) -> None:
        """Fetch in the next round: a message named a key or rule that is not held."""
        self._notice.make()
        self.wakeup.wake()

    async def reconcile(self) -> None:
        """Fetch the bundle if it is due.

        Raises:
            TransientError: Neither the authority nor OpenBao answered.
            RejectedDocumentError: The answer is refused; the bundle in force stays.
        """
        step = rules.decide(self._observe(), self._profile)
        if not isinstance(step, Wait):
            await self.refresh(step.reason)

    def _observe(self) -> rules.Observation:
        now = self._clock.now()
        return rules.Observation(
            now=now,
            fetched_at=self._fetched_at,
            has_notice=self._notice.is_open and self._is_rested(),
            misses_next=self._misses_next(now),
            share=self._share,
        )

    def _is_rested(self) -> bool:
        return self._clock.monotonic() - self._failed_at >= _PAUSE_SECONDS

    async def refresh(self, reason: str) -> None:
        """Fetch the bundle now; see :meth:`reconcile`. One fetch at a time."""
        async with self._lock:
            try:
                await self._refresh(reason)
            except SecureTransportError:
                self._failed_at = self._clock.monotonic()
                raise

    async def _refresh(self, reason: str) -> None:
        began = self._notice.begin()
        try:
            data, source = await self._ask(), "authority"
        except (TransientError, RejectedDocumentError, UnknownKeyError) as error:
            self._telemetry.bundles.labels("authority", "failed").inc()
            self._log.info("authority_did_not_answer", reason=str(error))
            data, source = await self._copy(), "copy"
        is_new = self._document.offer(data)
        self._telemetry.bundles.labels(source, "done").inc()
        self._fetched_at = self._clock.now()
        self._notice.serve(began)
        bundle = self.bundle
        if not is_new or bundle is None:
            return
        self.changed_at = self._clock.monotonic()
        retention = self._profile.key_validity + LONGEST_WAIT
        self.topic_keys.prune(self._clock.now(), retention)
        self.topic_keys.replace(bundle.topic_keys)  # what the authority still gives is still wanted
        self._log.info(
            "bundle_changed",
            reason=reason,
            version=str(self.version),
            path=source,
            epoch=bundle.key_epoch,
            count=len(bundle.topic_keys),
        )
        self._on_change()

    def _misses_next(self, now: datetime) -> bool:
        bundle = self.bundle
        if bundle is None:
            return True
        schedule = self._profile.key_schedule
        following = EpochNumber(schedule.number_at(now) + 1)
        topics = [rule.topic for rule in bundle.rules]
        return bool(self.topic_keys.missing(topics, schedule.start_of(following)))

    async def _noticed(self, message: Message) -> None:
        """A notice is unsigned and only a hint: at worst it costs one request."""
        try:
            version = Version.model_validate(json.loads(message.data)["version"])
        except (KeyError, TypeError, ValueError):
            return
        if self.version is None or version > self.version:
            self.demand()

    async def _ask(self) -> bytes:
        now = self._clock.now()
        secret = kem.generate_kem_key(kem.ML_KEM_768)
        request = KeyRequest(
            instance=self._instance,
            kem=kem.ML_KEM_768,
            kem_public_key=secret.public_key,
            nonce=self._entropy(_NONCE_BYTES),
            requested_at=now,
            known_version=self.version,
        )
        signed = documents.encode(
            documents.sign_with_key(
                kind=DocumentKind.KEY_REQUEST,
                audience=documents.AUTHORITY,
                version=Version(counter=int(now.timestamp() * 1_000_000)),
                created_at=now,
                not_after=now + _REQUEST_LIFE,
                body=request.to_bytes(),
                signer=self._instance,
                key=self._signing_key(),
            )
        )
        answer = await self._connection().request(
            names.subject_key_exchange(self._service), signed, timeout=_REQUEST_SECONDS
        )
        if answer.data.startswith(b"{"):
            raise _refusal(answer.data)
        sealed = self._gate.judge(answer.data, SEALED_BUNDLE, self._instance)
        return exchange.open_bundle(sealed.body, signed, secret)

    async def _copy(self) -> bytes:
        try:
            entry = await self._store.kv_get(names.kv_service_bundle(self._service))
            if entry is None:
                raise NotFoundError("this service has no bundle yet", service=self._service)
            key = names.service_transit_key(self._service)
            return await self._store.transit_decrypt(key, str(entry.value["ciphertext"]))
        except SecureTransportError as error:
            self._telemetry.bundles.labels("copy", "failed").inc()
            if isinstance(error, NotFoundError):
                raise SecretStoreUnavailableError(error.message, **error.fields) from error
            raise
        except KeyError as error:
            raise RejectedDocumentError("bundle copy is malformed") from error


def _refusal(data: bytes) -> SecureTransportError:
    try:
        body = json.loads(data)
        word, detail = str(body["error"]), str(body.get("detail", ""))
    except (KeyError, TypeError, ValueError):
        return RejectedDocumentError("answer to the key request is malformed")
    if word == "unavailable":
        return BusUnavailableError("the authority is not able to answer now", reason=detail)
    return RejectedDocumentError("the authority refused the key request", reason=detail)

"""What messages are sealed and judged with: bundle, Directory, deny list and own keys together.

A sender (:class:`SenderKeys`) seals only with what its receivers accept: it has the right, its own
signing key is listed in the Directory and valid now, its leaf certificate has not ended, and there
is a topic key for now. What is missing is a reason not to be ready, and nothing is sent meanwhile.

A receiver (:class:`ReceiverKeys`) may be told of something newer than this process knows: a key, a
topic rule. Refusing the message would lose it, so :meth:`ReceiverKeys.catch_up` reads what is
newest once, shared by everybody who waits, and not more often than once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import (
    NotPermittedError,
    RejectedMessageError,
    SecureTransportError,
    UnknownKeyError,
)
from securetransport.core.base.names import InstanceId, KeyId, ServiceId, Topic, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.decisions.member.leaf import HeldLeaf
from securetransport.core.formats.service_bundle import TopicKey, TopicRule
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.opening import Acceptance, Refusal, refusal_code
from securetransport.member.enrolment import SigningKeys
from securetransport.messages.bundle import BundleClient
from securetransport.messages.directory import DirectoryClient
from securetransport.runtime.logs import get_logger

_PAUSE_SECONDS: Final = 1.0
_MAY_BE_STALE: Final = frozenset(
    {Refusal.VERIFY_KEY, Refusal.TOPIC_KEY, Refusal.POLICY, Refusal.PRODUCER}
)


class Own(Protocol):
    """What a sender has of its own; a session has it."""

    @property
    def instance(self) -> InstanceId:
        """Who sends."""
        ...

    @property
    def boot_id(self) -> str:
        """Random per process."""
        ...

    @property
    def signing_keys(self) -> SigningKeys:
        """Its signing keys."""
        ...

    @property
    def leaf(self) -> HeldLeaf | None:
        """Its leaf certificate."""
        ...


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """What the messages of one topic are sealed with now.

    Attributes:
        rule: The topic's rule.
        topic_key: Encrypts.
        is_fallback: The topic key is of an older epoch, since the current one's is missing.
        signing_key: Signs.
        ca_epoch: Of the sender's leaf certificate.
    """

    rule: TopicRule
    topic_key: TopicKey
    is_fallback: bool
    signing_key: SigningKey
    ca_epoch: EpochNumber


class SenderKeys:
    """Answers what to seal with.

    Args:
        own: Signing keys and leaf certificate.
        bundle: Rights and topic keys.
        profile: Epochs and skew.
        clock: Wall time.

    Attributes:
        instance: Who sends.
        service: Its service.
        boot_id: Random per process.
    """

    def __init__(self, own: Own, bundle: BundleClient, profile: Profile, clock: Clock) -> None:
        self._own = own
        self._bundle = bundle
        self._skew = profile.clock_skew
        self._clock = clock
        self.instance = own.instance
        self.service = service_of(own.instance)
        self.boot_id = own.boot_id

    def for_topic(self, topic: Topic) -> SealingKeys:
        """Return what messages of ``topic`` are sealed with.

        Raises:
            NotPermittedError: This service may not produce on the topic.
            UnknownKeyError: Something of it is missing or over; it may be there later.
        """
        rule = self._bundle.rule(topic)
        if self.service not in rule.producers:
            raise NotPermittedError("this service may not produce on the topic", topic=topic)
        now, leaf = self._clock.now(), self._own.leaf
        if leaf is not None and now >= leaf.identity.not_after:
            raise UnknownKeyError("own leaf certificate has ended", ended=leaf.identity.not_after)
        ring = self._bundle.topic_keys
        topic_key = ring.for_sending(topic, now, self._skew)
        return SealingKeys(
            rule=rule,
            topic_key=topic_key,
            is_fallback=ring.is_fallback(topic_key, now),
            signing_key=self._own.signing_keys.for_signing(),
            ca_epoch=(leaf.epoch if leaf is not None else None) or EpochNumber(0),
        )

    def not_ready_reasons(self) -> list[str]:
        """Return what keeps messages from being sent, in words."""
        reasons = []
        if not self._own.signing_keys.is_listed():
            reasons.append("own signing key is not in the directory")
        bundle = self._bundle.bundle
        if bundle is None:
            return [*reasons, "no service bundle"]
        topics = [rule.topic for rule in bundle.rules]
        missing = self._bundle.topic_keys.missing(topics, self._clock.now())
        return [*reasons, *(f"no key of this epoch for topic {topic}" for topic in missing)]


def may_be_stale(error: RejectedMessageError) -> bool:
    """Tell whether a refusal may only mean that this process knows less than the sender."""
    return refusal_code(error) in _MAY_BE_STALE


@dataclass(frozen=True, slots=True)
class Source:
    """Where the messages of a topic are pulled from."""

    stream: str
    durable: str


class ReceiverKeys:
    """The newest of everything a message is judged with.

    Attributes:
        acceptance: Given to ``open_message``; replaced part by part as documents arrive.
    """

    def __init__(
        self, bundle: BundleClient, directory: DirectoryClient, profile: Profile, clock: Clock
    ) -> None:
        self._bundle = bundle
        self._directory = directory
        self._clock = clock
        self._lock = asyncio.Lock()
        self._caught_up_at = float("-inf")
        self._log = get_logger(kind="receiver_keys")
        self.acceptance = Acceptance(
            verify_keys=directory.verify_keys,
            topic_keys=bundle.topic_keys,
            rules={},
            accepted_policy_digests={},
            deny=directory.deny,
            schedule=profile.key_schedule,
            skew=profile.clock_skew,
            retry_limit=profile.retry_limit,
        )

    def update(self) -> None:
        """Take over what bundle and directory hold now."""
        if self._bundle.bundle is not None:
            self.acceptance.rules = {rule.topic: rule for rule in self._bundle.bundle.rules}
        if self._directory.directory is not None:
            self.acceptance.accepted_policy_digests = self._directory.directory.topic_policies
        self.acceptance.deny = self._directory.deny

    def source(self, topic: Topic, service: ServiceId) -> Source:
        """Return where ``service`` pulls the messages of ``topic`` from.

        Raises:
            UnknownKeyError: No bundle yet.
            NotPermittedError: It may not consume the topic.
        """
        rule = self._bundle.rule(topic)
        durable = rule.consumers.get(service)
        if durable is None:
            raise NotPermittedError("this service may not consume the topic", topic=topic)
        return Source(rule.stream, durable)

    async def catch_up(self, error: RejectedMessageError) -> None:
        """Read what is newest because of a refusal that :func:`may_be_stale`.

        Failures are logged: the message is judged again by what is known then.
        """
        code, key_id = refusal_code(error), error.fields.get("key_id")
        if code == Refusal.VERIFY_KEY and key_id is not None:
            await self._quietly(self._directory.pull(KeyId(str(key_id))))
            return
        wanted_at = self._clock.monotonic()
        async with self._lock:
            if self._caught_up_at >= wanted_at - _PAUSE_SECONDS:
                return
            self._caught_up_at = self._clock.monotonic()
            if code != Refusal.TOPIC_KEY:
                await self._quietly(self._directory.refresh())
            await self._quietly(self._bundle.refresh(code))
            self.update()

    async def _quietly(self, work: Awaitable[None]) -> None:
        try:
            await work
        except SecureTransportError as error:
            self._log.warning("catch_up_failed", kind=type(error).__name__, error=str(error))

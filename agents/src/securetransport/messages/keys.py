"""What messages are sealed and judged with: bundle, Directory, deny list and own keys together.

A sender (:class:`SenderKeys`) seals only with what its receivers accept, by the rules of
``core.decisions.member.publishing``. What is missing is a reason not to be ready, and nothing is
sent meanwhile.

A receiver (:class:`ReceiverKeys`) may be told of something newer than this process knows: a key, a
topic rule. Refusing the message would lose it, so :meth:`ReceiverKeys.catch_up` reads what is
newest once, shared by everybody who waits, and not more often than once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import (
    NotPermittedError,
    PermissionDeniedError,
    RejectedMessageError,
    SecureTransportError,
    TransientError,
    UnknownKeyError,
)
from securetransport.core.base.names import InstanceId, KeyId, ServiceId, Topic, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.decisions.member import publishing as rules
from securetransport.core.decisions.member.leaf import HeldLeaf
from securetransport.core.decisions.member.publishing import (
    Material,
    MayNotPublish,
    MayPublish,
    Obstacle,
    OwnKey,
    TopicMaterial,
    Verdict,
)
from securetransport.core.decisions.member.settling import MAY_BE_STALE
from securetransport.core.formats.service_bundle import TopicKey, TopicRule
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.opening import Acceptance, Refusal, refusal_code
from securetransport.member.enrolment import SigningKeys
from securetransport.messages.bundle import BundleClient
from securetransport.messages.directory import DirectoryClient
from securetransport.runtime.health import Remark
from securetransport.runtime.logs import get_logger

_PAUSE_SECONDS: Final = 1.0


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


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict, for as long as it need not be asked for again.

    Attributes:
        verdict: It.
        inputs: What it was made of; each is replaced, never changed.
        since: When it was made.
        until: When it ends, or the key to sign with becomes another.
    """

    verdict: MayPublish
    inputs: tuple[object, ...]
    since: datetime
    until: datetime


class SenderKeys:
    """Answers whether a message may be sent now, and what it is sealed with.

    Args:
        own: Signing keys and leaf certificate.
        bundle: Rights and topic keys.
        directory: What is listed and who is denied.
        profile: Epochs and skew.
        clock: Wall time.

    Attributes:
        instance: Who sends.
        service: Its service.
        boot_id: Random per process.
    """

    def __init__(
        self,
        own: Own,
        bundle: BundleClient,
        directory: DirectoryClient,
        profile: Profile,
        clock: Clock,
    ) -> None:
        self._own = own
        self._bundle = bundle
        self._directory = directory
        self._schedule = profile.key_schedule
        self._skew = profile.clock_skew
        self._clock = clock
        self._judged: dict[Topic, _Judged] = {}
        self.instance = own.instance
        self.service = service_of(own.instance)
        self.boot_id = own.boot_id

    def check(self, topic: Topic) -> MayPublish:
        """Return until when messages of ``topic`` may be published.

        Raises:
            TransientError: Not now; the field ``code`` is the obstacle, and waiting may help.
            PermissionDeniedError: Not at all; the field ``code`` is the obstacle.
        """
        now, inputs, held = self._clock.now(), self._inputs(), self._judged.get(topic)
        if held is not None and held.since <= now < held.until and _same(held.inputs, inputs):
            return held.verdict
        verdict = self.verdict(topic)
        if isinstance(verdict, MayPublish):
            following = self._schedule.end_of(self._schedule.number_at(now))
            until = min(verdict.until, following)
            self._judged[topic] = _Judged(verdict, inputs, now, until)
            return verdict
        obstacle = verdict.obstacle
        family = PermissionDeniedError if obstacle.is_lasting else TransientError
        reason = rules.not_ready(obstacle, topic)
        raise family("must not publish", code=obstacle.value, reason=reason, topic=topic)

    def hindrance(self) -> str | None:
        """Return what keeps answers from being published, if it may pass by itself."""
        held = (each for each in self._held() if not each[0].is_lasting)
        return next((rules.not_ready(*each) for each in held), None)

    def has_topic(self, topic: Topic) -> bool:
        """Tell whether the bundle has the topic."""
        return self._topic_material(topic) is not None

    def verdict(self, topic: Topic) -> Verdict:
        """Return whether messages of ``topic`` may be published, and until when."""
        return rules.decide(
            self._material(), self._topic_material(topic), self._schedule, self._skew
        )

    def for_topic(self, topic: Topic) -> SealingKeys:
        """Return what messages of ``topic`` are sealed with; raises as :meth:`check`."""
        verdict = self.check(topic)
        now, leaf, ring = self._clock.now(), self._own.leaf, self._bundle.topic_keys
        try:
            topic_key = ring.for_sending(topic, now, self._skew)
            rule = self._bundle.rule(topic)
        except UnknownKeyError as error:  # between the verdict and now
            raise TransientError("must not publish", reason=str(error), topic=topic) from error
        return SealingKeys(
            rule=rule,
            topic_key=topic_key,
            is_fallback=ring.is_fallback(topic_key, now),
            signing_key=self._own.signing_keys.of_epoch(verdict.signing_epoch),
            ca_epoch=(leaf.epoch if leaf is not None else None) or EpochNumber(0),
        )

    def seconds_left(self) -> float:
        """Return for how long every topic may still be published on; 0 when one may not.

        Of a service that only consumes: for how long it has what every topic needs.
        """
        verdicts = [self.verdict(topic) for topic in self._produced()]
        if any(isinstance(one, MayNotPublish) for one in verdicts) or self._own_obstacles():
            return 0.0
        own = self._material()
        ends = [one.until for one in verdicts if isinstance(one, MayPublish)]
        ends += [end for end in (own.leaf_ends_at, own.bundle_ends_at) if end is not None]
        return max(0.0, (min(ends) - own.now).total_seconds())

    def not_ready_reasons(self) -> list[str]:
        """Return what keeps messages from being sent, in words, and keys that are late."""
        reasons = [rules.not_ready(obstacle) for obstacle in self._own_obstacles()]
        reasons += [rules.not_ready(*each) for each in self._held()]
        bundle = self._bundle.bundle
        topics = [rule.topic for rule in bundle.rules] if bundle is not None else []
        missing = self._bundle.topic_keys.missing(topics, self._clock.now())
        reasons += [Remark(f"no key of this epoch for topic {topic}") for topic in missing]
        return list(dict.fromkeys(reasons))

    # --- what is judged ----------------------------------------------------------------------

    def _inputs(self) -> tuple[object, ...]:
        """Return what a verdict is made of besides the clock."""
        keys = self._own.signing_keys
        return (
            self._bundle.bundle,
            self._directory.directory,
            self._directory.deny,
            self._directory.read_at,
            self._own.leaf,
            keys.listed,
            *keys.held().values(),
        )

    def _own_obstacles(self) -> list[Obstacle]:
        """Return what is missing whatever the topic; also of a service that only consumes."""
        own = self._material()
        found = (rules.identity_obstacle(own, self._schedule), rules.bundle_obstacle(own))
        return [obstacle for obstacle in found if obstacle is not None]

    def _produced(self) -> list[Topic]:
        bundle = self._bundle.bundle
        every = bundle.rules if bundle is not None else ()
        return [rule.topic for rule in every if self.service in rule.producers]

    def _held(self) -> list[tuple[Obstacle, Topic]]:
        verdicts = ((topic, self.verdict(topic)) for topic in self._produced())
        return [(one.obstacle, topic) for topic, one in verdicts if isinstance(one, MayNotPublish)]

    def _material(self) -> Material:
        now, leaf, deny = self._clock.now(), self._own.leaf, self._directory.deny
        fingerprint = leaf.identity.fingerprint if leaf is not None else None
        denied = {item.fingerprint for item in deny.leaf_certificates}
        return Material(
            now=now,
            bundle_ends_at=self._bundle.ends_at,
            leaf_ends_at=leaf.identity.not_after if leaf is not None else None,
            signing_keys=tuple(
                OwnKey(epoch, self._own.signing_keys.knows(key_id), key_id in deny.key_ids)
                for epoch, key_id in self._own.signing_keys.held().items()
            ),
            is_denied=self.service in deny.services or fingerprint in denied,
        )

    def _topic_material(self, topic: Topic) -> TopicMaterial | None:
        try:
            rule = self._bundle.rule(topic)
        except (UnknownKeyError, NotPermittedError):
            return None
        return TopicMaterial(
            may_produce=self.service in rule.producers,
            key_epochs=self._bundle.topic_keys.epochs(topic),
            is_rule_listed=self._is_listed(rule),
        )

    def _is_listed(self, rule: TopicRule) -> bool | None:
        directory, taken_at = self._directory.directory, self._bundle.changed_at
        read_at = self._directory.read_at
        if directory is None or read_at is None or taken_at is None or read_at <= taken_at:
            return None
        return rule.digest in directory.topic_policies.get(rule.topic, ())


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def may_be_stale(error: RejectedMessageError) -> bool:
    """Tell whether a refusal may only mean that this process knows less than the sender."""
    return refusal_code(error) in MAY_BE_STALE


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
        self._has_caught_up = False
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

    def know_schemas(self, topic: Topic, schemas: Collection[str] | None) -> None:
        """Accept these payload schemas on ``topic`` only; ``None`` accepts any."""
        known = {**self.acceptance.accepted_schemas, topic: frozenset(schemas or ())}
        if schemas is None:
            del known[topic]
        self.acceptance.accepted_schemas = known

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

    async def catch_up(self, error: RejectedMessageError) -> bool:
        """Read what is newest because of a refusal that :func:`may_be_stale`.

        Failures are logged: the message is judged again by what is known then.

        Returns:
            Whether the newest was read; if not, the refusal may still be this process's fault.
        """
        code, key_id = refusal_code(error), error.fields.get("key_id")
        if code == Refusal.VERIFY_KEY and key_id is not None:
            return await self.pull(KeyId(str(key_id)))
        wanted_at = self._clock.monotonic()
        async with self._lock:
            if self._caught_up_at >= wanted_at - _PAUSE_SECONDS:
                return self._has_caught_up
            self._caught_up_at = self._clock.monotonic()
            done = True
            if code != Refusal.TOPIC_KEY:
                done = await self._quietly(self._directory.refresh())
            self._has_caught_up = await self._quietly(self._bundle.refresh(code)) and done
            self.update()
            return self._has_caught_up

    async def pull(self, key_id: KeyId) -> bool:
        """Get a verify key; tells whether it was found, or is in no Directory for certain."""
        return await self._quietly(self._directory.pull(key_id))

    async def _quietly(self, work: Awaitable[None]) -> bool:
        try:
            await work
        except UnknownKeyError as error:
            self._log.warning("catch_up_failed", kind=type(error).__name__, error=str(error))
        except SecureTransportError as error:
            self._log.warning("catch_up_failed", kind=type(error).__name__, error=str(error))
            return False
        return True

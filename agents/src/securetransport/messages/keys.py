"""What messages are judged with: bundle, directory and deny list brought together.

Messages may name something newer than this process has heard of: a key, a topic rule. Refusing them
would lose them, so :meth:`MessageKeys.catch_up` reads what is newest once, shared by everybody who
waits, and not more often than once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from securetransport.core.base.errors import (
    NotPermittedError,
    RejectedMessageError,
    SecureTransportError,
    UnknownKeyError,
)
from securetransport.core.base.names import KeyId, Topic
from securetransport.core.base.profile import Profile
from securetransport.core.formats.service_bundle import TopicRule
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.opening import Acceptance, Refusal, refusal_code
from securetransport.messages.bundle import BundleClient
from securetransport.messages.directory import DirectoryClient
from securetransport.runtime.logs import get_logger

_PAUSE_SECONDS: Final = 1.0
_MAY_BE_STALE: Final = frozenset(
    {Refusal.VERIFY_KEY, Refusal.TOPIC_KEY, Refusal.POLICY, Refusal.PRODUCER}
)


def may_be_stale(error: RejectedMessageError) -> bool:
    """Tell whether a refusal may only mean that this process knows less than the sender."""
    return refusal_code(error) in _MAY_BE_STALE


class MessageKeys:
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
        self._log = get_logger(kind="message_keys")
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

    def rule(self, topic: Topic) -> TopicRule:
        """Return a topic's rule.

        Raises:
            UnknownKeyError: No bundle yet.
            NotPermittedError: The bundle has no such topic.
        """
        if self._bundle.bundle is None:
            raise UnknownKeyError("no bundle yet", topic=topic)
        rule = self.acceptance.rules.get(topic)
        if rule is None:
            raise NotPermittedError("this service may not use the topic", topic=topic)
        return rule

    async def catch_up(self, error: RejectedMessageError) -> None:
        """Read what is newest because of a refusal that :func:`may_be_stale`.

        Failures are logged: the message is judged again by what is in hand then.
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

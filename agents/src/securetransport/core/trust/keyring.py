"""Keyrings of one process: topic keys (secret) and verify keys (public).

Rules:

1. A sender uses the highest generation of the current epoch; while that epoch's key is not held,
   the newest older one that no receiver can see as expired. A key of a coming epoch is never used.
2. A receiver may hold older keys than it may send with, until they are pruned.
3. A topic that is missing from the newest set of keys is forgotten with all its keys.
4. A verify key's id is the digest of the key, and belongs to one instance for ever.

Source: docs/architecture.md; docs/wire-format.md, "Message".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base.epochs import EpochNumber, EpochSchedule
from securetransport.core.base.errors import (
    MalformedMessageError,
    NotPermittedError,
    UnknownKeyError,
)
from securetransport.core.base.names import KeyId, Topic, service_of
from securetransport.core.crypto.aead import KEY_BYTES
from securetransport.core.crypto.signing import key_id_of
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.service_bundle import TopicKey

_Generations = dict[int, TopicKey]


class TopicKeyring:
    """The topic keys held, by topic, epoch and generation.

    Args:
        schedule: Epochs of topic keys.
    """

    def __init__(self, schedule: EpochSchedule) -> None:
        self._schedule: Final = schedule
        self._keys: dict[Topic, dict[EpochNumber, _Generations]] = {}

    def replace(self, keys: Iterable[TopicKey]) -> None:
        """Take over a bundle's keys.

        Older epochs of the same topics stay until :meth:`prune`; topics without a key in ``keys``
        are forgotten (rule 3).

        Raises:
            MalformedMessageError: A key is not 32 bytes; then nothing is taken over.
        """
        fresh: dict[Topic, dict[EpochNumber, _Generations]] = {}
        for key in keys:
            if len(key.secret) != KEY_BYTES:
                raise MalformedMessageError(f"topic key is not {KEY_BYTES} bytes", key=repr(key))
            epochs = fresh.setdefault(key.topic, {})
            epochs.setdefault(key.epoch, {})[key.generation] = key
        for topic, epochs in fresh.items():
            for epoch, held in self._keys.get(topic, {}).items():
                epochs[epoch] = {**held, **epochs.get(epoch, {})}
        self._keys = fresh

    def key(self, topic: Topic, epoch: EpochNumber, generation: int) -> TopicKey:
        """Return one key, of any epoch that is still held.

        Raises:
            UnknownKeyError: It is not held.
        """
        try:
            return self._keys[topic][epoch][generation]
        except KeyError as err:
            raise UnknownKeyError(
                "topic key is not held", topic=topic, epoch=epoch, generation=generation
            ) from err

    def epochs(self, topic: Topic) -> frozenset[EpochNumber]:
        """Return the epochs of which a key of ``topic`` is held."""
        return frozenset(self._keys.get(topic, {}))

    def for_sending(self, topic: Topic, at: datetime, skew: timedelta) -> TopicKey:
        """Return the key to seal with at ``at`` (rule 1); see also :meth:`is_fallback`.

        Args:
            topic: What to send on.
            at: Now, aware.
            skew: How far ahead a receiver's clock may be; an older key must outlive it.

        Raises:
            UnknownKeyError: No key is valid.
        """
        epochs = self._keys.get(topic, {})
        current = self._schedule.number_at(at)
        if current in epochs:
            return _newest_generation(epochs[current])
        for epoch in sorted((held for held in epochs if held < current), reverse=True):
            if self._schedule.is_valid(epoch, at + skew):
                return _newest_generation(epochs[epoch])
            break
        raise UnknownKeyError("no topic key is valid for sending", topic=topic, epoch=current)

    def is_fallback(self, key: TopicKey, at: datetime) -> bool:
        """Tell whether ``key`` is of an older epoch than ``at``'s, which is counted and alerted."""
        return key.epoch < self._schedule.number_at(at)

    def missing(self, topics: Iterable[Topic], at: datetime) -> list[Topic]:
        """Return the topics without a key of the epoch that contains ``at``, sorted."""
        current = self._schedule.number_at(at)
        return sorted(topic for topic in set(topics) if current not in self._keys.get(topic, {}))

    def prune(self, at: datetime, retention: timedelta) -> int:
        """Forget keys whose epoch started ``retention`` or longer before ``at``.

        Args:
            at: Now, aware.
            retention: Validity plus the longest time a message may lie in a stream.

        Returns:
            How many keys were forgotten.
        """
        forgotten = 0
        for epochs in self._keys.values():
            for epoch in [held for held in epochs if self._is_over(held, at, retention)]:
                forgotten += len(epochs.pop(epoch))
        return forgotten

    def _is_over(self, epoch: EpochNumber, at: datetime, retention: timedelta) -> bool:
        return at >= self._schedule.start_of(epoch) + retention


class VerifyKeyring:
    """The public signing keys held; the caller has verified their inclusion in the Directory."""

    def __init__(self) -> None:
        self._keys: dict[KeyId, VerifyKey] = {}

    def add(self, key: VerifyKey) -> None:
        """Hold a key; adding the same one again changes nothing.

        Raises:
            MalformedMessageError: Its id is not the digest of the key, or its instance is not one
                of its service.
            NotPermittedError: The same key already belongs to another instance or epoch.
        """
        if key.key_id != key_id_of(key.algorithm, key.public_key):
            raise MalformedMessageError("key id is not the key's digest", key_id=key.key_id)
        if service_of(key.instance) != key.service:
            raise MalformedMessageError(
                "instance is not one of the service", instance=key.instance, service=key.service
            )
        held = self._keys.setdefault(key.key_id, key)
        if (held.instance, held.epoch) != (key.instance, key.epoch):
            raise NotPermittedError(
                "verify key already belongs to another instance or epoch",
                key_id=key.key_id,
                instance=held.instance,
            )

    def get(self, key_id: KeyId) -> VerifyKey:
        """Return a key.

        Raises:
            UnknownKeyError: It is not held.
        """
        try:
            return self._keys[key_id]
        except KeyError as err:
            raise UnknownKeyError("verify key is not held", key_id=key_id) from err

    def __contains__(self, key_id: object) -> bool:
        """Tell whether a key is held."""
        return key_id in self._keys

    def __len__(self) -> int:
        """Return how many keys are held."""
        return len(self._keys)

    def prune(self, at: datetime, schedule: EpochSchedule, retention: timedelta) -> int:
        """Forget keys whose epoch started ``retention`` before ``at``; returns how many."""
        over = [
            key_id
            for key_id, key in self._keys.items()
            if at >= schedule.start_of(key.epoch) + retention
        ]
        for key_id in over:
            del self._keys[key_id]
        return len(over)


def _newest_generation(generations: _Generations) -> TopicKey:
    return generations[max(generations)]

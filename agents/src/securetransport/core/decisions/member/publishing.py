"""May this member publish now: judged by what its receivers will judge it by.

A sender never publishes what its receivers must refuse. Whether it may, and until when, follows
from what it holds and the clock alone, so the answer changes in time whoever is away. The first
rule that is broken is the obstacle:

1. There is a service bundle, and the bundle has not ended.
2. The deny list names neither the service nor the leaf certificate in use.
3. The bundle has the topic, and the service may produce on it.
4. The Directory that was read since the bundle came lists the rule that messages will name.
5. There is a leaf certificate, and it has not ended.
6. A signing key of its own is valid now, is not denied, and was seen in the Directory.
7. A topic key is valid now, and stays so for a receiver whose clock is ahead by the skew.

It may publish until the first of these ends. A key of the coming epoch that is there already counts
from its start on, so the end moves with each renewal.

Source: docs/wire-format.md, "Receiver"; docs/sdk.md, "Sending".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from securetransport.core.base.epochs import EpochNumber, EpochSchedule

_NOW: Final = timedelta(0)


class Obstacle(StrEnum):
    """Why a member may not publish; the values are codes for metrics and errors."""

    NO_BUNDLE = "no_bundle"
    BUNDLE_ENDED = "bundle_ended"
    DENIED = "denied"
    NO_RIGHT = "no_right"
    RULE_NOT_LISTED = "rule_not_listed"
    NO_LEAF = "no_leaf"
    LEAF_ENDED = "leaf_ended"
    NO_SIGNING_KEY = "no_signing_key"
    KEY_NOT_LISTED = "key_not_listed"
    NO_TOPIC_KEY = "no_topic_key"

    @property
    def is_lasting(self) -> bool:
        """Whether waiting does not help: somebody must change a right first."""
        return self in {Obstacle.DENIED, Obstacle.NO_RIGHT}


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A signing key of this process.

    Attributes:
        epoch: Whose.
        is_listed: The Directory lists it.
        is_denied: The deny list names it.
    """

    epoch: EpochNumber
    is_listed: bool
    is_denied: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """What a member has of its own, whatever the topic.

    Attributes:
        now: Wall clock.
        bundle_ends_at: ``None`` without a bundle.
        leaf_ends_at: ``None`` without a leaf certificate.
        signing_keys: Its signing keys.
        is_denied: The deny list names its service or its leaf certificate.
    """

    now: datetime
    bundle_ends_at: datetime | None
    leaf_ends_at: datetime | None
    signing_keys: tuple[OwnKey, ...]
    is_denied: bool = False


@dataclass(frozen=True, slots=True)
class TopicMaterial:
    """What a member has for one topic of its bundle.

    Attributes:
        may_produce: The rule names the service as a producer.
        key_epochs: Epochs whose topic key is held.
        is_rule_listed: The Directory lists the rule; ``None`` while it was not read since the
            bundle came, which says nothing.
    """

    may_produce: bool
    key_epochs: frozenset[EpochNumber]
    is_rule_listed: bool | None = None


@dataclass(frozen=True, slots=True)
class MayPublish:
    """It may publish.

    Attributes:
        until: When the first thing that it needs ends.
        signing_epoch: Of the key to sign with now.
    """

    until: datetime
    signing_epoch: EpochNumber


@dataclass(frozen=True, slots=True)
class MayNotPublish:
    """It may not publish.

    Attributes:
        obstacle: The first rule that is broken.
    """

    obstacle: Obstacle


Verdict = MayPublish | MayNotPublish


def decide(
    own: Material, topic: TopicMaterial | None, schedule: EpochSchedule, skew: timedelta
) -> Verdict:
    """Return whether a message may be sealed and published now, by the rules of this module.

    Args:
        own: What the member has.
        topic: What it has for the topic; ``None`` when its bundle does not have the topic.
        schedule: Of key epochs.
        skew: How far a receiver's clock may be ahead.
    """
    obstacle = bundle_obstacle(own)
    if obstacle is None and (topic is None or not topic.may_produce):
        obstacle = Obstacle.NO_RIGHT
    elif obstacle is None and topic is not None and topic.is_rule_listed is False:
        obstacle = Obstacle.RULE_NOT_LISTED
    usable = [key.epoch for key in own.signing_keys if key.is_listed and not key.is_denied]
    keys_end = _last_end(topic.key_epochs, schedule, own.now, skew) if topic else None
    ends = (
        own.bundle_ends_at,
        own.leaf_ends_at,
        _last_end(usable, schedule, own.now, _NOW),
        keys_end,
    )
    obstacle = obstacle or identity_obstacle(own, schedule)
    if obstacle is not None or keys_end is None:
        return MayNotPublish(obstacle or Obstacle.NO_TOPIC_KEY)
    started = (epoch for epoch in usable if schedule.is_valid(epoch, own.now))
    return MayPublish(min(end for end in ends if end is not None), max(started))


def bundle_obstacle(own: Material) -> Obstacle | None:
    """Return what rules 1 and 2 miss, ``None`` when they hold."""
    if own.bundle_ends_at is None:
        return Obstacle.NO_BUNDLE
    if own.now >= own.bundle_ends_at:
        return Obstacle.BUNDLE_ENDED
    return Obstacle.DENIED if own.is_denied else None


def identity_obstacle(own: Material, schedule: EpochSchedule) -> Obstacle | None:
    """Return what rules 5 and 6 miss, ``None`` when they hold."""
    if own.leaf_ends_at is None:
        return Obstacle.NO_LEAF
    if own.now >= own.leaf_ends_at:
        return Obstacle.LEAF_ENDED
    valid = [key for key in own.signing_keys if schedule.is_valid(key.epoch, own.now)]
    if any(key.is_listed and not key.is_denied for key in valid):
        return None
    if valid and all(key.is_denied for key in valid):
        return Obstacle.DENIED
    return Obstacle.KEY_NOT_LISTED if valid else Obstacle.NO_SIGNING_KEY


def _last_end(
    epochs: Iterable[EpochNumber], schedule: EpochSchedule, now: datetime, margin: timedelta
) -> datetime | None:
    """Return until when one of some keys can be used from now on without a gap.

    ``None`` when none can be used now. Each is used until ``margin`` before its end.
    """
    end: datetime | None = None
    for epoch in sorted(epochs):
        start, over = schedule.start_of(epoch), schedule.expiry_of(epoch) - margin
        if end is None and start <= now < over:
            end = over
        elif end is not None and start <= end:
            end = max(end, over)
    return end


def not_ready(obstacle: Obstacle, topic: str = "") -> str:
    """Return an obstacle in words, for ``/readyz`` and errors."""
    texts = {
        Obstacle.NO_BUNDLE: "no service bundle",
        Obstacle.BUNDLE_ENDED: "the service bundle has ended",
        Obstacle.DENIED: "denied by the deny list",
        Obstacle.NO_RIGHT: f"this service may not produce on topic {topic}",
        Obstacle.RULE_NOT_LISTED: f"the directory does not list the rule of topic {topic}",
        Obstacle.NO_LEAF: "no leaf certificate",
        Obstacle.LEAF_ENDED: "leaf certificate expired",
        Obstacle.NO_SIGNING_KEY: "no signing key of its own is valid now",
        Obstacle.KEY_NOT_LISTED: "own signing key is not in the directory",
        Obstacle.NO_TOPIC_KEY: f"no valid key for topic {topic}",
    }
    return texts[obstacle]

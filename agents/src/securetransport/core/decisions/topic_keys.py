"""Topic keys by epoch: the next one to make or to destroy.

Keys need no agreement of servers: a new epoch's keys are made ``key_lead`` before its start and are
held by everybody before the boundary, because members refresh in between. Rules:

1. A key's bytes are made once: written with compare-and-swap on "does not exist"; who loses reads.
2. Keys exist for every valid epoch of every topic, and for the next one from its lead on; the
   oldest epoch is served first, since its messages are on the bus now.
3. A key is destroyed after ``validity`` plus the longest time a message may wait to be read, also
   one of a topic that the ACL does not name any more; never before what must exist is there, and
   by the agreed time only (``agreed_time``): while that is unknown nothing is destroyed.
4. A service gets all keys of its topics that fit into its bundle, whole epochs, the newest first. A
   message of an epoch that did not fit cannot be opened and is parked; its key stays by rule 3.
5. A generation is never used twice. A clock that was ahead may have let a key go that is wanted
   again; it is made anew with the generation after every one that was destroyed.

Source: docs/rotation.md, "Keys".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Topic
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.service_bundle import TopicKey, TopicRule

MOST_KEY_BYTES: Final = 512 * 1024
"""Room for keys in a bundle of 768 KiB; its rules and its signature have the rest."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the authority knows of its topic keys.

    Attributes:
        now: Its clock.
        topics: The topics of the ACL.
        held: Topic and epoch of every key that exists.
        longest_wait: How long a message may wait to be read (``CompiledAcl.longest_wait``).
        agreed_at: The time that OpenBao's clock and its own agree on; ``None`` while unknown.
    """

    now: datetime
    topics: frozenset[Topic]
    held: frozenset[tuple[Topic, EpochNumber]]
    longest_wait: timedelta
    agreed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What is remembered of the destroyed keys of one topic (rule 5).

    Attributes:
        through: The newest epoch of which a key was destroyed.
        generation: The first that no destroyed key had.
    """

    through: EpochNumber
    generation: int

    def with_key(self, epoch: EpochNumber, generation: int) -> Destroyed:
        """Return the memory after a key whose last generation was ``generation`` goes too."""
        newest = max(self.through, epoch)
        return Destroyed(newest, max(self.generation, generation + 1))


@dataclass(frozen=True, slots=True)
class MakeKey:
    """Make one key, or read the one that another instance made."""

    topic: Topic
    epoch: EpochNumber


@dataclass(frozen=True, slots=True)
class DestroyKey:
    """Destroy one key with all its generations."""

    topic: Topic
    epoch: EpochNumber


Step = MakeKey | DestroyKey


def decide(seen: Observation, profile: Profile) -> Step | Wait:
    """Return the next step, by the rules of this module."""
    for epoch in wanted_epochs(profile, seen.now):
        for topic in sorted(seen.topics):
            if (topic, epoch) not in seen.held:
                return MakeKey(topic, epoch)
    for topic, epoch in sorted(seen.held):
        if seen.agreed_at and seen.agreed_at >= _destroyed_at(profile, epoch, seen.longest_wait):
            return DestroyKey(topic, epoch)
    return Wait(until=_next_change(seen, profile))


def is_any_overdue(seen: Observation, profile: Profile) -> bool:
    """Tell whether a key is to be destroyed by its own clock, so that the agreed time is needed."""
    return any(
        seen.now >= _destroyed_at(profile, epoch, seen.longest_wait) for _topic, epoch in seen.held
    )


def first_generation(destroyed: Destroyed | None, epoch: EpochNumber) -> int:
    """Return the number of the first generation of a key that is made now (rule 5)."""
    return destroyed.generation if destroyed and epoch <= destroyed.through else 0


def wanted_epochs(profile: Profile, now: datetime) -> tuple[EpochNumber, ...]:
    """Return the key epochs that must have keys at ``now``, oldest first (rule 2)."""
    schedule = profile.key_schedule
    following = EpochNumber(schedule.number_at(now) + 1)
    valid = schedule.valid_at(now)
    if now >= schedule.start_of(following) - profile.key_lead:
        return (*valid, following)
    return tuple(valid)


@dataclass(frozen=True, slots=True)
class KeyShare:
    """The topic keys of one service (rule 4).

    Attributes:
        keys: In a fixed order.
        left_out_before: Keys of earlier epochs than this did not fit; ``None`` when all did.
    """

    keys: tuple[TopicKey, ...]
    left_out_before: EpochNumber | None = None


def keys_for(
    rules: Iterable[TopicRule], keys: Iterable[TopicKey], most_bytes: int = MOST_KEY_BYTES
) -> KeyShare:
    """Return the topic keys that a service with ``rules`` gets.

    Args:
        rules: The service's topics.
        keys: Every key held.
        most_bytes: How much room they may take.
    """
    topics = {rule.topic for rule in rules}
    by_epoch: dict[EpochNumber, list[TopicKey]] = {}
    for key in keys:
        if key.topic in topics:
            by_epoch.setdefault(key.epoch, []).append(key)
    chosen: list[TopicKey] = []
    room, left_out_before = most_bytes, None
    for epoch in sorted(by_epoch, reverse=True):
        room -= sum(len(key.to_bytes()) + 1 for key in by_epoch[epoch])
        if room < 0:
            break
        chosen += by_epoch[epoch]
        left_out_before = epoch
    is_whole = len(chosen) == sum(map(len, by_epoch.values()))
    chosen.sort(key=lambda key: (key.topic, key.epoch, key.generation))
    return KeyShare(tuple(chosen), None if is_whole else left_out_before)


def _destroyed_at(profile: Profile, epoch: EpochNumber, longest_wait: timedelta) -> datetime:
    """Return from when on no message of ``epoch`` can be waiting (rule 3)."""
    return profile.key_schedule.expiry_of(epoch) + longest_wait


def _next_change(seen: Observation, profile: Profile) -> datetime:
    """Return when the next key is due: made in its lead, or destroyed."""
    newest = wanted_epochs(profile, seen.now)[-1]
    lead = profile.key_schedule.start_of(EpochNumber(newest + 1)) - profile.key_lead
    ends = (_destroyed_at(profile, epoch, seen.longest_wait) for _topic, epoch in seen.held)
    return min((lead, *(end for end in ends if end > seen.now)))

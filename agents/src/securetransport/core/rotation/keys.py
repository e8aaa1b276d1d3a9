"""Topic keys and the directory: which keys must exist, and what a service's bundle holds.

Keys need no agreement of servers: a new epoch's keys are made ``key_lead`` before its start and are
in every hand before the boundary, because members refresh in between. Rules:

1. A key's bytes are made once: written with compare-and-swap on "does not exist"; who loses reads.
2. Keys exist for every valid epoch of every topic, and for the next one from its lead on.
3. A key is destroyed after ``validity`` plus the longest time a message may wait to be read.
4. The directory holds every enrolled key whose epoch is valid or next, of services that the ACL
   knows and nobody denied; its leafs are sorted by epoch, then key id.

Source: docs/wire-format.md, "Directory".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from securetransport.core import merkle
from securetransport.core.epochs import EpochNumber
from securetransport.core.model import (
    DenyList,
    Directory,
    DirectoryEntry,
    TopicKey,
    TopicRule,
    VerifyKey,
)
from securetransport.core.names import KeyId, ServiceId, Topic
from securetransport.core.profile import Profile


def wanted_epochs(profile: Profile, now: datetime) -> tuple[EpochNumber, ...]:
    """Return the key epochs that must have keys at ``now``, oldest first (rule 2)."""
    schedule = profile.key_schedule
    following = EpochNumber(schedule.number_at(now) + 1)
    valid = schedule.valid_at(now)
    if now >= schedule.start_of(following) - profile.key_lead:
        return (*valid, following)
    return tuple(valid)


def is_destroyable(
    profile: Profile, epoch: EpochNumber, now: datetime, longest_wait: timedelta
) -> bool:
    """Tell whether no message of ``epoch`` can still be waiting (rule 3)."""
    return now >= profile.key_schedule.expiry_of(epoch) + longest_wait


def select_enrolled(
    keys: Iterable[VerifyKey],
    services: frozenset[ServiceId],
    deny: DenyList,
    profile: Profile,
    now: datetime,
) -> tuple[VerifyKey, ...]:
    """Return the keys the directory lists, in tree order (rule 4)."""
    schedule = profile.key_schedule
    newest = schedule.number_at(now + profile.key_lead + profile.clock_skew)
    chosen = (
        key
        for key in keys
        if key.service in services
        and key.service not in deny.services
        and key.key_id not in deny.key_ids
        and key.epoch <= newest
        and now < schedule.expiry_of(key.epoch) + profile.retry_limit
    )
    return tuple(sorted(chosen, key=lambda key: (key.epoch, key.key_id)))


@dataclass(frozen=True, slots=True)
class DirectoryTree:
    """A directory with the entries that members pull."""

    directory: Directory
    entries: dict[KeyId, DirectoryEntry]


def build_directory(
    keys: tuple[VerifyKey, ...], topic_policies: dict[Topic, tuple[str, ...]]
) -> DirectoryTree:
    """Return the directory over ``keys``, which are in tree order."""
    leafs = [merkle.leaf_hash(key.to_bytes()) for key in keys]
    entries = {
        key.key_id: DirectoryEntry(
            key=key,
            index=index,
            proof=tuple(merkle.inclusion_proof(leafs, index)),
            tree_size=len(leafs),
        )
        for index, key in enumerate(keys)
    }
    directory = Directory(
        tree_size=len(leafs),
        root=merkle.tree_root(leafs),
        key_ids=tuple(key.key_id for key in keys),
        topic_policies=topic_policies,
    )
    return DirectoryTree(directory=directory, entries=entries)


def keys_for(rules: Iterable[TopicRule], keys: Iterable[TopicKey]) -> tuple[TopicKey, ...]:
    """Return the topic keys that a service with ``rules`` gets, in a fixed order."""
    topics = {rule.topic for rule in rules}
    held = (key for key in keys if key.topic in topics)
    return tuple(sorted(held, key=lambda key: (key.topic, key.epoch, key.generation)))

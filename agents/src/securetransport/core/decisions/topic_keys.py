"""Topic keys and the directory: which keys must exist, and what a service's bundle holds.

Keys need no agreement of servers: a new epoch's keys are made ``key_lead`` before its start and are
in every hand before the boundary, because members refresh in between. Rules:

1. A key's bytes are made once: written with compare-and-swap on "does not exist"; who loses reads.
2. Keys exist for every valid epoch of every topic, and for the next one from its lead on.
3. A key is destroyed after ``validity`` plus the longest time a message may wait to be read.
4. The directory holds every enrolled key that a waiting message may be signed with, of services
   that the ACL knows and nobody denied; one tree per epoch, its leaves sorted by key id.

Source: docs/wire-format.md, "Directory".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from securetransport.core.base import merkle
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.base.names import KeyId, ServiceId, Topic
from securetransport.core.base.profile import Profile
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import (
    Directory,
    DirectoryEntry,
    DirectoryTree,
    VerifyKey,
)
from securetransport.core.formats.service_bundle import TopicKey, TopicRule


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
    """Return the keys the directory lists, by epoch, then key id (rule 4)."""
    newest = profile.key_schedule.number_at(now + profile.key_lead + profile.clock_skew)
    chosen = (
        key
        for key in keys
        if key.service in services
        and key.service not in deny.services
        and key.key_id not in deny.key_ids
        and key.epoch <= newest
    )
    return tuple(sorted(chosen, key=lambda key: (key.epoch, key.key_id)))


@dataclass(frozen=True, slots=True)
class BuiltDirectory:
    """A directory with the entries that members pull."""

    directory: Directory
    entries: dict[KeyId, DirectoryEntry]


def build_directory(
    keys: tuple[VerifyKey, ...],
    topic_policies: dict[Topic, tuple[str, ...]],
    announced: Iterable[EpochNumber],
) -> BuiltDirectory:
    """Return the directory over ``keys``.

    Args:
        keys: By epoch, then key id.
        topic_policies: Per topic the accepted digests of its rules.
        announced: Epochs whose keys members shall hold before they are asked for.
    """
    trees: dict[EpochNumber, DirectoryTree] = {}
    entries: dict[KeyId, DirectoryEntry] = {}
    for epoch, group in groupby(keys, key=lambda key: key.epoch):
        members = tuple(group)
        leaves = [merkle.leaf_hash(key.to_bytes()) for key in members]
        trees[epoch] = DirectoryTree(size=len(leaves), root=merkle.tree_root(leaves))
        for index, key in enumerate(members):
            proof = tuple(merkle.inclusion_proof(leaves, index))
            entries[key.key_id] = DirectoryEntry(key=key, index=index, proof=proof)
    wanted = frozenset(announced)
    key_ids = tuple(key.key_id for key in keys if key.epoch in wanted)
    directory = Directory(trees=trees, key_ids=key_ids, topic_policies=topic_policies)
    return BuiltDirectory(directory=directory, entries=entries)


def check_entry(directory: Directory, entry: DirectoryEntry) -> VerifyKey:
    """Return the key of an entry that the signed directory contains.

    Raises:
        RejectedDocumentError: The directory has no such key.
    """
    tree = directory.trees.get(entry.key.epoch)
    leaf = merkle.leaf_hash(entry.key.to_bytes())
    try:
        root = tree and merkle.root_from_proof(leaf, entry.index, tree.size, entry.proof)
    except ValueError as err:
        raise RejectedDocumentError("directory entry has an impossible proof") from err
    if tree is None or root != tree.root:
        raise RejectedDocumentError("key is not in the directory", key=entry.key.key_id)
    return entry.key


def keys_for(rules: Iterable[TopicRule], keys: Iterable[TopicKey]) -> tuple[TopicKey, ...]:
    """Return the topic keys that a service with ``rules`` gets, in a fixed order."""
    topics = {rule.topic for rule in rules}
    held = (key for key in keys if key.topic in topics)
    return tuple(sorted(held, key=lambda key: (key.topic, key.epoch, key.generation)))

"""The directory of verify keys: what it lists, how it is built, and how one entry is checked.

1. It lists every enrolled key that a waiting message may be signed with, of services that the ACL
   knows and nobody denied.
2. There is one tree per key epoch, its leaves sorted by key id, so that a new key changes the
   proofs of its own epoch only.
3. A member believes an entry only with its proof against the root in the signed directory.

Source: docs/wire-format.md, "Directory".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
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


def select_enrolled(
    keys: Iterable[VerifyKey],
    services: frozenset[ServiceId],
    deny: DenyList,
    profile: Profile,
    now: datetime,
) -> tuple[VerifyKey, ...]:
    """Return the keys the directory lists, by epoch, then key id (rule 1)."""
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

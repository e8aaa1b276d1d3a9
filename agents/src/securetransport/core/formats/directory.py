"""The directory: the verify keys that messages may be signed with, in one tree per key epoch."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from securetransport.core.base.names import KeyId, Topic
from securetransport.core.formats.body import (
    Counter,
    Document,
    Epoch,
    Instance,
    Instant,
    Service,
    ShortBytes,
    Text,
)

MOST_PROOF_HASHES: Final = 64
"""More than any tree that fits into memory needs."""

SIGNING_KEY_ID: Final = re.compile(r"[0-9a-f]{32}")

SigningKeyId = Annotated[
    KeyId, StringConstraints(strict=True, pattern=r"^[0-9a-f]{32}$", max_length=32)
]
"""The id of an enrolled key, which is also the last part of its path in OpenBao."""


class VerifyKey(Document):
    """One instance's public signing key of one key epoch.

    Attributes:
        key_id: First 32 hex digits of the SHA-256 over algorithm and public key.
        service: Whose key it is.
        instance: Which replica's.
        epoch: Key epoch it was enrolled for; valid for that epoch's validity.
        algorithm: Signature algorithm, for example ``ML-DSA-65``.
        public_key: Raw public key.
        created_at: When the instance made it.
    """

    key_id: SigningKeyId
    service: Service
    instance: Instance
    epoch: Epoch
    algorithm: Text
    public_key: ShortBytes
    created_at: Instant


class DirectoryEntry(Document):
    """A verify key with the proof that the signed directory contains it.

    Attributes:
        key: The key; its epoch says which tree the proof belongs to.
        index: Its leaf index in that tree.
        proof: Sibling hashes from the leaf upwards (RFC 6962 inclusion proof).
    """

    key: VerifyKey
    index: Counter
    proof: tuple[ShortBytes, ...] = Field(max_length=MOST_PROOF_HASHES)


class DirectoryTree(Document):
    """The verify keys of one key epoch.

    Attributes:
        size: Number of keys.
        root: Merkle tree hash over the keys' bodies, sorted by key id.
    """

    size: Counter
    root: ShortBytes


class Directory(Document):
    """The verify keys that messages may be signed with, and the topic rules they may name.

    A late reader needs keys of epochs long past, so there is one small tree per epoch: a new key
    changes the proofs of its own epoch only.

    Attributes:
        trees: Per key epoch its tree; epochs as long past as a message may wait to be read.
        key_ids: Ids of the keys of valid epochs and the next one; members pull those they miss.
        topic_policies: Per topic the digests of its rules that are accepted now.
    """

    trees: dict[Epoch, DirectoryTree]
    key_ids: tuple[SigningKeyId, ...]
    topic_policies: dict[Topic, tuple[str, ...]]

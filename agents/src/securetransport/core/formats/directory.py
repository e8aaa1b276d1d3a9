"""The directory: the verify keys that messages may be signed with, in one tree per key epoch."""

from __future__ import annotations

from pydantic import AwareDatetime

from securetransport.core.base.names import InstanceId, KeyId, ServiceId, Topic
from securetransport.core.formats.body import Base64Bytes, Document, Epoch


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

    key_id: KeyId
    service: ServiceId
    instance: InstanceId
    epoch: Epoch
    algorithm: str
    public_key: Base64Bytes
    created_at: AwareDatetime


class DirectoryEntry(Document):
    """A verify key with the proof that the signed directory contains it.

    Attributes:
        key: The key; its epoch says which tree the proof belongs to.
        index: Its leaf index in that tree.
        proof: Sibling hashes from the leaf upwards (RFC 6962 inclusion proof).
    """

    key: VerifyKey
    index: int
    proof: tuple[Base64Bytes, ...]


class DirectoryTree(Document):
    """The verify keys of one key epoch.

    Attributes:
        size: Number of keys.
        root: Merkle tree hash over the keys' bodies, sorted by key id.
    """

    size: int
    root: Base64Bytes


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
    key_ids: tuple[KeyId, ...]
    topic_policies: dict[Topic, tuple[str, ...]]

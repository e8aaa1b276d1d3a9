"""Attestations: what a member verifies with, and what a keeper put in force."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from securetransport.core.formats.body import (
    Document,
    Epoch,
    Flag,
    Instance,
    Instant,
    Sha256,
    ShortBytes,
    Text,
    Version,
)

MOST_LEAF_CERTIFICATES: Final = 16
"""An instance has one, and while it moves two."""


class Attestation(Document):
    """An instance's statement of what it verifies with.

    Attributes:
        instance: Who says it.
        boot_id: Random per process.
        digest: The trust digest D it verifies with.
        bundle_version: Version of the TrustBundle it loaded.
        leaf_fingerprints: SHA-256 of every leaf DER it is connected with, or about to be, hex.
        certificates: Their DERs, same order; the authority verifies the chain itself.
        attested_at: When.
    """

    instance: Instance
    boot_id: Text
    digest: Text
    bundle_version: Version
    leaf_fingerprints: tuple[Sha256, ...] = Field(
        max_length=MOST_LEAF_CERTIFICATES,
        validation_alias="leafs",
        serialization_alias="leafs",
    )
    certificates: tuple[ShortBytes, ...] = Field(max_length=MOST_LEAF_CERTIFICATES)
    attested_at: Instant


class KeeperAttestation(Document):
    """What one keeper put in force beside its server; written to OpenBao, where only it may write.

    Attributes:
        server: Its server.
        digest: Trust digest of the files in force.
        bundle_version: Version of the TrustBundle in force.
        policy_version: Version of the BrokerPolicy in force.
        leaf: SHA-256 of the server leaf in force, hex.
        leaf_epoch: CA epoch that signed it.
        leaf_not_after: When it ends.
        is_served: The keeper's own probe saw the files in force on the running server.
        attested_at: When.
    """

    server: Text
    digest: Text
    bundle_version: Version
    policy_version: Version
    leaf: Sha256
    leaf_epoch: Epoch
    leaf_not_after: Instant
    is_served: Flag
    attested_at: Instant

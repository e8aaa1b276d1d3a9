"""What the keeper states in OpenBao, and when it states it again (rule 6 of ``decide``)."""

from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.decisions.server_files.observation import FilesInForce, Observation
from securetransport.core.formats.attestation import KeeperAttestation


def attestation(
    server: str, files: FilesInForce, at: datetime, *, is_served: bool
) -> KeeperAttestation:
    """Return the statement for ``files``."""
    return KeeperAttestation(
        server=server,
        digest=files.digest,
        bundle_version=files.bundle_version,
        policy_version=files.policy_version,
        leaf=files.leaf.fingerprint,
        leaf_epoch=files.leaf.epoch,
        leaf_not_after=files.leaf.not_after,
        is_served=is_served,
        attested_at=at,
    )


def is_attestation_due(seen: Observation, files: FilesInForce, *, served: bool) -> bool:
    """Tell whether the last statement is unknown, too old, of the future, or no longer true."""
    last = seen.attested
    if last is None or not timedelta(0) <= seen.at - last.attested_at < seen.attest_every:
        return True
    return attestation(last.server, files, last.attested_at, is_served=served) != last

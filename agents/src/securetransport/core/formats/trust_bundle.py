"""The trust bundle: which intermediates verifiers accept, and when members renew.

How a receiver judges one: :mod:`securetransport.core.trust.bundle`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from securetransport.core.formats.body import (
    Document,
    Epoch,
    Instant,
    Sha256,
    ShortBytes,
    Text,
)


class EpochState(StrEnum):
    """Life of a CA epoch (docs/architecture.md, "Rotation"); at most one epoch is ``active``."""

    PLANNED = "planned"
    PREPARED = "prepared"
    DISTRIBUTED = "distributed"
    CONFIRMED = "confirmed"
    ACTIVE = "active"
    LEGACY = "legacy"
    RETIRED = "retired"
    DESTROYED = "destroyed"
    ABANDONED = "abandoned"


TRUSTED_STATES = frozenset(
    {
        EpochState.DISTRIBUTED,
        EpochState.CONFIRMED,
        EpochState.ACTIVE,
        EpochState.LEGACY,
    }
)
"""States in which servers and members accept an epoch's leaf certificates."""


class TrustedIssuer(Document):
    """One intermediate that verifiers accept as an anchor.

    Attributes:
        epoch: Its CA epoch.
        state: Where the epoch stands.
        certificate: DER of the intermediate.
        fingerprint: SHA-256 of the DER, hex.
        common_name: Its subject common name, as a TLS handshake lists it.
        not_before: Start of validity of the certificate.
        not_after: End of validity of the certificate.
    """

    epoch: Epoch
    state: EpochState
    certificate: ShortBytes
    fingerprint: Sha256
    common_name: Annotated[str, Field(strict=True, max_length=256)]
    not_before: Instant
    not_after: Instant


class RenewalWindow(Document):
    """When members move to the newly active issuer; each picks its instant by a hash of its id.

    Attributes:
        epoch: The issuer to renew onto.
        opens_at: First instant.
        closes_at: Last instant.
    """

    epoch: Epoch
    opens_at: Instant
    closes_at: Instant


class TrustBundle(Document):
    """The trust set of one moment: live intermediates only, never a root.

    Attributes:
        issuers: What to trust, by rising epoch.
        active: The signing epoch, ``None`` before the first activation.
        digest: SHA-256 over the sorted DERs, hex (``core.trust.bundle.trust_digest``).
        renewal: The announced renewal window, if one is open or coming.
    """

    issuers: tuple[TrustedIssuer, ...]
    active: Epoch | None
    digest: Text
    renewal: RenewalWindow | None = None

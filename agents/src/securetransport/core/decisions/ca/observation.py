"""What the authority sees at one moment; ``None`` always means "unknown", never "no" or "empty"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint, InstanceId
from securetransport.core.formats.attestation import Attestation, KeeperAttestation
from securetransport.core.formats.body import Version
from securetransport.core.formats.server_report import ServerReport
from securetransport.core.formats.trust_bundle import TrustBundle


@dataclass(frozen=True, slots=True)
class MountIssuer:
    """One issuer as OpenBao's mount reports it.

    Attributes:
        issuer_id: OpenBao's id.
        name: The name given at creation, ``e<epoch>-a<attempt>``; empty between import and naming.
        key_id: Id of its key, empty when the mount holds no key for it.
        key_name: Name of its key, the same as the issuer's; read only where ``name`` is empty.
        certificate: DER.
        may_issue: Its usage includes ``issuing-certificates``.
        is_default: It is the mount's default issuer.
    """

    issuer_id: str
    name: str
    key_id: str
    key_name: str
    certificate: bytes
    may_issue: bool
    is_default: bool

    @property
    def made_as(self) -> str:
        """Return under which name it was made: its own, or the one that its key got before it."""
        return self.name or self.key_name


@dataclass(frozen=True, slots=True)
class PublishedBundle:
    """The TrustBundle that lies in KV now."""

    bundle: TrustBundle
    version: Version
    created_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class MemberAttestation:
    """An attestation that the authority verified, with the broker's instant of arrival.

    Attributes:
        attestation: The statement.
        received_at: When the stream stored it.
        leaf_epochs: For each attested leaf whose chain the authority verified, its CA epoch.
    """

    attestation: Attestation
    received_at: datetime
    leaf_epochs: dict[Fingerprint, EpochNumber]


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at the world.

    Attributes:
        now: The authority's clock.
        issuers: What the mount holds.
        published: What lies in KV, ``None`` when nothing was ever published.
        keepers: By server name; ``None`` for a keeper that never attested.
        report: The watcher's newest report.
        report_received_at: When it arrived, by the authority's clock: evidence ages by the clock of
            whoever judges it, never by the difference of two.
        members: Verified attestations by instance.
        admin_user: The user whose short connections do not attest.
        foreign_users: Users that cannot attest, by the ACL.
    """

    now: datetime
    issuers: tuple[MountIssuer, ...]
    published: PublishedBundle | None
    keepers: dict[str, KeeperAttestation | None]
    report: ServerReport | None
    report_received_at: datetime | None
    members: dict[InstanceId, MemberAttestation]
    admin_user: str
    foreign_users: frozenset[str] = frozenset()

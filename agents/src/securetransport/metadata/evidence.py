"""What the authority has heard: verified attestations of members and reports of the watcher.

Everything here came over the bus from others, so nothing is believed before its signature and its
certificates were checked against what the authority knows itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import ValidationError

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.base.names import Fingerprint, InstanceId, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.crypto import x509
from securetransport.core.decisions.ca.observation import MemberAttestation
from securetransport.core.decisions.ca.record import Issuer
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.body import DocumentKind, problem_of
from securetransport.core.formats.documents import SignedDocument
from securetransport.core.formats.server_report import ServerReport
from securetransport.metadata.enrolled import EnrolledKeys

_MEMBER_TTL = timedelta(hours=24)


class EvidenceStore:
    """Holds the newest verified statement of each member, and the newest report."""

    def __init__(self, trust_domain: str, profile: Profile, keys: EnrolledKeys) -> None:
        self._trust_domain = trust_domain
        self._profile = profile
        self._keys = keys
        self._issuers: tuple[Issuer, ...] = ()
        self.members: dict[InstanceId, MemberAttestation] = {}
        self.report: ServerReport | None = None
        self.report_received_at: datetime | None = None
        self.refused = 0

    def know_issuers(self, issuers: Iterable[Issuer]) -> None:
        """Tell which issuers exist; leaf certificates of others belong to no epoch."""
        self._issuers = tuple(issuers)

    async def accept_attestation(self, data: bytes, received_at: datetime, now: datetime) -> None:
        """Take in one attestation.

        Args:
            data: The encoded document.
            received_at: When the broker stored it.
            now: The authority's clock.

        Raises:
            RejectedDocumentError: It is not what it claims; nothing changes.
        """
        document = documents.decode(data)
        body = await self._verified(document, DocumentKind.ATTESTATION, now)
        try:
            statement = Attestation.from_bytes(body)
        except ValidationError as err:
            raise RejectedDocumentError(
                "attestation has an invalid body", problem=problem_of(err)
            ) from err
        if statement.instance != document.signer:
            raise RejectedDocumentError(
                "attestation speaks for another instance", signer=document.signer
            )
        if statement.attested_at - now > self._profile.clock_skew:
            raise RejectedDocumentError(
                "attestation is dated in the future; compare the member's clock with ours",
                signer=document.signer,
                seconds=round((statement.attested_at - now).total_seconds(), 1),
            )
        held = self.members.get(statement.instance)
        if held and held.attestation.attested_at > statement.attested_at:
            return  # an older one that arrived late
        self.members[statement.instance] = MemberAttestation(
            attestation=statement,
            received_at=received_at,
            leaf_epochs=self._leaf_epochs(statement),
        )
        self._forget_the_gone(now)

    async def accept_report(self, data: bytes, now: datetime) -> None:
        """Take in one report of the watcher.

        Raises:
            RejectedDocumentError: It is not the watcher's, or dated in the future.
        """
        document = documents.decode(data)
        body = await self._verified(document, DocumentKind.SERVER_REPORT, now)
        if service_of(InstanceId(document.signer)) != names.WATCHER:
            raise RejectedDocumentError("only the watcher reports servers", signer=document.signer)
        try:
            report = ServerReport.from_bytes(body)
        except ValidationError as err:
            raise RejectedDocumentError(
                "server report has an invalid body", problem=problem_of(err)
            ) from err
        if report.reported_at - now > self._profile.clock_skew:
            raise RejectedDocumentError(
                "server report is dated in the future; compare the watcher's clock with ours",
                signer=document.signer,
                seconds=round((report.reported_at - now).total_seconds(), 1),
            )
        if self.report is None or report.reported_at > self.report.reported_at:
            self.report, self.report_received_at = report, now

    async def _verified(self, document: SignedDocument, kind: DocumentKind, now: datetime) -> bytes:
        key = await self._keys.find(InstanceId(document.signer), document.key_id, now)
        return documents.verify_document(
            document,
            lambda _key_id: (key.algorithm, key.public_key),
            kind=kind,
            audience=documents.AUTHORITY,
            at=now,
            skew=self._profile.clock_skew,
        )

    def _leaf_epochs(self, statement: Attestation) -> dict[Fingerprint, EpochNumber]:
        """Return the attested leaf certificates of this very service, with their CA epochs."""
        wanted = names.spiffe_id(self._trust_domain, service_of(statement.instance))
        found: dict[Fingerprint, EpochNumber] = {}
        for certificate in statement.certificates:
            try:
                facts = x509.describe(certificate)
                issuer = self._issuer_of(certificate, facts.issuer_common_name)
            except SecureTransportError:
                continue  # an unverified leaf stays unknown, and so counts against every epoch
            if issuer is not None and facts.uri_sans == (wanted,):
                found[facts.fingerprint] = issuer
        return found

    def _issuer_of(self, certificate: bytes, common_name: str) -> EpochNumber | None:
        for issuer in self._issuers:
            if issuer.common_name == common_name:
                x509.check_signed_by(certificate, issuer.certificate)
                return x509.epoch_of_common_name(common_name)
        return None

    def _forget_the_gone(self, now: datetime) -> None:
        gone = [
            instance
            for instance, member in self.members.items()
            if now - member.received_at > _MEMBER_TTL
        ]
        for instance in gone:
            del self.members[instance]

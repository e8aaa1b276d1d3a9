"""Attestations: this instance's signed statement of its trust and leaf certificates.

The authority counts a connection only by the leaf it presented, and a leaf nobody attested counts
against every epoch. So a leaf is attested before a connection is made with it, if there is one to
say so on, and again after each connect, each change of trust and every quarter period.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import Fingerprint, InstanceId
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.crypto.x509 import pem_to_der
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.ports import TlsIdentity
from securetransport.core.ports.bus import Connection
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.member.account import Account
from securetransport.member.telemetry import SessionTelemetry


@dataclass(frozen=True, slots=True)
class Attested:
    """What was attested last, and where.

    Attributes:
        digest: Trust digest.
        leaf_fingerprints: Of the attested leaf certificates.
        monotonic: When, for the next one.
    """

    digest: str
    leaf_fingerprints: frozenset[Fingerprint]
    monotonic: float


class Attestor:
    """Signs and publishes attestations of one instance.

    Args:
        instance: Who states.
        boot_id: Random per process.
        account: How long a statement counts, and how it reaches the authority.
        clock: Wall time of the statement, monotonic time of its age.
        telemetry: Counts results.
    """

    def __init__(
        self,
        instance: InstanceId,
        boot_id: str,
        account: Account,
        clock: Clock,
        telemetry: SessionTelemetry,
    ) -> None:
        self._instance = instance
        self._boot_id = boot_id
        self._clock = clock
        self._account = account
        self._telemetry = telemetry
        self._counter = 0

    async def attest(
        self,
        connection: Connection,
        key: SigningKey,
        trust: AcceptedTrust,
        identities: Iterable[TlsIdentity],
    ) -> Attested:
        """Hand a statement over and return when it was taken.

        Raises:
            BusUnavailableError: It was not taken.
            PermissionDeniedError: This user may not attest for this instance.
        """
        by_fingerprint = {entry.fingerprint: entry for entry in identities}
        now = self._clock.now()
        fingerprints = tuple(Fingerprint(name) for name in sorted(by_fingerprint))
        statement = Attestation(
            instance=self._instance,
            boot_id=self._boot_id,
            digest=trust.body.digest,
            bundle_version=trust.version,
            leaf_fingerprints=fingerprints,
            certificates=tuple(
                pem_to_der(by_fingerprint[name].certificate) for name in fingerprints
            ),
            attested_at=now,
        )
        # Statements of one instance are ordered by its clock, since no counter survives a restart;
        # two of one instant, or of a clock that was set back, still differ.
        self._counter = max(self._counter + 1, int(now.timestamp() * 1_000_000))
        document = documents.sign_with_key(
            kind=DocumentKind.ATTESTATION,
            audience=documents.AUTHORITY,
            version=Version(counter=self._counter),
            created_at=now,
            not_after=now + self._account.statement_life,
            body=statement.to_bytes(),
            signer=self._instance,
            key=key,
        )
        try:
            await self._account.deliver(
                connection,
                names.subject_attestation(self._instance),
                documents.encode(document),
                f"attest-{self._boot_id}-{self._counter}",
            )
        except SecureTransportError:
            self._telemetry.attestations.labels("failed").inc()
            raise
        self._telemetry.attestations.labels("done").inc()
        return Attested(trust.body.digest, frozenset(fingerprints), self._clock.monotonic())

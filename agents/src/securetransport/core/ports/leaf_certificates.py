"""Where a process gets its leaf certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A leaf with its key, as PEM.

    Attributes:
        certificate: Leaf, PEM.
        private_key: PKCS#8, PEM. Never logged.
        fingerprint: SHA-256 of the leaf's DER, hex.
        issuer_common_name: Common name of the intermediate that signed it.
        not_before: Start of validity.
        not_after: End of validity.
    """

    certificate: str
    private_key: str
    fingerprint: str
    issuer_common_name: str
    not_before: datetime
    not_after: datetime

    def __repr__(self) -> str:
        """Return what identifies the leaf; the key stays out of logs."""
        return f"TlsIdentity({self.issuer_common_name}, {self.fingerprint[:16]})"


class LeafSource(Protocol):
    """Where a process gets its leaf: ``openbao`` (local key and CSR) or ``cert_manager``."""

    async def issue(self, life: timedelta) -> TlsIdentity:
        """Return a fresh leaf, signed by the issuer that is active now.

        Args:
            life: How long it is to be valid; a source may give another life, and refuses one that
                outlives the issuer, see ``core.trust.bundle.fitting_ttl``.
        """
        ...

"""Trust sets: what a verifier makes of one, and what a receiver demands of its content.

:data:`TRUST_BUNDLE` is accepted by :func:`securetransport.core.trust.documents.accept`, and then:

1. Every entry is consistent: fingerprint, common name and times are those of its certificate, the
   certificate is a CA, epochs rise, and the digest is the one of the certificates.
2. No certificate is self-issued: a root in the set would make every intermediate acceptable.

Source: docs/architecture.md, "Trust".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base.errors import MalformedMessageError, RejectedDocumentError
from securetransport.core.crypto import x509
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.trust_bundle import TRUSTED_STATES, TrustBundle, TrustedIssuer
from securetransport.core.trust.documents import Accepted, DocumentType

_ISSUER_MARGIN = timedelta(seconds=2)
_SHORTEST_LEAF = timedelta(seconds=3)


def trust_digest(certificates: Iterable[bytes]) -> str:
    """Return D: SHA-256, in hex, over the DERs sorted bytewise and concatenated."""
    digest = hashlib.sha256()
    for certificate in sorted(certificates):
        digest.update(certificate)
    return digest.hexdigest()


def anchors(bundle: TrustBundle) -> tuple[bytes, ...]:
    """Return the DERs that a verifier loads as anchors, by rising epoch."""
    return tuple(entry.certificate for entry in bundle.issuers if entry.state in TRUSTED_STATES)


def names(bundle: TrustBundle) -> frozenset[str]:
    """Return the common names that a server in force with ``bundle`` lists to a TLS client."""
    return frozenset(entry.common_name for entry in bundle.issuers if entry.state in TRUSTED_STATES)


def fitting_ttl(longest: timedelta, bundle: TrustBundle | None, now: datetime) -> timedelta:
    """Return the life to ask for in a leaf: ``longest``, or what is left of the active issuer.

    OpenBao refuses a leaf that outlives its issuer. While a rotation holds, the active issuer grows
    older than planned, and a shorter leaf is better than none.
    """
    if bundle is None or bundle.active is None:
        return longest
    ends = [entry.not_after for entry in bundle.issuers if entry.epoch == bundle.active]
    left = ends[0] - now - _ISSUER_MARGIN if ends else longest
    return min(longest, left) if left >= _SHORTEST_LEAF else longest


def _check_entries(bundle: TrustBundle, _audience: str) -> None:
    epochs = [entry.epoch for entry in bundle.issuers]
    if epochs != sorted(set(epochs)):
        raise RejectedDocumentError("trust bundle does not list rising epochs", epochs=epochs)
    for entry in bundle.issuers:
        _check_entry(entry)
    if bundle.digest != trust_digest(anchors(bundle)):
        raise RejectedDocumentError("trust bundle digest does not match its certificates")
    if bundle.active is not None and bundle.active not in epochs:
        raise RejectedDocumentError("active epoch is not in the trust bundle", epoch=bundle.active)


def _check_entry(entry: TrustedIssuer) -> None:
    try:
        facts = x509.describe(entry.certificate)
    except MalformedMessageError as err:
        raise RejectedDocumentError(
            "trust bundle entry holds no certificate", epoch=entry.epoch
        ) from err
    stated = (entry.fingerprint, entry.common_name, entry.not_before, entry.not_after)
    found = (facts.fingerprint, facts.common_name, facts.not_before, facts.not_after)
    if stated != found:
        raise RejectedDocumentError(
            "trust bundle entry does not describe its certificate", epoch=entry.epoch
        )
    if not facts.is_ca:
        raise RejectedDocumentError("trust bundle entry is not a CA", epoch=entry.epoch)
    if facts.issuer_common_name == facts.common_name:
        raise RejectedDocumentError("trust bundle holds a root", epoch=entry.epoch)
    if x509.epoch_of_common_name(facts.common_name) != entry.epoch:
        raise RejectedDocumentError(
            "trust bundle entry names another epoch than its certificate", epoch=entry.epoch
        )


TRUST_BUNDLE: Final = DocumentType(DocumentKind.TRUST_BUNDLE, TrustBundle, _check_entries)

AcceptedTrust = Accepted[TrustBundle]

"""Which TrustBundle is in force: the rules by which a receiver accepts one, in the order applied.

1. The document is signed by a pinned authority key, is a trust bundle, and is for everybody.
2. Its version is not lower than the highest ever accepted (kept across restarts by the caller).
3. It has not expired when it arrives. One in force that expires later stays in force, because its
   issuers carry their own end; it is reported as stale.
4. Every entry is consistent: fingerprint, common name and times are those of its certificate, the
   certificate is a CA, epochs rise, and the digest is the one of the certificates.
5. No certificate is self-issued: a root in the set would make every intermediate acceptable.

Source: docs/architecture.md, "Trust".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from securetransport.core.base.errors import MalformedMessageError, RejectedDocumentError
from securetransport.core.crypto import x509
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.documents import SignedDocument, decode, verify_document
from securetransport.core.formats.trust_bundle import TRUSTED_STATES, TrustBundle, TrustedIssuer

PublicKeyLookup = Callable[[str], tuple[str, bytes]]
EVERYBODY = "all"
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


@dataclass(frozen=True, slots=True)
class AcceptedTrust:
    """A TrustBundle that passed every rule.

    Attributes:
        bundle: Its body.
        version: Its version.
        not_after: When the document, not its issuers, expires.
    """

    bundle: TrustBundle
    version: Version
    not_after: datetime

    def is_stale(self, at: datetime) -> bool:
        """Tell whether the authority should have sent a newer document by ``at``."""
        return at >= self.not_after


def accept_trust(
    data: bytes,
    keys: PublicKeyLookup,
    *,
    at: datetime,
    newest: Version | None,
    skew: timedelta = timedelta(0),
) -> AcceptedTrust:
    """Apply the rules above to an encoded document.

    Args:
        data: The encoded SignedDocument.
        keys: Finds a pinned authority key by its id.
        at: Now.
        newest: Highest version ever accepted; an equal one is accepted again.
        skew: Accepted disagreement of clocks.

    Raises:
        RejectedDocumentError: A rule is broken; the message says which.
    """
    document = _decode(data)
    body = verify_document(
        document,
        keys,
        kind=DocumentKind.TRUST_BUNDLE,
        audience=EVERYBODY,
        at=at,
        newest=newest,
        skew=skew,
    )
    try:
        bundle = TrustBundle.from_bytes(body)
    except ValidationError as err:
        raise RejectedDocumentError("trust bundle has an invalid body", problem=str(err)) from err
    _check_entries(bundle)
    return AcceptedTrust(bundle=bundle, version=document.version, not_after=document.not_after)


def _decode(data: bytes) -> SignedDocument:
    try:
        return decode(data)
    except MalformedMessageError as err:
        raise RejectedDocumentError("trust bundle is not a signed document") from err


def _check_entries(bundle: TrustBundle) -> None:
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

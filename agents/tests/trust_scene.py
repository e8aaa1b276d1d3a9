"""Trust sets of real certificates for unit tests; the same in every test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from certificates import Issuer
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.crypto import signing, x509
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import Version
from securetransport.core.formats.trust_bundle import EpochState, TrustBundle, TrustedIssuer
from securetransport.core.trust import bundle as trust
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.core.trust.documents import Accepted

KEY_ID = "authority-signing:v1"


@cache
def issuer_of(epoch: int) -> Issuer:
    """The intermediate of an epoch, 1 to 9; the same in every test."""
    return Issuer.root("scene root").intermediate(f"nats-int e{epoch} 000000000000000{epoch}")


def issuer_names(*epochs: int) -> set[str]:
    return {issuer_of(epoch).common_name for epoch in epochs}


def entry(epoch: int, active: int) -> TrustedIssuer:
    der = issuer_of(epoch).der
    facts = x509.describe(der)
    return TrustedIssuer(
        epoch=EpochNumber(epoch),
        state=EpochState.ACTIVE if epoch == active else EpochState.DISTRIBUTED,
        certificate=der,
        fingerprint=facts.fingerprint,
        common_name=facts.common_name,
        not_before=facts.not_before,
        not_after=facts.not_after,
    )


def bundle(*epochs: int, active: int) -> TrustBundle:
    entries = tuple(entry(epoch, active) for epoch in epochs)
    digest = trust.trust_digest(item.certificate for item in entries)
    return TrustBundle(issuers=entries, active=EpochNumber(active), digest=digest)


def accepted(*epochs: int, active: int, counter: int = 1) -> AcceptedTrust:
    """Return a trust set as a member holds it."""
    end = datetime.now(UTC) + timedelta(hours=1)
    return Accepted(bundle(*epochs, active=active), Version(counter=counter), end)


@cache
def authority_key() -> signing.SigningKey:
    return signing.generate_signing_key()


def keys_json() -> str:
    """The pinned keys of an authority, as Ansible writes them."""
    key = authority_key()
    return AuthorityKeys({KEY_ID: (key.algorithm, key.public_key)}).to_json()

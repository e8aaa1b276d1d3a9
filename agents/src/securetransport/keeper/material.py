"""What goes into the files: the leaf with its chain, the trust set, the users."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from securetransport.core.acl import render_broker_conf
from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.base.names import NATS_SERVER, Fingerprint, spiffe_id
from securetransport.core.crypto import x509
from securetransport.core.decisions import server_files
from securetransport.core.decisions.server_files import FilesInForce, LeafFacts, Wanted
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.core.ports import TlsIdentity
from securetransport.core.trust import bundle as trust
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.core.trust.documents import AcceptedPolicy
from securetransport.keeper.generations import (
    ANCHORS,
    BROKER,
    CERTIFICATE,
    PRIVATE_KEY,
    Generation,
    content_digest,
)

EARLIEST_RENEWAL = 1 / 3
LATEST_RENEWAL = 1 / 2


@dataclass(frozen=True, slots=True)
class LeafMaterial:
    """A server leaf that may be written.

    Attributes:
        facts: What it is.
        chain: ``tls.crt``: the leaf and the intermediate that signed it, PEM.
        private_key: ``tls.key``. Never logged.
    """

    facts: LeafFacts
    chain: bytes
    private_key: bytes

    def __repr__(self) -> str:
        """Return what identifies the leaf; the key stays out of logs."""
        return f"LeafMaterial({self.facts.issuer}, {self.facts.fingerprint[:16]})"


def material_of(generation: Generation) -> LeafMaterial:
    """Return the leaf of files in force."""
    files = generation.files
    return LeafMaterial(generation.facts.leaf, files[CERTIFICATE], files[PRIVATE_KEY])


def accept_leaf(  # noqa: PLR0913  # what a leaf is judged by
    identity: TlsIdentity,
    wanted: Wanted,
    *,
    server: str,
    trust_domain: str,
    at: datetime,
    is_urgent: bool,
) -> LeafMaterial:
    """Return a leaf that OpenBao just signed, if it is one that the trust set accepts.

    Args:
        identity: Leaf and key.
        wanted: The documents to follow.
        server: Whose leaf.
        trust_domain: Host part of the URI SAN.
        at: When it was issued.
        is_urgent: There is no usable leaf.

    Raises:
        RejectedDocumentError: Wrong issuer, wrong signature or wrong identity.
    """
    issuer = identity.issuer_common_name
    epoch = x509.epoch_of_common_name(issuer)
    if epoch is None or not server_files.is_leaf_acceptable(
        epoch, issuer, wanted, is_urgent=is_urgent
    ):
        raise RejectedDocumentError(
            "OpenBao signed with another issuer than the active one",
            issuer=issuer,
            active=wanted.bundle.active,
        )
    issuer_der = _certificate_named(wanted.bundle, issuer)
    leaf_der = x509.pem_to_der(identity.certificate)
    x509.check_signed_by(leaf_der, issuer_der)
    uri = spiffe_id(trust_domain, NATS_SERVER)
    if x509.describe(leaf_der).uri_sans != (uri,):
        raise RejectedDocumentError("OpenBao signed another identity", expected=uri)
    life = identity.not_after - at
    facts = LeafFacts(
        fingerprint=Fingerprint(identity.fingerprint),
        epoch=epoch,
        issuer=issuer,
        not_after=identity.not_after,
        renew_at=at + life * renewal_fraction(server),
        proves_broker=wanted.broker,
    )
    chain = x509.der_to_pem(leaf_der) + x509.der_to_pem(issuer_der)
    return LeafMaterial(facts, chain.encode(), identity.private_key.encode())


def renewal_fraction(server: str) -> float:
    """Return at which part of its life this server's leaf is renewed, spread by its name."""
    spread = int.from_bytes(hashlib.sha256(server.encode()).digest()[:4], "big") / 2**32
    return EARLIEST_RENEWAL + (LATEST_RENEWAL - EARLIEST_RENEWAL) * spread


def wanted_of(trusted: AcceptedTrust, policy: AcceptedPolicy) -> tuple[Wanted, bytes]:
    """Return the documents to follow, and the ``broker.conf`` that they ask for."""
    broker = render_broker_conf(policy.body).encode()
    digest = hashlib.sha256(broker).hexdigest()
    return Wanted(trusted.body, trusted.version, policy.version, digest), broker


def render(wanted: Wanted, broker: bytes, leaf: LeafMaterial) -> Mapping[str, bytes]:
    """Return name to content of the files that should be in force."""
    anchors = "".join(x509.der_to_pem(der) for der in trust.anchors(wanted.bundle))
    return {
        CERTIFICATE: leaf.chain,
        PRIVATE_KEY: leaf.private_key,
        ANCHORS: anchors.encode(),
        BROKER: broker,
    }


def facts_of(wanted: Wanted, leaf: LeafMaterial, files: Mapping[str, bytes]) -> FilesInForce:
    """Return what ``files`` hold."""
    return FilesInForce(
        content=content_digest(files),
        digest=wanted.bundle.digest,
        names=wanted.names,
        broker=wanted.broker,
        bundle_version=wanted.bundle_version,
        policy_version=wanted.policy_version,
        leaf=leaf.facts,
    )


def _certificate_named(bundle: TrustBundle, common_name: str) -> bytes:
    for entry in bundle.issuers:
        if entry.common_name == common_name:
            return entry.certificate
    raise RejectedDocumentError("issuer is not in the trust bundle", issuer=common_name)

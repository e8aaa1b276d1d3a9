"""Makes ``first_edition/``: what processes of the first edition (version 0.1.0) left on disk.

Runs against the package of that edition, whose module names it uses::

    git worktree add ../first 3fd9d57
    PYTHONPATH=../first/agents/src python agents/tests/unit/documents/make_first_edition.py

It writes through that edition's own classes: a keeper's ``trust-bundle`` and ``broker-policy``
(``keeper.documents.KeptDocument``), a member's ``versions.json`` (``service.versions``), and the
pinned keys. The keys are made anew each time and thrown away.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from securetransport.core import documents, trust
from securetransport.core.authority_keys import AuthorityKeys
from securetransport.core.crypto import signing
from securetransport.core.crypto.x509 import describe
from securetransport.core.model import (
    BrokerPolicy,
    Document,
    DocumentKind,
    EpochState,
    TrustBundle,
    TrustedIssuer,
    Version,
)
from securetransport.core.names import issuer_common_name
from securetransport.keeper.documents import KeptDocument, accept_policy
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.service.versions import VersionStore

FOLDER = Path(__file__).parent / "first_edition"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY_ID = "authority-signing:v1"
EPOCH = 29454480
VERSION = Version(incarnation=1, counter=7)


def certificate() -> bytes:
    """Return the DER of an intermediate; the root's key is forgotten."""
    key, root = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = issuer_common_name(EPOCH, "0" * 64)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT - timedelta(minutes=2))
        .not_valid_after(AT + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def sign(key: signing.SigningKey, kind: DocumentKind, body: Document, version: Version) -> bytes:
    """Return an encoded document of the authority."""
    unsigned = documents.unsigned(
        kind=kind,
        audience=documents.EVERYBODY,
        version=version,
        created_at=AT,
        not_after=AT + timedelta(hours=1),
        body=body.to_bytes(),
        signer=documents.AUTHORITY,
        key_id=KEY_ID,
        algorithm=key.algorithm,
    )
    signature = key.sign(documents.to_be_signed(unsigned))
    return bytes(documents.encode(documents.with_signature(unsigned, signature)))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    key = signing.generate_signing_key()
    keys = AuthorityKeys({KEY_ID: (key.algorithm, key.public_key)})
    (FOLDER / "authority-keys.json").write_text(keys.to_json())
    der = certificate()
    facts = describe(der)
    issuer = TrustedIssuer(
        epoch=EPOCH,
        state=EpochState.ACTIVE,
        certificate=der,
        fingerprint=facts.fingerprint,
        common_name=facts.common_name,
        not_before=facts.not_before,
        not_after=facts.not_after,
    )
    bodies = {
        DocumentKind.TRUST_BUNDLE: TrustBundle(
            issuers=(issuer,), active=EPOCH, digest=trust.trust_digest([der])
        ),
        DocumentKind.BROKER_POLICY: BrokerPolicy(acl_digest="0" * 64, users=()),
    }
    accept = {
        DocumentKind.TRUST_BUNDLE: trust.accept_trust,
        DocumentKind.BROKER_POLICY: accept_policy,
    }
    telemetry = KeeperTelemetry(CollectorRegistry())
    for kind, body in bodies.items():
        data = sign(key, kind, body, VERSION)
        document = KeptDocument(
            kind,
            FOLDER / kind.value,
            lambda data, at, newest, kind=kind: accept[kind](
                data, keys.lookup, at=at, newest=newest
            ),
            telemetry,
        )
        assert document.offer({"document": base64.b64encode(data).decode()}, AT)
    asyncio.run(member())


async def member() -> None:
    """Leave what a service leaves."""
    store = VersionStore(FOLDER)
    await store.accept(DocumentKind.TRUST_BUNDLE, VERSION)
    await store.accept(DocumentKind.DIRECTORY, Version(counter=3))


if __name__ == "__main__":
    main()

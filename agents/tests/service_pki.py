"""A small CA for these tests: intermediates named like ours, certificates of services and servers.

OpenBao makes the real ones; here only the bus is under test, so ``cryptography`` is enough.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import issuer_common_name
from securetransport.core.crypto.x509 import tls_identity
from securetransport.core.ports import TlsIdentity

TRUST_DOMAIN = "securetransport.local"


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@dataclass
class Issuer:
    """One intermediate of a CA epoch, signed by a root nobody trusts."""

    epoch: EpochNumber
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, epoch: int, at: datetime | None = None) -> Issuer:
        root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        now = at or datetime.now(UTC)
        subject = issuer_common_name(EpochNumber(epoch), hashlib.sha256(_spki(key)).hexdigest())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(root, hashes.SHA256())
        )
        return cls(EpochNumber(epoch), key, certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def leaf(
        self,
        service: str,
        replica: str = "1",
        life: timedelta | None = None,
        at: datetime | None = None,
    ) -> TlsIdentity:
        key = ec.generate_private_key(ec.SECP256R1())
        now = at or datetime.now(UTC)
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/{service}"),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(f"{service}/{replica}"))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=2))
            .not_valid_after(now + (life or timedelta(minutes=30)))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return tls_identity(pem, private.decode())

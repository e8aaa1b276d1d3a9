"""A certificate like the one there is, signed by the same CA, whose time is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization


def expired_copy(state_dir: Path, name: str) -> bytes:
    """Return the PEM of a certificate of the listeners that ended an hour ago."""
    folder = state_dir / "authority" / "tls"
    present = x509.load_pem_x509_certificate((state_dir / name).read_bytes())
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(present.subject)
        .issuer_name(present.issuer)
        .public_key(present.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(hours=1))
    )
    for extension in present.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]  # what Ansible made
    return signed.public_bytes(serialization.Encoding.PEM)

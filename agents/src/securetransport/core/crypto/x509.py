"""Certificates: requests, what a certificate says, and who signed it.

TLS keys are EC P-256: they live for minutes and every TLS stack speaks them. What must stay secret
for longer is protected by the message envelope.

Nothing is authorised by a common name; it is read only to know the epoch of an issuer.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import ConfigError, MalformedMessageError, SignatureError
from securetransport.core.base.names import (
    MAX_COMMON_NAME,
    Fingerprint,
    InstanceId,
    ServiceId,
    service_of,
    spiffe_id,
)
from securetransport.core.ports import TlsIdentity

_ISSUER_NAME = re.compile(r"nats-int e(0|[1-9][0-9]{0,17}) [0-9a-f]{16}")
_PARSE_ERRORS = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What one certificate says; none of it is verified by reading it.

    Attributes:
        common_name: Subject common name, empty when there is none.
        issuer_common_name: Issuer common name, empty when there is none.
        fingerprint: SHA-256 of the DER, hex.
        spki_digest: SHA-256 of the SubjectPublicKeyInfo, hex.
        not_before: Start of validity, UTC.
        not_after: End of validity, UTC.
        uri_sans: URI subject alternative names, in order.
        is_ca: Basic constraints say that it is a CA.
    """

    common_name: str
    issuer_common_name: str
    fingerprint: Fingerprint
    spki_digest: str
    not_before: datetime
    not_after: datetime
    uri_sans: tuple[str, ...]
    is_ca: bool


def make_csr(
    *,
    trust_domain: str,
    service: ServiceId,
    instance: InstanceId,
    dns: Sequence[str] = (),
    ips: Sequence[str] = (),
) -> tuple[str, str]:
    """Make a fresh EC P-256 key and a request for a leaf.

    Args:
        trust_domain: Host part of the SPIFFE id.
        service: Whose leaf; must be the service of ``instance``.
        instance: ``<service>/<replica>``, the common name.
        dns: DNS names, for servers.
        ips: IP addresses as text, for servers.

    Returns:
        The request and the PKCS#8 key, both PEM. The key is never logged.

    Raises:
        ConfigError: A name does not fit into a certificate.
    """
    if service_of(instance) != service:
        raise ConfigError([f"instance {instance!r} is not one of service {service!r}"])
    if len(instance) > MAX_COMMON_NAME:
        raise ConfigError([f"instance {instance!r} is longer than {MAX_COMMON_NAME} characters"])
    try:
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(spiffe_id(trust_domain, service)),
            *(x509.DNSName(name) for name in dns),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in ips),
        ]
    except ValueError as err:
        raise ConfigError([f"instance {instance!r}: {err}"]) from err
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, instance)]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return request.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def tls_identity(certificate_pem: str, key_pem: str) -> TlsIdentity:
    """Return leaf and key as one value; what follows the leaf in the PEM is left out.

    Raises:
        MalformedMessageError: One of them cannot be read, or they do not belong together.
    """
    der = pem_to_der(certificate_pem)
    facts = describe(der)
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except _PARSE_ERRORS as err:
        raise MalformedMessageError("leaf key cannot be read") from err
    if hashlib.sha256(spki).hexdigest() != facts.spki_digest:
        raise MalformedMessageError("leaf and key do not belong together", leaf=facts.common_name)
    return TlsIdentity(
        certificate=der_to_pem(der),
        private_key=key_pem,
        fingerprint=facts.fingerprint,
        issuer_common_name=facts.issuer_common_name,
        not_before=facts.not_before,
        not_after=facts.not_after,
    )


def fingerprint(der: bytes) -> Fingerprint:
    """Return the SHA-256 of a DER, hex."""
    return Fingerprint(hashlib.sha256(der).hexdigest())


def pem_to_der(pem: str) -> bytes:
    """Return the DER of the first certificate of a PEM text.

    Raises:
        MalformedMessageError: There is none, or it cannot be read.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except _PARSE_ERRORS as err:
        raise MalformedMessageError("text holds no readable PEM certificate") from err
    return certificate.public_bytes(serialization.Encoding.DER)


def der_to_pem(der: bytes) -> str:
    """Return a certificate as PEM.

    Raises:
        MalformedMessageError: Not a certificate.
    """
    return _load(der).public_bytes(serialization.Encoding.PEM).decode()


def describe(der: bytes) -> CertificateFacts:
    """Return what a certificate says.

    Raises:
        MalformedMessageError: Not a certificate, or one with parts that cannot be read.
    """
    certificate = _load(der)
    try:
        spki = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return CertificateFacts(
            common_name=_common_name(certificate.subject),
            issuer_common_name=_common_name(certificate.issuer),
            fingerprint=fingerprint(der),
            spki_digest=hashlib.sha256(spki).hexdigest(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            uri_sans=_uri_sans(certificate),
            is_ca=_is_ca(certificate),
        )
    except _PARSE_ERRORS as err:
        raise MalformedMessageError("certificate has unreadable parts") from err


def csr_key_digest(csr_pem: str) -> str:
    """Return the SHA-256 of a signing request's SubjectPublicKeyInfo, hex.

    Raises:
        MalformedMessageError: Not a signing request.
    """
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        spki = request.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except _PARSE_ERRORS as err:
        raise MalformedMessageError("text holds no readable signing request") from err
    return hashlib.sha256(spki).hexdigest()


def check_signed_by(leaf_der: bytes, issuer_der: bytes) -> None:
    """Return when ``issuer`` is the named issuer of ``leaf`` and its key signed it.

    Validity in time, key usage and whether the issuer is a CA are *not* checked.

    Raises:
        SignatureError: Another issuer, or the signature does not verify.
        MalformedMessageError: One of them is not a certificate.
    """
    leaf, issuer = _load(leaf_der), _load(issuer_der)
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_PARSE_ERRORS) as err:
        raise SignatureError("certificate was not signed by this issuer") from err


def epoch_of_common_name(common_name: str) -> EpochNumber | None:
    """Return the CA epoch in an issuer's common name, ``None`` when it is not one of ours."""
    match = _ISSUER_NAME.fullmatch(common_name)
    return EpochNumber(int(match.group(1))) if match else None


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except _PARSE_ERRORS as err:
        raise MalformedMessageError("bytes are not a certificate") from err


def _common_name(name: x509.Name) -> str:
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else ""


def _uri_sans(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(x509.UniformResourceIdentifier))


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return extension.value.ca

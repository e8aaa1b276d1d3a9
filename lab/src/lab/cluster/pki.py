"""The keys and certificates of one cluster, and the kubeconfigs that carry them.

A fresh certificate authority for each ``up``; keys never leave the state folder, which only root
may enter. Certificates live for a year: a lab lives for hours, and it does not test their rotation.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.plan import Cluster

_LIFE = dt.timedelta(days=365)
_SKEW = dt.timedelta(minutes=5)
_LOOPBACK = IPv4Address("127.0.0.1")

CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:{node}", "system:nodes"),
    "policy": ("lab:policy", ""),
    "apiserver-kubelet": ("kube-apiserver-kubelet-client", "system:masters"),
}
"""Client certificates: file name to user and group."""


@dataclass(frozen=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def write(cluster: Cluster, folder: Path) -> None:
    """Make every key and certificate of a cluster.

    Args:
        cluster: Whose.
        folder: Gets ``NAME.key`` and ``NAME.crt``, ``ca.*``, ``front-proxy-ca.*``, ``sa.*``.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = _authority(f"kubernetes-{cluster.name}")
    front = _authority(f"front-proxy-{cluster.name}")
    for name, authority in (("ca", ca), ("front-proxy-ca", front)):
        _write_pair(folder, name, authority.key, authority.certificate)
    internal = "kubernetes.default.svc"
    names = ["kubernetes", "kubernetes.default", internal, f"{internal}.cluster.local", "localhost"]
    addresses = [cluster.node, cluster.api_service, _LOOPBACK]
    _leaf(folder, "apiserver", ca, "kube-apiserver", names=names, addresses=addresses)
    node = cluster.name
    kubelet = [cluster.node, _LOOPBACK]
    _leaf(folder, "kubelet-serving", ca, f"system:node:{node}", names=[node], addresses=kubelet)
    for name, (user, group) in CLIENTS.items():
        _leaf(folder, name, ca, user.format(node=node), group=group)
    _leaf(folder, "front-proxy", front, "front-proxy-client")
    signer = ec.generate_private_key(ec.SECP256R1())
    _write(folder / "sa.key", _private(signer))
    public = signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(folder / "sa.pub", public)


def write_kubeconfig(cluster: Cluster, folder: Path, client: str, file: Path) -> None:
    """Write the kubeconfig of one client certificate, mode 0600.

    Args:
        cluster: Whose API server.
        folder: Where :func:`write` put the certificates.
        client: A key of :data:`CLIENTS`.
        file: Where it goes.
    """
    name = cluster.name

    def embedded(part: str) -> str:
        return base64.b64encode((folder / part).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.api,
                    "certificate-authority-data": embedded("ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": f"{name}-{client}",
                "user": {
                    "client-certificate-data": embedded(f"{client}.crt"),
                    "client-key-data": embedded(f"{client}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-{client}"}}],
        "current-context": name,
    }
    _write(file, yaml.safe_dump(config, sort_keys=False).encode())


def _authority(name: str) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = _usage(signs_certificates=True)
    certificate = (
        _builder(subject, subject, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Authority(key, certificate)


def _leaf(
    folder: Path,
    file: str,
    issuer: _Authority,
    user: str,
    *,
    group: str = "",
    names: list[str] | None = None,
    addresses: list[IPv4Address] | None = None,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(x509.Name(attributes), issuer.certificate.subject, key, issuer.key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if names:
        told: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        told += [x509.IPAddress(address) for address in addresses or []]
        builder = builder.add_extension(x509.SubjectAlternativeName(told), critical=False)
    _write_pair(folder, file, key, builder.sign(issuer.key, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
        # Python 3.13 accepts no certificate without these two.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    _write(folder / f"{name}.key", _private(key))
    _write(folder / f"{name}.crt", certificate.public_bytes(Encoding.PEM))


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes) -> None:
    """Write a file that only root may read, from its first byte on."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(file, flags, 0o600), "wb") as opened:
        opened.write(content)

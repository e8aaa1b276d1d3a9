"""Certificates: what requests ask for, what facts are read, and who signed."""

from __future__ import annotations

from typing import Final

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import Issuer
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import ConfigError, MalformedMessageError, SignatureError
from securetransport.core.base.names import InstanceId, ServiceId, issuer_common_name
from securetransport.core.crypto import x509

GATEKEEPER: Final = ServiceId("gatekeeper")
INSTANCE: Final = InstanceId("gatekeeper/1")


@pytest.fixture(scope="module")
def root() -> Issuer:
    return Issuer.root("test root")


@pytest.fixture(scope="module")
def issuer(root: Issuer) -> Issuer:
    return root.intermediate("nats-int e12 0123456789abcdef")


def test_a_request_asks_for_one_identity_with_a_p256_key() -> None:
    text, key = x509.make_csr(
        trust_domain="t.local",
        service=GATEKEEPER,
        instance=INSTANCE,
        dns=["nats-1.local"],
        ips=["127.0.0.1", "::1"],
    )
    request = library.load_pem_x509_csr(text.encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=gatekeeper/1"
    names = request.extensions.get_extension_for_class(library.SubjectAlternativeName).value
    uris = names.get_values_for_type(library.UniformResourceIdentifier)
    assert uris == ["spiffe://t.local/gatekeeper"]
    assert names.get_values_for_type(library.DNSName) == ["nats-1.local"]
    addresses = names.get_values_for_type(library.IPAddress)
    assert [str(address) for address in addresses] == ["127.0.0.1", "::1"]
    public = request.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)
    assert key.startswith("-----BEGIN PRIVATE KEY-----")


def test_every_request_has_its_own_key() -> None:
    def make() -> str:
        return x509.make_csr(trust_domain="t.local", service=GATEKEEPER, instance=INSTANCE)[1]

    assert make() != make()


@pytest.mark.parametrize(
    ("instance", "address", "problem"),
    [
        ("keeper/1", "127.0.0.1", "is not one of service"),
        ("gatekeeper/" + "x" * 60, "127.0.0.1", "longer than 64"),
        ("gatekeeper/1", "localhost", "localhost"),
    ],
)
def test_names_that_do_not_fit_are_refused(instance: str, address: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        x509.make_csr(
            trust_domain="t.local",
            service=GATEKEEPER,
            instance=InstanceId(instance),
            ips=[address],
        )


def test_facts_are_what_the_certificate_says(issuer: Issuer) -> None:
    identity = issuer.leaf("gatekeeper/1")
    der = x509.pem_to_der(identity.certificate)
    facts = x509.describe(der)
    assert facts.common_name == "gatekeeper/1"
    assert facts.issuer_common_name == "nats-int e12 0123456789abcdef"
    assert facts.fingerprint == x509.fingerprint(der) == identity.fingerprint
    assert len(facts.uri_sans) == 1
    assert facts.uri_sans[0].endswith("/gatekeeper")
    assert facts.not_before < facts.not_after
    assert not facts.is_ca
    assert x509.pem_to_der(x509.der_to_pem(der)) == der


def test_a_leaf_with_the_key_of_another_is_refused(issuer: Issuer) -> None:
    one, two = issuer.leaf("gatekeeper/1"), issuer.leaf("gatekeeper/2")
    read = x509.tls_identity(one.certificate + two.certificate, one.private_key)
    assert read.fingerprint == one.fingerprint
    assert "BEGIN" not in repr(read)
    with pytest.raises(MalformedMessageError, match="do not belong together"):
        x509.tls_identity(one.certificate, two.private_key)
    with pytest.raises(MalformedMessageError, match="key cannot be read"):
        x509.tls_identity(one.certificate, "no key")


def test_only_the_issuer_itself_passes_as_the_issuer(root: Issuer, issuer: Issuer) -> None:
    leaf = x509.pem_to_der(issuer.leaf("gatekeeper/1").certificate)
    same_name = root.intermediate("nats-int e12 0123456789abcdef")
    x509.check_signed_by(leaf, issuer.der)
    for other in (same_name, root):
        with pytest.raises(SignatureError):
            x509.check_signed_by(leaf, other.der)


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"\x30\x82\xff\xff", b"text"])
def test_bytes_that_are_no_certificate_are_refused(data: bytes) -> None:
    for read in (x509.describe, x509.der_to_pem):
        with pytest.raises(MalformedMessageError):
            read(data)
    with pytest.raises(MalformedMessageError):
        x509.pem_to_der(data.decode("latin-1"))


@pytest.mark.parametrize(
    ("common_name", "epoch"),
    [
        ("nats-int e1469232 9f2c41d07ab3e815", 1469232),
        ("nats-int e0 9f2c41d07ab3e815", 0),
        ("nats-int e01 9f2c41d07ab3e815", None),
        ("nats-int e-1 9f2c41d07ab3e815", None),
        ("nats-int e1469232 9f2c41d07ab3e81", None),
        ("nats-int e1469232 9F2C41D07AB3E815", None),
        ("x nats-int e1469232 9f2c41d07ab3e815", None),
        ("nats-int e1469232 9f2c41d07ab3e815\n", None),
        ("test root", None),
        ("", None),
    ],
)
def test_the_epoch_is_read_from_our_issuer_names_only(common_name: str, epoch: int | None) -> None:
    assert x509.epoch_of_common_name(common_name) == epoch


def test_the_epoch_of_a_made_name_is_read_back() -> None:
    name = issuer_common_name(EpochNumber(77), "ab" * 32)
    assert x509.epoch_of_common_name(name) == 77

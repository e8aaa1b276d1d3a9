"""Certificates by cert-manager: from an authority in the cluster, and from OpenBao in another."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from scene import C1, C2, NOTES, Space, space, timed

pytestmark = pytest.mark.usefixtures("clusters")
ISSUED_SECONDS = 60


def pem(here: Space, secret: str, entry: str) -> bytes:
    """Return an entry of a Secret."""
    return base64.b64decode(here.look(f"secret/{secret}", f"{{.data.{entry}}}"))


def names(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names of a certificate."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(found.value.get_values_for_type(x509.DNSName))


def leaf_of(here: Space, secret: str) -> x509.Certificate:
    """Return the certificate of a Secret, after a look at its key: they must belong together."""
    certificate = x509.load_pem_x509_certificate(pem(here, secret, r"tls\.crt"))
    key = load_pem_private_key(pem(here, secret, r"tls\.key"), None)
    assert key.public_key() == certificate.public_key()
    return certificate


@pytest.fixture(scope="module")
def authority() -> Iterator[Space]:
    """An authority in c1 that signed itself, and a certificate from it."""
    with space(C1, "openbao") as here:
        here.apply("authority")
        with timed("certificate from an authority in the cluster"):
            here.wait("Ready", "certificate/openbao", limit_seconds=ISSUED_SECONDS)
        yield here


@pytest.fixture(scope="module")
def service(authority: Space) -> Iterator[Space]:
    """OpenBao in c1, and a certificate from it in c2."""
    secret_id = secrets.token_hex(16)
    authority.apply("openbao", seal_key=secrets.token_hex(16), secret_id=secret_id)
    with space(C2, "vault") as here:
        authority.balancer("openbao")
        authority.kubectl.rollout("deployment/openbao", namespace=authority.name)
        trust = authority.look("secret/openbao-tls", r"{.data.ca\.crt}")
        values = {"openbao_namespace": authority.name, "authority": trust}
        with timed("certificate from OpenBao in another cluster"):
            here.apply("vault-issuer", secret_id=secret_id, **values)
            here.wait("Ready", "certificate/service", limit_seconds=ISSUED_SECONDS)
        yield here


def test_an_authority_in_the_cluster_issues(authority: Space) -> None:
    ca = x509.load_pem_x509_certificate(pem(authority, "authority", r"tls\.crt"))
    leaf = leaf_of(authority, "openbao-tls")
    leaf.verify_directly_issued_by(ca)
    assert names(leaf) == {f"openbao.{authority.name}.c1.lab", "localhost"}


def test_openbao_of_another_cluster_issues_by_approle(authority: Space, service: Space) -> None:
    program = (
        "import ssl, urllib.request as u\n"
        "trust = ssl.create_default_context(cafile='/tls/ca.crt')\n"
        "print(u.urlopen('https://localhost:8200/v1/pki/ca/pem', context=trust).read().decode())"
    )
    root = x509.load_pem_x509_certificate(authority.python("deployment/openbao", program).encode())
    leaf = leaf_of(service, "service-tls")
    leaf.verify_directly_issued_by(root)
    assert names(leaf) == {"service.example"}
    assert root.subject.rfc4514_string() == "CN=OpenBao of a test"


@pytest.mark.usefixtures("service")
def test_a_wrong_secret_id_gets_nothing(authority: Space) -> None:
    trust = authority.look("secret/openbao-tls", r"{.data.ca\.crt}")
    with space(C2, "stranger") as here:
        values = {"openbao_namespace": authority.name, "authority": trust, "secret_id": "guessed"}
        here.apply("vault-issuer", **values)
        path = '{.status.conditions[?(@.type=="Ready")].message}'
        here.until("the refusal", "issuer/openbao", path, lambda seen: "invalid" in seen.lower())
        assert "secret/service-tls" not in here.run("get", "secrets", "--output=name").split()
        NOTES.say(f"a wrong SecretID: {here.look('issuer/openbao', path).splitlines()[-1]}")

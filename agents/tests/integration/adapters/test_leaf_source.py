"""Leaf certificates signed by a real OpenBao, and every reason for which it may refuse one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certificates import TRUST_DOMAIN
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.tls import client_context
from securetransport.core.base.errors import SecretStoreUnavailableError, SecureTransportError
from securetransport.core.base.names import InstanceId, ServiceId
from securetransport.core.crypto.x509 import check_signed_by, describe, pem_to_der
from servers import OpenBao

LIFE = timedelta(minutes=5)
GATEKEEPER = ServiceId("gatekeeper")
INSTANCE = InstanceId("gatekeeper/1")
ROLE: dict[str, Any] = {
    "allowed_domains": ["gatekeeper/*", "localhost"],
    "allow_glob_domains": True,
    "allow_bare_domains": True,
    "cn_validations": ["disabled"],
    "enforce_hostnames": False,
    "allowed_uri_sans": [f"spiffe://{TRUST_DOMAIN}/gatekeeper"],
    "allow_ip_sans": True,
    "key_type": "ec",
    "key_bits": 256,
    "max_ttl": "2h",
    "no_store": True,
}


@dataclass
class Ca:
    """An active issuer in ``nats_int`` and a role of its own."""

    store: OpenBaoStore
    role: str
    issuer_id: str
    certificate: str

    def source(self, **changes: Any) -> OpenBaoLeafSource:
        arguments: dict[str, Any] = {"role": self.role, **changes}
        return OpenBaoLeafSource(self.store, TRUST_DOMAIN, GATEKEEPER, INSTANCE, **arguments)


@pytest.fixture
async def ca(bao: OpenBao) -> Ca:
    store = bao.store()
    name = secrets.token_hex(4)
    if not await store.list("pki/issuers"):
        await store.write(
            "pki/root/generate/internal",
            {"common_name": "root", "key_type": "ec", "key_bits": 256, "ttl": "8760h"},
        )
    request = await store.write(
        "nats_int/intermediate/generate/internal",
        {"common_name": f"nats-int e1 {name}", "key_type": "ec", "key_bits": 256},
    )
    signed = await store.write(
        "pki/root/sign-intermediate",
        {"csr": request["csr"], "common_name": f"nats-int e1 {name}", "ttl": "1h"},
    )
    imported = await store.write(
        "nats_int/intermediate/set-signed", {"certificate": signed["certificate"]}
    )
    issuer_id = imported["imported_issuers"][0]
    await store.write(
        f"nats_int/issuer/{issuer_id}",
        {"issuer_name": f"e1-{name}", "leaf_not_after_behavior": "err"},
    )
    await store.write("nats_int/config/issuers", {"default": issuer_id})
    await store.write(f"nats_int/roles/{name}", {**ROLE})
    return Ca(store, name, issuer_id, signed["certificate"])


async def test_leaf_is_the_one_that_was_asked_for(ca: Ca) -> None:
    identity = await ca.source(ips=["127.0.0.1"], dns=["localhost"]).issue(LIFE)
    der = pem_to_der(identity.certificate)
    facts = describe(der)
    check_signed_by(der, pem_to_der(ca.certificate))
    assert facts.common_name == INSTANCE
    assert facts.uri_sans == (f"spiffe://{TRUST_DOMAIN}/gatekeeper",)
    assert identity.issuer_common_name.startswith("nats-int e1 ")
    left = identity.not_after - datetime.now(UTC)
    assert timedelta(minutes=4) < left <= timedelta(minutes=5, seconds=2)
    client_context([pem_to_der(ca.certificate)], identity)


async def test_every_leaf_has_a_fresh_key(ca: Ca) -> None:
    first, second = await ca.source().issue(LIFE), await ca.source().issue(LIFE)
    assert first.private_key != second.private_key
    assert first.fingerprint != second.fingerprint


async def test_leaf_that_outlives_its_issuer_is_refused(ca: Ca) -> None:
    with pytest.raises(SecureTransportError) as caught:
        await ca.source().issue(timedelta(minutes=90))
    assert "notAfter" in str(caught.value)


async def test_issuer_that_may_not_sign_is_waited_for(ca: Ca) -> None:
    await ca.store.write(
        f"nats_int/issuer/{ca.issuer_id}", {"issuer_name": f"e1-{ca.role}", "usage": "read-only"}
    )
    with pytest.raises(SecretStoreUnavailableError, match="no issuer signs certificates now"):
        await ca.source().issue(LIFE)


async def test_missing_issuer_is_waited_for(ca: Ca) -> None:
    await ca.store.delete(f"nats_int/issuer/{ca.issuer_id}")
    with pytest.raises(SecretStoreUnavailableError, match="no issuer signs certificates now"):
        await ca.source().issue(LIFE)


async def test_unknown_role_is_named(ca: Ca) -> None:
    with pytest.raises(SecureTransportError, match="unknown role: no-such-role"):
        await ca.source(role="no-such-role").issue(LIFE)


async def test_identity_that_the_role_does_not_allow_is_refused(ca: Ca) -> None:
    source = OpenBaoLeafSource(
        ca.store,
        TRUST_DOMAIN,
        ServiceId("metadata"),
        InstanceId("metadata/1"),
        role=ca.role,
    )
    with pytest.raises(SecureTransportError, match="URI"):
        await source.issue(LIFE)


async def test_leaf_for_another_identity_than_asked_for_is_refused(ca: Ca) -> None:
    """A role that drops the URI would give a leaf that maps to nobody; say so at once."""
    await ca.store.write(
        f"nats_int/roles/{ca.role}", {**ROLE, "use_csr_sans": False, "use_csr_common_name": True}
    )

    class Dropping(OpenBaoStore):
        async def write(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
            return await ca.store.write(path, {**data, "uri_sans": ""})

    source = OpenBaoLeafSource(
        Dropping(["https://127.0.0.1:1"], *_nowhere(), 1.0),
        TRUST_DOMAIN,
        GATEKEEPER,
        INSTANCE,
        role=ca.role,
    )
    with pytest.raises(SecureTransportError, match="another leaf than asked for"):
        await source.issue(LIFE)


def _nowhere() -> tuple[Any, Any]:
    from pathlib import Path  # noqa: PLC0415  # used here only

    return Path("/nonexistent/ca"), Path("/nonexistent/token")

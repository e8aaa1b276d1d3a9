"""Leaf certificates signed by the active intermediate; the key never leaves this process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import (
    PKI_MOUNT,
    InstanceId,
    ServiceId,
    instance_role,
    spiffe_id,
)
from securetransport.core.crypto.x509 import describe, make_csr, pem_to_der, tls_identity
from securetransport.core.ports import SecretStore, TlsIdentity


class OpenBaoLeafSource:
    """A ``LeafSource``: fresh key and request per leaf, signed at ``nats_int/sign/<role>``.

    Args:
        store: Logged in as an identity that may write that path.
        trust_domain: Host part of the SPIFFE id.
        service: Whose leaf; a keeper asks for ``nats``.
        instance: ``<service>/<replica>``; becomes the common name.
        role: PKI role; ``None`` for the instance's own, ``<service>--<replica>``.
        dns: DNS names, for servers.
        ips: IP addresses as text, for servers.
    """

    def __init__(  # noqa: PLR0913  # an identity has that many parts
        self,
        store: SecretStore,
        trust_domain: str,
        service: ServiceId,
        instance: InstanceId,
        *,
        role: str | None = None,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._service = service
        self._instance = instance
        self._path = f"{PKI_MOUNT}/sign/{role or instance_role(instance)}"
        self._dns = tuple(dns)
        self._ips = tuple(ips)

    async def issue(self, life: timedelta) -> TlsIdentity:
        """Return a fresh leaf, signed by the issuer that is active now.

        Args:
            life: How long it is to be valid; OpenBao refuses one that outlives its issuer.

        Raises:
            SecretStoreUnavailableError: OpenBao does not answer, or no issuer may sign now.
            PermissionDeniedError: This identity may not use the role.
            SecureTransportError: The role refuses the request (unknown role, a name it does not
                allow, a leaf that would outlive its issuer), or another leaf came back.
        """
        csr, key = make_csr(
            trust_domain=self._trust_domain,
            service=self._service,
            instance=self._instance,
            dns=self._dns,
            ips=self._ips,
        )
        uri = spiffe_id(self._trust_domain, self._service)
        data = await self._store.write(
            self._path,
            {
                "csr": csr,
                "common_name": self._instance,
                "uri_sans": uri,
                "alt_names": ",".join(self._dns),
                "ip_sans": ",".join(self._ips),
                # The common name holds a slash and is nobody's host name.
                "exclude_cn_from_sans": True,
                "ttl": f"{int(life.total_seconds())}s",
                "format": "pem",
            },
        )
        certificate = str(data.get("certificate", ""))
        identity = tls_identity(certificate, key)
        self._check(certificate, uri)
        return identity

    def _check(self, certificate: str, uri: str) -> None:
        facts = describe(pem_to_der(certificate))
        wrong: list[str] = []
        if facts.common_name != self._instance:
            wrong.append(f"common name is {facts.common_name!r}")
        if facts.uri_sans != (uri,):
            wrong.append(f"uri names are {list(facts.uri_sans)}")
        if facts.is_ca:
            wrong.append("it is a CA")
        if wrong:
            raise SecureTransportError(
                "openbao signed another leaf than asked for",
                path=self._path,
                instance=self._instance,
                wrong=wrong,
            )

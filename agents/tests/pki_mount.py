"""OpenBao's two PKI mounts as the authority uses them, in memory, with real certificates.

Mount it below both prefixes of a ``FakeSecretStore``; ``calls`` of the store tell what was asked.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports.clock import Clock
from securetransport.testing import FakeSecretStore

_MOST_FACTS = ("issuer_name", "usage", "leaf_not_after_behavior")


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass
class PkiMounts:
    """The root's mount and the intermediates' mount.

    Attributes:
        issuers: What ``nats_int`` holds, by issuer id.
        keys: Its keys by id.
        key_names: Their names by id.
        default: The default issuer's id.
        fail_on: Path endings whose next call is refused, for a crash in the middle.
    """

    clock: Clock
    issuers: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    key_names: dict[str, str] = field(default_factory=dict)
    default: str = ""
    fail_on: list[str] = field(default_factory=list)
    root: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def mount(self, store: FakeSecretStore) -> None:
        store.mount(f"{names.PKI_MOUNT}/", self.handle)
        store.mount(f"{names.PKI_ROOT_MOUNT}/", self.handle)

    async def handle(self, method: str, path: str, data: dict[str, Any]) -> dict[str, Any] | None:
        for ending in self.fail_on:
            if path.endswith(ending):
                self.fail_on.remove(ending)
                raise SecureTransportError("openbao refused the request", path=path)
        parts = path.split("/")[1:]
        answer = getattr(self, f"_{method}")(parts, data)
        if answer is NotImplemented:
            raise SecureTransportError("openbao refused the request", method=method, path=path)
        return answer  # type: ignore[no-any-return]

    def _list(self, parts: list[str], _data: dict[str, Any]) -> Any:
        kinds: dict[str, Any] = {"issuers": self.issuers, "keys": self.keys}
        return {"keys": list(kinds[parts[0]])} if parts[0] in kinds else NotImplemented

    def _read(self, parts: list[str], _data: dict[str, Any]) -> Any:
        if parts == ["config", "issuers"]:
            return {"default": self.default}
        if parts[0] == "key" and parts[1] in self.keys:
            return {"key_id": parts[1], "key_name": self.key_names[parts[1]]}
        return self.issuers.get(parts[1]) if parts[0] == "issuer" else NotImplemented

    def _delete(self, parts: list[str], _data: dict[str, Any]) -> Any:
        kinds: dict[str, Any] = {"issuer": self.issuers, "key": self.keys}
        return None if kinds[parts[0]].pop(parts[1], None) else NotImplemented

    def _write(self, parts: list[str], data: dict[str, Any]) -> Any:
        match parts:
            case ["config", "issuers"]:
                self.default = data["default"]
            case ["issuer", issuer_id]:
                self.issuers[issuer_id].update({key: data[key] for key in _MOST_FACTS})
            case ["issuers", "generate", "intermediate", "internal"]:
                return self._generate(data)
            case ["root", "sign-intermediate"]:
                return self._sign(data)
            case ["intermediate", "set-signed"]:
                return self._import(data)
            case _:
                return NotImplemented
        return None

    def _generate(self, data: dict[str, Any]) -> dict[str, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        key_id = f"key-{next(self._numbers)}"
        self.keys[key_id], self.key_names[key_id] = key, data.get("key_name", "")
        csr = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(_name(data["common_name"]))
            .sign(key, hashes.SHA256())
        )
        return {"csr": csr.public_bytes(serialization.Encoding.PEM).decode()}

    def _sign(self, data: dict[str, Any]) -> dict[str, Any]:
        request = x509.load_pem_x509_csr(data["csr"].encode())
        now = self.clock.now()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(data["common_name"]))
            .issuer_name(_name("root"))
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=data["not_before_duration"]))
            .not_valid_after(datetime.fromisoformat(data["not_after"]))
            .add_extension(
                x509.BasicConstraints(ca=True, path_length=data["max_path_length"]), critical=True
            )
            .sign(self.root, hashes.SHA256())
        )
        return {"certificate": certificate.public_bytes(serialization.Encoding.PEM).decode()}

    def _import(self, data: dict[str, Any]) -> dict[str, Any]:
        public = x509.load_pem_x509_certificate(data["certificate"].encode()).public_key()
        key_id = next(name for name, key in self.keys.items() if key.public_key() == public)
        issuer_id = f"issuer-{next(self._numbers)}"
        self.issuers[issuer_id] = {
            "issuer_name": "",
            "key_id": key_id,
            "certificate": data["certificate"],
            "usage": "read-only,issuing-certificates,crl-signing",
        }
        return {"imported_issuers": [issuer_id]}

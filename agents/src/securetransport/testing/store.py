"""An in-memory OpenBao: KV v2 with compare-and-swap, transit with real keys, and nothing else.

Values are copied in and out, as over a network. Other API paths answer what the real one answers
when nothing is mounted there, unless a test mounts a handler: ``store.mount("nats_int/sign/",
handler)``.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from securetransport.core.base.errors import (
    ConflictError,
    DecryptionError,
    NotFoundError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from securetransport.core.base.names import KV_MOUNT, TRANSIT_MOUNT
from securetransport.core.crypto import aead, signing
from securetransport.core.ports import KvEntry, Wrapped
from securetransport.core.ports.clock import Clock
from securetransport.testing.clock import FakeClock

Handler = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""Answers one call to a mounted path: method (read, write, wrap, delete, list), path, data."""
Allowed = Callable[[str, str], bool]
"""Decides by operation (``kv_get``, ``write`` …) and path."""

_SIGNING_TYPES: Final = {"mldsa-65": signing.ML_DSA_65, "mldsa-87": signing.ML_DSA_87}


@dataclass
class _Content:
    """What is stored; shared by all views of one store."""

    kv: dict[str, list[str]] = field(default_factory=dict)
    signing_keys: dict[str, list[tuple[str, signing.SigningKey]]] = field(default_factory=dict)
    encryption_keys: dict[str, bytes] = field(default_factory=dict)
    handlers: dict[str, Handler] = field(default_factory=dict)


class FakeSecretStore:
    """Implements ``SecretStore`` in memory.

    Attributes:
        is_available: While ``False`` every call raises ``SecretStoreUnavailableError``.
        failures: Errors to raise, one per call, before anything else happens.
        calls: Operation and path of every call that was let through, for assertions.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or FakeClock(datetime.now(UTC))
        self._content = _Content()
        self._allowed: Allowed = lambda _operation, _path: True
        self.is_available = True
        self.failures: list[SecureTransportError] = []
        self.calls: list[tuple[str, str]] = []

    def restricted(self, allowed: Allowed) -> FakeSecretStore:
        """Return another identity's view of the same content."""
        view = FakeSecretStore(self._clock)
        view._content = self._content
        view._allowed = allowed
        return view

    def mount(self, prefix: str, handler: Handler) -> None:
        """Let ``handler`` answer read, write, delete and list below ``prefix``."""
        self._content.handlers[prefix] = handler

    def _enter(self, operation: str, path: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if not self.is_available:
            raise SecretStoreUnavailableError(
                "no openbao node answers", operation=operation, path=path
            )
        if not self._allowed(operation, path):
            raise PermissionDeniedError("openbao's policy refuses", operation=operation, path=path)
        self.calls.append((operation, path))

    # --- KV ----------------------------------------------------------------------------------

    async def kv_get(self, path: str) -> KvEntry | None:
        """Return the newest version at ``path`` of the KV mount, ``None`` when there is none."""
        self._enter("kv_get", path)
        versions = self._content.kv.get(path)
        return KvEntry(json.loads(versions[-1]), len(versions)) if versions else None

    async def kv_put(self, path: str, value: dict[str, Any], *, cas: int) -> int:
        """Write and return the new version number.

        Raises:
            ConflictError: The stored version is not ``cas``.
        """
        self._enter("kv_put", path)
        text = json.dumps(value)
        versions = self._content.kv.setdefault(path, [])
        if len(versions) != cas:
            if not versions:
                del self._content.kv[path]
            raise ConflictError("compare-and-swap lost", path=f"{KV_MOUNT}/data/{path}")
        versions.append(text)
        return len(versions)

    async def kv_list(self, path: str) -> list[str]:
        """Return the names under ``path``; folders end with ``/``."""
        self._enter("kv_list", path)
        prefix = path.strip("/") + "/" if path.strip("/") else ""
        names: set[str] = set()
        for known in self._content.kv:
            if known.startswith(prefix):
                first, slash, _rest = known[len(prefix) :].partition("/")
                names.add(first + slash)
        return sorted(names)

    async def kv_destroy(self, path: str) -> None:
        """Remove every version and the metadata at ``path``; a missing path is fine."""
        self._enter("kv_destroy", path)
        self._content.kv.pop(path, None)

    # --- transit -----------------------------------------------------------------------------

    async def transit_sign(self, key: str, message: bytes) -> tuple[int, bytes]:
        """Sign with the newest version of a transit key; returns (key version, signature)."""
        self._enter("transit_sign", key)
        versions = self._content.signing_keys.get(key)
        if not versions:
            raise _refused("transit_sign", f"{TRANSIT_MOUNT}/sign/{key}", "signing key not found")
        return len(versions), versions[-1][1].sign(message)

    async def transit_encrypt(self, key: str, plaintext: bytes) -> str:
        """Return transit's ciphertext text of ``plaintext``."""
        self._enter("transit_encrypt", key)
        # As the real one does for an identity that may create: an unknown key is made.
        secret = self._content.encryption_keys.setdefault(key, os.urandom(aead.KEY_BYTES))
        nonce = os.urandom(aead.NONCE_BYTES)
        sealed = nonce + aead.encrypt(secret, nonce, plaintext, b"")
        return "vault:v1:" + base64.b64encode(sealed).decode("ascii")

    async def transit_decrypt(self, key: str, ciphertext: str) -> bytes:
        """Return the plaintext of transit's ciphertext text."""
        self._enter("transit_decrypt", key)
        path = f"{TRANSIT_MOUNT}/decrypt/{key}"
        secret = self._content.encryption_keys.get(key)
        if secret is None:
            raise _refused("transit_decrypt", path, "encryption key not found")
        try:
            sealed = base64.b64decode(ciphertext.removeprefix("vault:v1:"), validate=True)
            nonce, body = sealed[: aead.NONCE_BYTES], sealed[aead.NONCE_BYTES :]
            return aead.decrypt(secret, nonce, body, b"")
        except (ValueError, DecryptionError) as error:
            raise _refused("transit_decrypt", path, "invalid ciphertext") from error

    # --- any path ----------------------------------------------------------------------------

    async def read(self, path: str) -> dict[str, Any] | None:
        """Read any API path; returns its ``data``, ``None`` when it does not exist."""
        self._enter("read", path)
        name = path.removeprefix(f"{TRANSIT_MOUNT}/keys/")
        if name != path:
            return self._describe_key(name)
        return await self._handled("read", path, {})

    async def write(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Write any API path; returns its ``data`` (empty when there is none)."""
        self._enter("write", path)
        name = path.removeprefix(f"{TRANSIT_MOUNT}/keys/")
        if name != path:
            self._make_key(name, data)
            return self._describe_key(name) or {}
        return await self._handled("write", path, data) or {}

    async def write_wrapped(self, path: str, data: dict[str, Any], life: timedelta) -> Wrapped:
        """Write any API path; the answer stays, wrapped, for ``life``."""
        self._enter("write_wrapped", path)
        asked = {"data": data, "seconds": life.total_seconds()}
        found = await self._handled("wrap", path, asked) or {}
        return Wrapped(found["token"], found["inner"])

    async def delete(self, path: str) -> None:
        """Delete any API path; a missing one is fine."""
        self._enter("delete", path)
        await self._handled("delete", path, {})

    async def server_time(self) -> datetime:
        """Return OpenBao's clock, whole seconds."""
        self._enter("server_time", "sys/health")
        return self._clock.now().replace(microsecond=0)

    async def _handled(self, method: str, path: str, data: dict[str, Any]) -> dict[str, Any] | None:
        for prefix, handler in self._content.handlers.items():
            if path.startswith(prefix):
                return await handler(method, path, json.loads(json.dumps(data)))
        raise NotFoundError(
            "openbao refused the request",
            operation=method,
            path=path,
            reason="no handler for route",
        )

    def _make_key(self, name: str, data: dict[str, Any]) -> None:
        kind, _slash, verb = name.partition("/")
        wanted = str(data.get("type", "aes256-gcm96"))
        versions = self._content.signing_keys
        if verb == "rotate" and kind in versions:
            algorithm = versions[kind][-1][0]
            versions[kind].append((algorithm, signing.generate_signing_key(algorithm)))
        elif wanted in _SIGNING_TYPES:
            algorithm = _SIGNING_TYPES[wanted]
            versions.setdefault(name, [(algorithm, signing.generate_signing_key(algorithm))])
        else:
            self._content.encryption_keys.setdefault(name, os.urandom(aead.KEY_BYTES))

    def _describe_key(self, name: str) -> dict[str, Any] | None:
        versions = self._content.signing_keys.get(name)
        if versions is not None:
            keys = {
                str(number): {"public_key": base64.b64encode(key.public_key).decode("ascii")}
                for number, (_algorithm, key) in enumerate(versions, start=1)
            }
            kind = next(k for k, v in _SIGNING_TYPES.items() if v == versions[-1][0])
            return {"name": name, "type": kind, "keys": keys, "latest_version": len(versions)}
        if name in self._content.encryption_keys:
            return {"name": name, "type": "aes256-gcm96", "latest_version": 1}
        return None

    async def list(self, path: str) -> list[str]:
        """List any API path; an absent one is an empty list."""
        self._enter("list", path)
        answer = await self._handled("list", path, {})
        return [str(name) for name in (answer or {}).get("keys") or []]


def _refused(operation: str, path: str, reason: str) -> SecureTransportError:
    return SecureTransportError(
        "openbao refused the request", operation=operation, path=path, status=400, reason=reason
    )

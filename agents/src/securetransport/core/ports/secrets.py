"""OpenBao as agents use it: key-value data, transit, and any other API path."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class KvEntry:
    """A stored value with the number that a compare-and-swap must name.

    Attributes:
        value: The data, as stored.
        cas: Version number of OpenBao's KV; 0 means "does not exist yet".
    """

    value: dict[str, Any]
    cas: int


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An answer that OpenBao keeps until somebody opens its wrapping, once.

    Attributes:
        token: Opens it; whoever has it first gets what is inside.
        inner: Accessor of what is inside.
    """

    token: str = field(repr=False)
    inner: str


class SecretStore(Protocol):
    """OpenBao as agents use it: logged in, translated errors, every call with a time-out.

    Every method raises ``SecretStoreUnavailableError`` when no node answers and
    ``PermissionDeniedError`` when the policy says no.
    """

    async def kv_get(self, path: str) -> KvEntry | None:
        """Return the newest version at ``path`` of the KV mount, ``None`` when there is none."""
        ...

    async def kv_put(self, path: str, value: dict[str, Any], *, cas: int) -> int:
        """Write and return the new version number.

        Raises:
            ConflictError: The stored version is not ``cas``.
        """
        ...

    async def kv_list(self, path: str) -> list[str]:
        """Return the names under ``path``; folders end with ``/``."""
        ...

    async def kv_destroy(self, path: str) -> None:
        """Remove every version and the metadata at ``path``; a missing path is fine."""
        ...

    async def transit_sign(self, key: str, message: bytes) -> tuple[int, bytes]:
        """Sign with the newest version of a transit key; returns (key version, signature)."""
        ...

    async def transit_encrypt(self, key: str, plaintext: bytes) -> str:
        """Return transit's ciphertext text of ``plaintext``."""
        ...

    async def transit_decrypt(self, key: str, ciphertext: str) -> bytes:
        """Return the plaintext of transit's ciphertext text."""
        ...

    async def read(self, path: str) -> dict[str, Any] | None:
        """Read any API path; returns its ``data``, ``None`` when it does not exist."""
        ...

    async def write(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Write any API path; returns its ``data`` (empty when there is none)."""
        ...

    async def write_wrapped(self, path: str, data: dict[str, Any], life: timedelta) -> Wrapped:
        """Write any API path; the answer stays in OpenBao, wrapped, for ``life``."""
        ...

    async def delete(self, path: str) -> None:
        """Delete any API path."""
        ...

    async def list(self, path: str) -> list[str]:
        """List any API path; an absent one is an empty list."""
        ...

    async def server_time(self) -> datetime:
        """Return OpenBao's clock, for skew metrics."""
        ...

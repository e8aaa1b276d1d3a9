"""Logging in to OpenBao by AppRole, for what stands beside a bao agent and for short commands.

A login is a call without a token, so it is no method of :class:`SecretStore`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gave.

    Attributes:
        value: The token; never logged.
        life: How long it is good from now, if nobody renews it.
    """

    value: str = field(repr=False)
    life: timedelta


@dataclass(frozen=True, slots=True)
class MintedSecretId:
    """A secret-id as it comes out of its wrapping.

    Attributes:
        secret_id: The secret; never logged.
        accessor: By which it can be looked up and destroyed, and which is no secret.
        life: How long it is good from its making; ``None`` for without end.
    """

    secret_id: str = field(repr=False)
    accessor: str
    life: timedelta | None


class Logins(Protocol):
    """What needs no token of one's own; every call has a time-out.

    Every method raises ``SecretStoreUnavailableError`` when no node answers; for ``unwrap`` that
    may mean that the secret-id came out and is lost.
    """

    async def login(self, role_id: str, secret_id: str) -> Token:
        """Return a token of an AppRole.

        Raises:
            PermissionDeniedError: OpenBao does not accept the credentials.
        """
        ...

    async def revoke(self, token: str) -> None:
        """End a token; one that has ended already is what was wanted."""
        ...

    async def renew(self, token: str) -> timedelta:
        """Renew a token; returns how long it is good from now.

        Raises:
            PermissionDeniedError: It has ended.
        """
        ...

    async def unwrap(self, wrapped: str, role: str) -> MintedSecretId:
        """Take a secret-id out of its wrapping, which can be done once.

        Args:
            wrapped: The wrapping token.
            role: Whose secret-id it must be.

        Raises:
            PermissionDeniedError: It is over, was opened before, or wraps something else.
        """
        ...

"""AppRoles in memory: secret-ids that end, wrappings that open once, logins.

::

    approles = FakeAppRoles(clock)
    store.mount(approles.PREFIX, approles.answer)      # what the authority asks of OpenBao
    store.mount(approles.REWRAP, approles.answer)
    role_id, secret_id = approles.deliver("gatekeeper--0")    # as Ansible does
    await approles.login(role_id, secret_id)                  # a ``Logins``
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from securetransport.core.base.errors import (
    NotFoundError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from securetransport.core.ports.clock import Clock
from securetransport.core.ports.logins import MintedSecretId, Token

_TOKEN_LIFE: Final = timedelta(hours=1)


@dataclass
class _SecretId:
    role: str
    secret: str
    created_at: datetime
    expires_at: datetime | None
    metadata: str = ""


@dataclass
class _Wrapping:
    role: str
    accessor: str
    expires_at: datetime


class FakeAppRoles:
    """Implements ``Logins`` in memory, and answers the paths of the AppRole method.

    Attributes:
        life: Of secret-ids made from now on; ``None`` for without end.
        is_available: While ``False`` every call of the port raises.
        logins: Roles that logged in, in order.
    """

    PREFIX: Final = "auth/approle/role/"
    REWRAP: Final = "sys/wrapping/rewrap"

    def __init__(self, clock: Clock, life: timedelta | None = None) -> None:
        self._clock = clock
        self._number = count(1)
        self._secret_ids: dict[str, _SecretId] = {}
        self._wrappings: dict[str, _Wrapping] = {}
        self._tokens: dict[str, datetime] = {}
        self.life = life
        self.is_available = True
        self.logins: list[str] = []

    # --- what a test does to it ---------------------------------------------------------------

    def deliver(self, role: str) -> tuple[str, str]:
        """Make a secret-id without a wrapping; returns role-id and secret-id."""
        accessor = self._make(role, "")
        return f"role-id-of-{role}", self._secret_ids[accessor].secret

    def accessors(self, role: str) -> list[str]:
        """Return the accessors of a role's secret-ids that have not ended."""
        now = self._clock.now()
        return [
            accessor
            for accessor, one in self._secret_ids.items()
            if one.role == role and (one.expires_at is None or now < one.expires_at)
        ]

    def is_valid(self, role: str, secret_id: str) -> bool:
        """Tell whether a login with it would work."""
        return any(self._secret_ids[one].secret == secret_id for one in self.accessors(role))

    # --- the port -----------------------------------------------------------------------------

    async def login(self, role_id: str, secret_id: str) -> Token:
        """Return a token of an AppRole."""
        self._enter()
        role = role_id.removeprefix("role-id-of-")
        if not self.is_valid(role, secret_id):
            raise PermissionDeniedError("openbao does not accept the credential")
        self.logins.append(role)
        token = f"token-{next(self._number)}"
        self._tokens[token] = self._clock.now() + _TOKEN_LIFE
        return Token(token, _TOKEN_LIFE)

    async def revoke(self, token: str) -> None:
        """End a token; one that has ended already is what was wanted."""
        self._enter()
        self._tokens.pop(token, None)

    async def renew(self, token: str) -> timedelta:
        """Renew a token; returns how long it is good from now."""
        self._enter()
        if self._tokens.get(token, self._clock.now()) <= self._clock.now():
            raise PermissionDeniedError("openbao refuses")
        self._tokens[token] = self._clock.now() + _TOKEN_LIFE
        return _TOKEN_LIFE

    async def unwrap(self, wrapped: str, role: str) -> MintedSecretId:
        """Take a secret-id out of its wrapping, which can be done once."""
        self._enter()
        found = self._wrappings.get(wrapped)
        if found is None or found.expires_at <= self._clock.now() or found.role != role:
            raise PermissionDeniedError("openbao does not accept the credential")
        del self._wrappings[wrapped]
        return MintedSecretId(self._secret_ids[found.accessor].secret, found.accessor, self.life)

    # --- the store's paths --------------------------------------------------------------------

    async def answer(self, method: str, path: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """Answer one call below :data:`PREFIX` or at :data:`REWRAP`."""
        if path == self.REWRAP:
            return self._rewrap(data["token"])
        role, _, verb = path.removeprefix(self.PREFIX).partition("/")
        match method, verb:
            case "list", _:
                return {"keys": self.accessors(role)}
            case "wrap", "secret-id":
                return self._wrap(role, data)
            case "write", "secret-id-accessor/lookup":
                return self._described(role, data["secret_id_accessor"])
            case "write", "secret-id-accessor/destroy":
                self._secret_ids.pop(data["secret_id_accessor"], None)
                return {}
            case "write", "secret-id/lookup":
                found = (
                    one
                    for one in self.accessors(role)
                    if self._secret_ids[one].secret == data["secret_id"]
                )
                accessor = next(found, None)
                return self._described(role, accessor) if accessor else {}
        raise NotFoundError("no such path", path=path)

    def _enter(self) -> None:
        if not self.is_available:
            raise SecretStoreUnavailableError("no openbao node answers")

    def _make(self, role: str, metadata: str) -> str:
        number, now = next(self._number), self._clock.now()
        ends = None if self.life is None else now + self.life
        accessor = f"accessor-{number}"
        self._secret_ids[accessor] = _SecretId(role, f"secret-{number}", now, ends, metadata)
        return accessor

    def _wrap(self, role: str, asked: dict[str, Any]) -> dict[str, Any]:
        accessor = self._make(role, asked["data"].get("metadata", ""))
        ends = self._clock.now() + timedelta(seconds=asked["seconds"])
        token = f"wrapping-{next(self._number)}"
        self._wrappings[token] = _Wrapping(role, accessor, ends)
        return {"token": token, "inner": accessor}

    def _rewrap(self, token: str) -> dict[str, Any]:
        found = self._wrappings.pop(token, None)
        if found is None or found.expires_at <= self._clock.now():
            raise SecureTransportError("openbao refused the request", reason="not valid")
        self._wrappings[f"wrapping-{next(self._number)}"] = found
        return {}

    def _described(self, role: str, accessor: str) -> dict[str, Any]:
        if accessor not in self.accessors(role):
            raise NotFoundError("openbao refused the request", path=accessor)
        one = self._secret_ids[accessor]
        ends = one.expires_at.isoformat() if one.expires_at else "0001-01-01T00:00:00Z"
        return {
            "secret_id_accessor": accessor,
            "creation_time": one.created_at.isoformat(),
            "expiration_time": ends,
            "metadata": json.loads(one.metadata or "{}"),
        }

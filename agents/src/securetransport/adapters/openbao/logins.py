"""``OpenBaoLogins``: the Logins port over OpenBao's API, over any of its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from securetransport.adapters.openbao.transport import Call, OnCall, Transport
from securetransport.core.base.errors import PermissionDeniedError, SecureTransportError
from securetransport.core.base.names import APPROLE_MOUNT
from securetransport.core.ports.logins import MintedSecretId, Token

_THREADS: Final = 2
# What OpenBao answers with status 400 when it decided about the credential itself.
_REFUSALS: Final = ("invalid role or secret id", "invalid secret id", "wrapping token is not valid")
_NO_TOKEN_FILE: Final = Path("/nonexistent")


class OpenBaoLogins:
    """AppRole logins and unwrapping; nothing is contacted before the first call.

    Args:
        addresses: Every node, ``https://host:port``.
        ca_file: PEM of the CA of OpenBao's TLS certificates.
        timeout_seconds: Longest wait for one node; a call may try each node once.
        on_call: Told operation, seconds and outcome of each call, from a worker thread.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        ca_file: Path,
        timeout_seconds: float = 5.0,
        on_call: OnCall | None = None,
    ) -> None:
        self._transport = Transport(addresses, ca_file, _NO_TOKEN_FILE, timeout_seconds, on_call)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="openbao-login")

    def close(self) -> None:
        """Close connections; calls under way end with their time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    async def login(self, role_id: str, secret_id: str) -> Token:
        """Return a token of an AppRole."""
        body = {"role_id": role_id, "secret_id": secret_id}
        path = f"auth/{APPROLE_MOUNT}/login"
        answer = await self._call(Call("login", "POST", path, body, has_token=False))
        found = _table(answer, "auth")
        return Token(str(found.get("client_token", "")), _life(found.get("lease_duration")))

    async def revoke(self, token: str) -> None:
        """End a token; one that has ended already is what was wanted."""
        call = Call("revoke", "POST", "auth/token/revoke-self", {}, token=token)
        try:
            await self._call(call)
        except PermissionDeniedError:
            return

    async def renew(self, token: str) -> timedelta:
        """Renew a token; returns how long it is good from now."""
        call = Call("renew", "POST", "auth/token/renew-self", {}, token=token)
        return _life(_table(await self._call(call), "auth").get("lease_duration"))

    async def unwrap(self, wrapped: str, role: str) -> MintedSecretId:
        """Take a secret-id out of its wrapping, which can be done once."""
        # What was not minted as this role's secret-id was put there by somebody else: looked at
        # first, because opening it would only tell that too late.
        look = Call("wrapping", "POST", "sys/wrapping/lookup", {"token": wrapped}, has_token=False)
        made_at = _table(await self._call(look), "data").get("creation_path")
        if made_at != f"auth/{APPROLE_MOUNT}/role/{role}/secret-id":
            raise PermissionDeniedError("the wrapping is not of this role's secret-id", role=role)
        call = Call("unwrap", "POST", "sys/wrapping/unwrap", {}, is_repeatable=False, token=wrapped)
        data = _table(await self._call(call), "data")
        seconds = int(data.get("secret_id_ttl") or 0)
        return MintedSecretId(
            secret_id=str(data.get("secret_id", "")),
            accessor=str(data.get("secret_id_accessor", "")),
            life=timedelta(seconds=seconds) if seconds else None,
        )

    async def _call(self, call: Call) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._pool, self._transport.call, call)
        except SecureTransportError as error:
            reason = str(error.fields.get("reason", "")).lower()
            if any(word in reason for word in _REFUSALS):
                raise PermissionDeniedError(
                    "openbao does not accept the credential", operation=call.operation
                ) from error
            raise
        return answer or {}


def _table(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found = answer.get(name)
    if not isinstance(found, dict):
        raise SecureTransportError("openbao's answer is not of its form", missing=name)
    return found


def _life(seconds: object) -> timedelta:
    return timedelta(seconds=int(str(seconds or 0)))

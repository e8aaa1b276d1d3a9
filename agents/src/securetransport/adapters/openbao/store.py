"""``OpenBaoStore``: the SecretStore port over OpenBao's API."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from securetransport.adapters.openbao.transport import Call, OnCall, Transport
from securetransport.core.base.errors import NotFoundError, SecureTransportError
from securetransport.core.base.names import KV_MOUNT, TRANSIT_MOUNT
from securetransport.core.ports import KvEntry, Wrapped

# Enough to overlap a slow call with quick ones; OpenBao serves one agent faster than that.
_THREADS: Final = 4


class OpenBaoStore:
    """OpenBao with a token file, over any of its nodes; see ``transport.py`` for the rules.

    Nothing is contacted before the first call, so it may be made while OpenBao is not there.

    Args:
        addresses: Every node, ``https://host:port``.
        ca_file: PEM of the CA of OpenBao's TLS certificates.
        token_file: Where the bao agent puts the token; may appear later.
        timeout_seconds: Longest wait for one node; a call may try each node once.
        on_call: Told operation, seconds and outcome of each call, from a worker thread.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        ca_file: Path,
        token_file: Path,
        timeout_seconds: float = 5.0,
        on_call: OnCall | None = None,
    ) -> None:
        self._transport = Transport(addresses, ca_file, token_file, timeout_seconds, on_call)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="openbao")

    def close(self) -> None:
        """Close connections; calls under way end with their time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    async def _call(self, call: Call) -> dict[str, Any] | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._transport.call, call)

    async def _data(self, call: Call) -> dict[str, Any]:
        answer = await self._call(call)
        if answer is None:
            raise NotFoundError("not in openbao", operation=call.operation, path=call.path)
        data = answer.get("data")
        return data if isinstance(data, dict) else {}

    async def _list(self, call: Call) -> list[str]:
        answer = await self._call(call)
        if answer is None:
            return []
        return [str(name) for name in answer["data"].get("keys") or []]

    # --- KV ----------------------------------------------------------------------------------

    async def kv_get(self, path: str) -> KvEntry | None:
        """Return the newest version at ``path`` of the KV mount, ``None`` when there is none."""
        answer = await self._call(Call("kv_get", "GET", f"{KV_MOUNT}/data/{path}"))
        if answer is None:
            return None
        data = answer["data"]
        return KvEntry(value=data["data"], cas=int(data["metadata"]["version"]))

    async def kv_put(self, path: str, value: dict[str, Any], *, cas: int) -> int:
        """Write and return the new version number.

        Raises:
            ConflictError: The stored version is not ``cas``.
        """
        body = {"options": {"cas": cas}, "data": value}
        call = Call("kv_put", "POST", f"{KV_MOUNT}/data/{path}", body, is_repeatable=False)
        return int((await self._data(call))["version"])

    async def kv_list(self, path: str) -> list[str]:
        """Return the names under ``path``; folders end with ``/``."""
        return await self._list(Call("kv_list", "LIST", f"{KV_MOUNT}/metadata/{path}"))

    async def kv_destroy(self, path: str) -> None:
        """Remove every version and the metadata at ``path``; a missing path is fine."""
        await self._call(Call("kv_destroy", "DELETE", f"{KV_MOUNT}/metadata/{path}"))

    # --- transit -----------------------------------------------------------------------------

    async def transit_sign(self, key: str, message: bytes) -> tuple[int, bytes]:
        """Sign the message bytes as they are; returns (key version, raw signature)."""
        body = {"input": base64.b64encode(message).decode("ascii")}
        call = Call("transit_sign", "POST", f"{TRANSIT_MOUNT}/sign/{key}", body)
        text = str((await self._data(call)).get("signature", ""))
        try:
            _vault, version, signature = text.split(":")
            return int(version.removeprefix("v")), base64.b64decode(signature, validate=True)
        except (ValueError, binascii.Error) as error:
            raise SecureTransportError("transit's signature is unreadable", key=key) from error

    async def transit_encrypt(self, key: str, plaintext: bytes) -> str:
        """Return transit's ciphertext text of ``plaintext``."""
        body = {"plaintext": base64.b64encode(plaintext).decode("ascii")}
        call = Call("transit_encrypt", "POST", f"{TRANSIT_MOUNT}/encrypt/{key}", body)
        return str((await self._data(call))["ciphertext"])

    async def transit_decrypt(self, key: str, ciphertext: str) -> bytes:
        """Return the plaintext of transit's ciphertext text."""
        body = {"ciphertext": ciphertext}
        call = Call("transit_decrypt", "POST", f"{TRANSIT_MOUNT}/decrypt/{key}", body)
        return base64.b64decode((await self._data(call))["plaintext"])

    # --- any path ----------------------------------------------------------------------------

    async def read(self, path: str) -> dict[str, Any] | None:
        """Read any API path; returns its ``data``, ``None`` when it does not exist."""
        answer = await self._call(Call("read", "GET", path))
        if answer is None:
            return None
        data = answer.get("data")
        return data if isinstance(data, dict) else answer

    async def write(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Write any API path; returns its ``data`` (empty when there is none)."""
        return await self._data(Call("write", "POST", path, data, is_repeatable=False))

    async def write_wrapped(self, path: str, data: dict[str, Any], life: timedelta) -> Wrapped:
        """Write any API path; the answer stays in OpenBao, wrapped, for ``life``."""
        seconds = math.ceil(life.total_seconds())
        call = Call("write_wrapped", "POST", path, data, is_repeatable=False, wrap_seconds=seconds)
        found = (await self._call(call) or {}).get("wrap_info")
        if not isinstance(found, dict):
            raise SecureTransportError("openbao's answer is not wrapped", path=path)
        return Wrapped(
            token=str(found.get("token", "")),
            inner=str(found.get("wrapped_accessor", "")),
        )

    async def delete(self, path: str) -> None:
        """Delete any API path; a missing one is fine."""
        await self._call(Call("delete", "DELETE", path))

    async def list(self, path: str) -> list[str]:
        """List any API path; an absent one is an empty list."""
        return await self._list(Call("list", "LIST", path))

    async def server_time(self) -> datetime:
        """Return OpenBao's clock, whole seconds, for skew metrics."""
        query = {"standbyok": "true"}
        call = Call("server_time", "GET", "sys/health", query=query, has_token=False)
        answer = await self._call(call)
        if answer is None:
            raise NotFoundError("openbao does not tell its time")
        return datetime.fromtimestamp(int(answer["server_time_utc"]), UTC)

"""A root token from the recovery keys, over the socket that a node has for that.

OpenBao takes this from nobody over the network. At the socket it asks for as many recovery keys as
were agreed on; the token comes back hidden by a one-time pad that only who began has.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from securetransport.adapters.unix_http import UnixConnection
from securetransport.core.base.errors import (
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)

_SECONDS: Final = 10.0
_MOST_BYTES: Final = 64 * 1024
_ATTEMPT: Final = "/v1/sys/generate-root/attempt"
_UPDATE: Final = "/v1/sys/generate-root/update"
_REFUSED: Final = (400, 403)


def generate_root(socket: Path, shares: Iterable[str]) -> str:
    """Return a new root token; its holder revokes it when done.

    An attempt that was begun and not ended is given up first, and so is this one when it fails.

    Args:
        socket: The node's Unix socket.
        shares: Recovery keys, base64 or hex; no more are taken than are needed.

    Raises:
        SecretStoreUnavailableError: Nobody answers at the socket.
        PermissionDeniedError: A share is not one of the recovery keys.
        SecureTransportError: There are too few, or the answer is none.
    """
    _call(socket, "DELETE", _ATTEMPT, None)
    begun = _call(socket, "PUT", _ATTEMPT, {})
    try:
        return _with_shares(socket, shares, begun)
    except SecureTransportError:
        _call(socket, "DELETE", _ATTEMPT, None)
        raise


def _with_shares(socket: Path, shares: Iterable[str], begun: dict[str, Any]) -> str:
    for share in shares:
        told = {"nonce": begun.get("nonce"), "key": share}
        answer = _call(socket, "PUT", _UPDATE, told)
        if answer.get("complete") is True:
            return _uncovered(answer.get("encoded_root_token"), begun.get("otp"))
    raise SecureTransportError("more recovery keys are needed", needed=begun.get("required"))


def _uncovered(encoded: object, pad: object) -> str:
    if not isinstance(encoded, str) or not isinstance(pad, str):
        raise SecureTransportError("openbao's answer has no token")
    try:
        hidden = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        return bytes(a ^ b for a, b in zip(hidden, pad.encode(), strict=True)).decode("ascii")
    except ValueError as err:
        raise SecureTransportError("openbao's answer is no hidden token") from err


def _call(socket: Path, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    connection = UnixConnection(socket, _SECONDS)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        data = answer.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as err:
        reason = err.strerror if isinstance(err, OSError) else type(err).__name__
        raise SecretStoreUnavailableError(
            "nobody answers at the node's socket", path=socket, reason=reason
        ) from err
    finally:
        connection.close()
    try:
        told = json.loads(data) if data else {}
    except ValueError as err:
        raise SecureTransportError("openbao's answer is not JSON", path=path) from err
    if answer.status in _REFUSED:
        raise PermissionDeniedError("openbao refused", reason=_reason(told), path=path)
    if answer.status >= _REFUSED[0]:
        raise SecretStoreUnavailableError("openbao cannot do it now", reason=_reason(told))
    return told if isinstance(told, dict) else {}


def _reason(told: object) -> str:
    errors = told.get("errors") if isinstance(told, dict) else None
    return " ".join("; ".join(map(str, errors or ["no reason"])).split())[:200]

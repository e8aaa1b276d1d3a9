"""One call to OpenBao: which node, which token, how long, and what a bad answer means.

Rules:

1. The node that answered last is asked first. A node that cannot be reached, is sealed, or has no
   leader to forward to has not carried out the call: the next node is asked.
2. A call whose outcome is unknown (time-out while waiting for the answer, broken connection, other
   5xx) is repeated on the next node only when it is *repeatable*: reads, and calls that change
   nothing. A write is reported as ``SecretStoreUnavailableError`` with ``outcome=unknown``.
3. A refused token is read again from its file and used once more if it changed.
4. Answers of the active node are fresh after writes. Standbys forward (``disable_standby_reads``),
   and redirects are never followed: they would carry the token to an address we did not choose.

Blocking; :class:`OpenBaoStore` runs it in its own threads, each with its own HTTP sessions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

import requests
from hvac.adapters import RawAdapter

from securetransport.adapters.openbao.tokens import TokenFile
from securetransport.core.base.errors import (
    ConflictError,
    MalformedMessageError,
    NotFoundError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)

OnCall = Callable[[str, float, str], None]
"""Told operation, seconds and outcome (ok, missing, conflict, denied, refused, unavailable)."""

# A node on the same network answers the handshake in milliseconds; a dead one must not cost more.
_CONNECT_SECONDS: Final = 2.0
_NOT_CARRIED_OUT: Final = (
    "sealed",
    "not initialized",
    "local node not active",
    "node is not the leader",
    "no active",
    "standby",
)
# PKI and AppRole answer 500 for these, although it has decided and nothing happened.
_ABSENT: Final = (
    "unable to find pki issuer",
    "unable to find pki key",
    "failed to find accessor entry",
)
_NO_ISSUER: Final = ("requested usage issuing-certificates", "no default issuer")
_NO_PATH_PARTS: Final = ("", ".", "..")
_WRAP_HEADER: Final = "X-Vault-Wrap-TTL"
_MAX_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask.

    Attributes:
        operation: Fixed word for metrics and messages.
        method: HTTP method, or ``LIST``.
        path: API path after ``/v1/``.
        body: JSON body.
        query: Query parameters.
        is_repeatable: Carrying it out twice is the same as once (rule 2).
        has_token: Whether the call needs to be logged in.
        token: Another token than that of the file; it is not read again when it is refused.
        wrap_seconds: Life of the wrapping that the answer comes in; ``None`` for none.
    """

    operation: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] | None = None
    is_repeatable: bool = True
    has_token: bool = True
    token: str | None = field(default=None, repr=False)
    wrap_seconds: int | None = None


class _NextNodeError(Exception):
    """This node did not carry the call out; never leaves this module."""


class Transport:
    """Carries out calls against the nodes of one OpenBao cluster; safe for threads."""

    def __init__(
        self,
        addresses: Sequence[str],
        ca_file: Path,
        token_file: Path,
        timeout_seconds: float,
        on_call: OnCall | None,
    ) -> None:
        self._order = list(addresses)
        self._ca_file = ca_file
        self._tokens = TokenFile(token_file)
        self._timeouts = (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        self._on_call = on_call
        self._lock = threading.Lock()
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def call(self, call: Call) -> dict[str, Any] | None:
        """Return the answer's JSON (empty for "no content"), ``None`` for "does not exist".

        Raises:
            SecretStoreUnavailableError: No node carried it out, or the outcome is unknown.
            PermissionDeniedError: The policy says no.
            ConflictError: A compare-and-swap was lost.
            NotFoundError: No such mount.
            SecureTransportError: OpenBao refused the request for another reason.
        """
        started = time.monotonic()
        outcome = "ok"
        try:
            answer = self._on_some_node(call)
            if answer is None:
                outcome = "missing"
        except SecretStoreUnavailableError:
            outcome = "unavailable"
            raise
        except PermissionDeniedError:
            outcome = "denied"
            raise
        except ConflictError:
            outcome = "conflict"
            raise
        except SecureTransportError:
            outcome = "refused"
            raise
        else:
            return answer
        finally:
            if self._on_call is not None:
                self._on_call(call.operation, time.monotonic() - started, outcome)

    def close(self) -> None:
        """Close every thread's connections."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _on_some_node(self, call: Call) -> dict[str, Any] | None:
        # Names that others wrote become parts of paths; none may lead out of its folder.
        if any(part in _NO_PATH_PARTS for part in call.path.strip("/").split("/")):
            raise SecureTransportError("not a plain path", operation=call.operation, path=call.path)
        token = call.token
        if token is None and call.has_token:
            token = self._tokens.current()
        with self._lock:
            order = list(self._order)
        reasons: list[str] = []
        for address in order:
            try:
                return self._on_node(address, call, token)
            except _NextNodeError as error:
                reasons.append(f"{address}: {error}")
                self._distrust(address)
        raise SecretStoreUnavailableError(
            "no openbao node answers", operation=call.operation, path=call.path, nodes=reasons
        )

    def _on_node(self, address: str, call: Call, token: str | None) -> dict[str, Any] | None:
        response = self._send(address, call, token)
        if response.status_code == requests.codes.forbidden and token and call.token is None:
            newer = self._tokens.reread(refused=token)
            if newer is not None:
                response = self._send(address, call, newer)
        return self._judge(address, call, response)

    def _send(self, address: str, call: Call, token: str | None) -> requests.Response:
        adapter = self._adapter(address)
        adapter.token = token
        headers = {} if call.wrap_seconds is None else {_WRAP_HEADER: f"{call.wrap_seconds}s"}
        try:
            response = adapter.request(
                call.method,
                "/v1/" + quote(call.path.strip("/"), safe="/"),
                raise_exception=False,
                json=call.body,
                params=dict(call.query or {}),
                headers=headers,
            )
        except requests.exceptions.ConnectTimeout as error:
            raise _NextNodeError("connect timed out") from error
        except requests.exceptions.SSLError as error:
            raise _NextNodeError(f"tls: {_short(error)}") from error
        except requests.exceptions.RequestException as error:
            if call.is_repeatable or _was_never_sent(error):
                raise _NextNodeError(_short(error)) from error
            self._distrust(address)
            raise _unknown(call, address, _short(error)) from error
        finally:
            adapter.token = None
        return cast("requests.Response", response)

    def _judge(
        self, address: str, call: Call, response: requests.Response
    ) -> dict[str, Any] | None:
        status = response.status_code
        if status == requests.codes.no_content:
            return {}
        content = _json(response)
        if status == requests.codes.ok:
            if content is None:
                raise MalformedMessageError("openbao's answer cannot be read", path=call.path)
            return content
        content = content or {}
        errors = [str(item) for item in content.get("errors") or []]
        reason = " ".join("; ".join(errors).split())[:_MAX_REASON] or f"status {status}"
        if status == requests.codes.not_found and not errors:
            return None
        if status >= 500 and any(word in reason.lower() for word in _ABSENT):
            return None
        if 300 <= status < 400:
            raise _NextNodeError("is a standby and does not forward")
        if status >= 500 or status == requests.codes.too_many_requests:
            self._judge_unavailable(address, call, status, reason)
        raise _refusal(call, status, reason)

    def _judge_unavailable(self, address: str, call: Call, status: int, reason: str) -> None:
        if any(word in reason.lower() for word in _NO_ISSUER):
            raise SecretStoreUnavailableError(
                "no issuer signs certificates now", path=call.path, reason=reason
            )
        is_untouched = status in (429, 503) or any(
            word in reason.lower() for word in _NOT_CARRIED_OUT
        )
        if is_untouched or call.is_repeatable:
            raise _NextNodeError(reason)
        self._distrust(address)
        raise _unknown(call, address, reason)

    def _distrust(self, address: str) -> None:
        """Ask ``address`` last from now on, so that the first in the order is one that answered."""
        with self._lock:
            self._order.remove(address)
            self._order.append(address)

    def _adapter(self, address: str) -> RawAdapter:
        adapters: dict[str, RawAdapter] | None = getattr(self._local, "adapters", None)
        if adapters is None:
            adapters = self._local.adapters = {}
        adapter = adapters.get(address)
        if adapter is None:
            session = requests.Session()
            # Neither proxies nor CA bundles of the environment have a say here.
            session.trust_env = False
            session.verify = str(self._ca_file)
            adapter = RawAdapter(
                base_uri=address,
                verify=str(self._ca_file),
                timeout=self._timeouts,
                allow_redirects=False,
                session=session,
            )
            adapters[address] = adapter
            with self._lock:
                self._sessions.append(session)
        return adapter


def _json(response: requests.Response) -> dict[str, Any] | None:
    """Return the answer's JSON, ``None`` when it is none that can be read.

    What others stored comes back in it: brackets in brackets beyond the parser's depth, a number of
    more digits than it reads.
    """
    if not response.content:
        return {}
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _refusal(call: Call, status: int, reason: str) -> SecureTransportError:
    lowered = reason.lower()
    if status in (401, 403):
        # OpenBao gives the same answer for an expired token and for a policy that says no.
        return PermissionDeniedError(
            "openbao refuses: no policy allows it, or the token is no longer valid",
            operation=call.operation,
            path=call.path,
        )
    if status == 412 or "check-and-set" in lowered:
        return ConflictError("compare-and-swap lost", path=call.path)
    kind = NotFoundError if status == 404 else SecureTransportError
    return kind(
        "openbao refused the request",
        operation=call.operation,
        path=call.path,
        status=status,
        reason=reason,
    )


def _unknown(call: Call, address: str, reason: str) -> SecretStoreUnavailableError:
    return SecretStoreUnavailableError(
        "openbao may or may not have carried out the call",
        operation=call.operation,
        path=call.path,
        node=address,
        reason=reason,
        outcome="unknown",
    )


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    """Tell whether the connection could not even be made."""
    text = repr(error)
    return "NewConnectionError" in text or "NameResolutionError" in text


def _short(error: Exception) -> str:
    """Return the kind of an error of ``requests``; its text repeats URLs and objects."""
    text = str(error)
    for word in ("Connection refused", "Read timed out", "CERTIFICATE_VERIFY_FAILED", "aborted"):
        if word in text:
            return word.lower()
    return type(error).__name__

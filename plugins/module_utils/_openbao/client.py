# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenBao for backends: finding the active node, login, and errors people understand.

The wheel has an OpenBao client, too (``securetransport.adapters.openbao``); this one stays beside
it. Most modules for OpenBao run where no wheel need be, on the hosts of the secrets cluster. They
log in by AppRole themselves, initialise a node that has no token yet, wait for a leader, and write
over deleted versions; the agents' client does none of that: it is asynchronous, takes its token
from the file that a bao agent keeps, and goes on to the next node where a module waits.

Rules:

1. Calls go to the active node when one of the addresses is it, so a read sees the last write.
2. TLS is verified with ``ca_file``; nothing from the environment (proxies, tokens, addresses,
   client certificates) changes where a call goes or as whom, and no redirect is followed.
3. A token that came by login is revoked at the end; a batch token ends by itself.
4. Third-party exceptions end here, as :class:`PlatformError`, and name path and remedy.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .._access import Access, OnSecret
from .._errors import (
    ConflictError,
    DeniedError,
    NotThereError,
    PlatformError,
    RefusedError,
    UnreachableError,
)
from .._libraries import require_library
from .._local.files import read_required
from .._values import clean_path, within

_PROBLEM: ImportError | None = None
try:
    import hvac.exceptions
    import requests
    import requests.exceptions
    from hvac.adapters import RawAdapter
except ImportError as err:
    _PROBLEM = err

_MINIMUM_HVAC: Final = "2.4.0"
_LONGEST_WAIT_SECONDS: Final = 3600

ACTIVE: Final = 200
STANDBY: Final = 429
NOT_INITIALISED: Final = 501
SEALED: Final = 503
_STANDBYS: Final = frozenset({STANDBY, 472, 473})
_STATE_WORDS: Final = {NOT_INITIALISED: "not initialised", SEALED: "sealed"}
_POLL_SECONDS: Final = 0.2
# Words of answers that pass by themselves: no leader at the moment; a KV mount made just now.
_PASSING_WORDS: Final = ("active cluster node not found", "Upgrading from non-versioned")
# What a header may hold, and more than any token or id has.
_SECRET: Final = re.compile(r"[!-~]{1,4096}")


class OpenBao:
    """Calls to one OpenBao cluster; every method raises :class:`PlatformError`.

    Not checked here: what a path means. Paths have no leading slash and no ``v1``.

    Args:
        addresses: URLs of the nodes.
        ca_file: PEM file that vouches for the nodes' certificates.
        timeout_seconds: Longest wait for one answer, and for a leader to be there.
        on_secret: Told secrets.
    """

    def __init__(
        self, addresses: Sequence[str], ca_file: str, timeout_seconds: int, *, on_secret: OnSecret
    ) -> None:
        require_library("hvac", _MINIMUM_HVAC, _PROBLEM)
        self.addresses = tuple(_checked_address(address) for address in addresses)
        if not self.addresses:
            raise PlatformError("address: name at least one OpenBao node")
        if not Path(ca_file).is_file():
            raise PlatformError(f"ca_file: {ca_file} does not exist")
        self._ca_file = ca_file
        self._timeout_seconds = within(timeout_seconds, 1, _LONGEST_WAIT_SECONDS, option="timeout")
        self._on_secret = on_secret
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca_file
        self._token = ""
        self._node: str | None = None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def masked(self, secret: str) -> str:
        """Return ``secret`` after it was registered as something never to be shown."""
        self._on_secret(secret)
        return secret

    def read_secret(self, path: str, *, option: str) -> str:
        """Return the secret in a file, registered as something never to be shown.

        Raises:
            PlatformError: The file is missing, unreadable, or holds something else.
        """
        text = read_required(path, option=option).strip()
        if not text:
            raise PlatformError(f"{option}: {path} is empty")
        if not _SECRET.fullmatch(text):
            raise PlatformError(f"{option}: {path} holds something else than one token or id")
        return self.masked(text)

    def health(self, address: str) -> int:
        """Return the HTTP status of one node's health: 200 active, 429 standby, 501, 503.

        Raises:
            UnreachableError: The node does not answer.
        """
        with _translated("sys/health", address):
            adapter = self._adapter(address)
            response = adapter.request("get", "/v1/sys/health", raise_exception=False)
        return int(response.status_code)

    def use_token(self, token: str) -> None:
        """Use ``token`` for the calls that follow."""
        self._token = token

    def can_log_in(self, mount: str, role_id: str, secret_id: str) -> bool:
        """Tell whether OpenBao takes the credentials of an AppRole; the token is ended at once."""
        body = {"role_id": role_id, "secret_id": secret_id}
        try:
            given = self.request("post", f"auth/{mount}/login", body)["auth"]
        except (RefusedError, DeniedError):
            return False
        if given.get("token_type") == "service":
            mine, self._token = self._token, self.masked(given["client_token"])
            try:
                self.request("post", "auth/token/revoke-self", {})
            finally:
                self._token = mine
        return True

    def use_node(self, address: str) -> None:
        """Send the calls that follow to this node, whatever its state."""
        self._node = address

    def request(
        self, method: str, path: str, data: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the whole answer of one call, empty when the server answers with nothing.

        The call is repeated until the time-out while there is no leader; every call here is such
        that repeating it does no harm.
        """
        if self._node is None:
            self._node = self._find_node()
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                return self._ask(self._node, method, path, data)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
                self._node = self._find_node()

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the ``data`` of a path; ``None`` when nothing is there."""
        try:
            return dict(self.request("get", path).get("data") or {})
        except NotThereError:
            return None

    def names(self, path: str) -> list[str]:
        """Return the names under a path; empty when there are none."""
        try:
            answer = self.request("list", path)
        except NotThereError:
            return []
        return list((answer.get("data") or {}).get("keys") or [])

    def write(self, path: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Write to a path and return the answer's ``data``."""
        return dict(self.request("post", path, data).get("data") or {})

    def delete(self, path: str) -> None:
        """Delete what is at a path."""
        self.request("delete", path)

    def read_kv(self, mount: str, path: str) -> tuple[dict[str, Any] | None, int]:
        """Return the newest data of a KV version 2 path and the version to name in a write.

        The data is ``None`` when there is none or its version was deleted; the version is 0 when
        the path was never written.
        """
        try:
            answer: Mapping[str, Any] = self.request("get", f"{mount}/data/{path}")
        except NotThereError as err:
            answer = err.answer
        entry = answer.get("data") or {}
        return entry.get("data"), int((entry.get("metadata") or {}).get("version", 0))

    def write_kv(self, mount: str, path: str, data: Mapping[str, Any], version: int) -> None:
        """Write to a KV version 2 path if ``version`` is still its newest.

        Raises:
            ConflictError: Somebody else wrote first.
        """
        try:
            self.write(f"{mount}/data/{path}", {"data": dict(data), "options": {"cas": version}})
        except RefusedError as err:
            if "check-and-set" not in err.reasons:
                raise
            raise ConflictError(
                f"{mount}/{path} was written by somebody else just now; run again"
            ) from err

    def is_token_valid(self) -> bool:
        """Return whether OpenBao knows the token in use; revoked and expired ones it does not."""
        try:
            self.request("get", "auth/token/lookup-self")
        except DeniedError:
            return False
        return True

    def _adapter(self, address: str) -> Any:
        # hvac's client would take a client certificate from the environment; its adapter does not.
        return RawAdapter(
            base_uri=address,
            token=self._token,
            timeout=self._timeout_seconds,
            allow_redirects=False,
            session=self._session,
        )

    def _ask(
        self, address: str, method: str, path: str, data: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        with _translated(path, address):
            response = self._adapter(address).request(method, f"/v1/{path}", json=data)
            if response.is_redirect:
                raise UnreachableError(f"{address} is a standby that does not forward {path}")
            if not response.content:
                return {}
            try:
                answer = response.json()
            except requests.exceptions.JSONDecodeError:
                answer = None
        if not isinstance(answer, dict):
            raise PlatformError(f"{address} does not answer {path} as OpenBao does")
        return answer

    def _find_node(self) -> str:
        """Return the active node, or a standby that knows one and forwards.

        Raises:
            UnreachableError: No node serves; the text says each node's state.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            states: dict[str, str] = {}
            standbys: list[str] = []
            for address in self.addresses:
                try:
                    status = self.health(address)
                except UnreachableError as err:
                    states[address] = err.message
                    continue
                if status == ACTIVE:
                    return address
                states[address] = _STATE_WORDS.get(status, "standby")
                if status in _STANDBYS:
                    standbys.append(address)
            for address in standbys:
                if self._knows_leader(address):
                    return address
            if not standbys or time.monotonic() > deadline:
                listed = "; ".join(f"{address}: {state}" for address, state in states.items())
                raise UnreachableError(f"no OpenBao node serves requests: {listed}")
            time.sleep(_POLL_SECONDS)

    def _knows_leader(self, address: str) -> bool:
        try:
            return bool(self._ask(address, "get", "sys/leader").get("leader_address"))
        except PlatformError:
            return False


@contextmanager
def _connected(options: Mapping[str, Any], on_secret: OnSecret) -> Iterator[OpenBao]:
    bao = OpenBao(options["address"], options["ca_file"], options["timeout"], on_secret=on_secret)
    try:
        yield bao
    finally:
        bao.close()


@contextmanager
def _logged_in(options: Mapping[str, Any], on_secret: OnSecret) -> Iterator[OpenBao]:
    """Yield a client that calls as the options say (rule 3).

    Raises:
        PlatformError: A file is missing or empty, or the login is refused.
    """
    with _connected(options, on_secret) as bao:
        if options["token_file"] is not None:
            bao.use_token(bao.read_secret(options["token_file"], option="token_file"))
            yield bao
            return
        mount = clean_path(options["approle_mount"], option="approle_mount")
        body = {
            name: bao.read_secret(options[f"{name}_file"], option=f"{name}_file")
            for name in ("role_id", "secret_id")
        }
        given = bao.request("post", f"auth/{mount}/login", body)["auth"]
        bao.use_token(bao.masked(given["client_token"]))
        try:
            yield bao
        finally:
            if given.get("token_type") == "service":
                bao.request("post", "auth/token/revoke-self", {})


_OPTIONS: Final[dict[str, Any]] = {
    "address": {"type": "list", "elements": "str", "required": True},
    "ca_file": {"type": "path", "required": True},
    "timeout": {"type": "int", "default": 30},
}
CONNECTED: Final = Access(_OPTIONS, _connected)
"""A client without a login."""

LOGGED_IN: Final = Access(
    {
        **_OPTIONS,
        "token_file": {"type": "path", "no_log": False},
        "role_id_file": {"type": "path", "no_log": False},
        "secret_id_file": {"type": "path", "no_log": False},
        "approle_mount": {"type": "str", "default": "approle"},
    },
    _logged_in,
    {
        "required_one_of": [("token_file", "role_id_file")],
        "mutually_exclusive": [("token_file", "role_id_file")],
        "required_together": [("role_id_file", "secret_id_file")],
    },
)
"""A client that calls as somebody."""


@contextmanager
def _translated(path: str, address: str) -> Iterator[None]:
    try:
        yield
    except requests.exceptions.SSLError as err:
        raise PlatformError(
            f"{address}: its certificate is not accepted with ca_file: {_root_cause(err)}"
        ) from err
    except requests.exceptions.Timeout as err:
        raise UnreachableError(f"{address} does not answer in time") from err
    except requests.exceptions.RequestException as err:
        raise UnreachableError(f"{address} cannot be reached: {_root_cause(err)}") from err
    except hvac.exceptions.InvalidPath as err:
        raise NotThereError(f"nothing at {path}: {_reasons(err)}", err.json or {}) from err
    except hvac.exceptions.Forbidden as err:
        raise DeniedError(
            f"OpenBao denies {path}: the token is not valid or its policies do not allow this"
        ) from err
    except (hvac.exceptions.VaultDown, hvac.exceptions.VaultNotInitialized) as err:
        raise UnreachableError(f"{address} is sealed or not initialised") from err
    except hvac.exceptions.VaultError as err:
        reasons = _reasons(err)
        if any(words in reasons for words in _PASSING_WORDS):
            raise UnreachableError(f"{address} cannot serve {path} yet: {reasons}") from err
        raise RefusedError(f"OpenBao refused {path}", reasons) from err


def _reasons(err: Any) -> str:
    return " ".join(str(err.args[0] or "no reason given").split())


def _root_cause(err: BaseException) -> str:
    """Return the innermost reason of a chain of wrapped exceptions, in one line."""
    cause: Any = err
    while True:
        inner = getattr(cause, "reason", None) or next(
            (arg for arg in cause.args if isinstance(arg, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return str(inner or cause)
        cause = inner


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        is_plain = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_plain = False
    else:
        is_plain = is_plain and parts.path in ("", "/") and not parts.query + parts.fragment
        is_plain = is_plain and "@" not in parts.netloc
    if not is_plain:
        raise PlatformError(f"address: {address!r} must begin with https:// and be host and port")
    return address.rstrip("/")

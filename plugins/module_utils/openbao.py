# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenBao for modules: options, finding the active node, login, and errors people understand.

Rules:

1. Calls go to the active node when one of the addresses is it, so a read sees the last write.
2. TLS is verified with ``ca_file``; nothing from the environment (proxies, tokens, addresses)
   changes where a call goes or as whom.
3. A token that a module got by login is revoked when the module ends; a batch token ends by itself.
4. Third-party exceptions end here, as :class:`PlatformError`, and name path and remedy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.securetransport.platform.plugins.module_utils.errors import (
    ConflictError,
    PlatformError,
    UnreachableError,
)
from ansible_collections.securetransport.platform.plugins.module_utils.version import is_at_least

try:
    import hvac
    import hvac.exceptions
    import requests
    import requests.exceptions
except ImportError:
    HAS_HVAC = False
else:
    HAS_HVAC = True

MINIMUM_HVAC: Final = "2.4.0"

_ACTIVE: Final = 200
_STANDBY: Final = frozenset({429, 472, 473})
_HEALTH_WORDS: Final = {501: "not initialised", 503: "sealed"}
_POLL_SECONDS: Final = 0.2
# Words of answers that pass by themselves: no leader at the moment; a KV mount made just now.
_PASSING_WORDS: Final = ("active cluster node not found", "Upgrading from non-versioned")

CONNECTION_SPEC: Final[dict[str, Any]] = {
    "address": {"type": "list", "elements": "str", "required": True},
    "ca_file": {"type": "path", "required": True},
    "timeout": {"type": "int", "default": 30},
}
AUTH_SPEC: Final[dict[str, Any]] = {
    "token_file": {"type": "path", "no_log": False},
    "role_id_file": {"type": "path", "no_log": False},
    "secret_id_file": {"type": "path", "no_log": False},
    "approle_mount": {"type": "str", "default": "approle"},
}


def openbao_module(
    options: Mapping[str, Any], *, is_authenticated: bool = True, **module_options: Any
) -> AnsibleModule:
    """Return a module with the common options and, unless told otherwise, those of a login."""
    spec = dict(CONNECTION_SPEC)
    if is_authenticated:
        spec.update(AUTH_SPEC)
        module_options.setdefault("required_one_of", []).append(("token_file", "role_id_file"))
        module_options.setdefault("mutually_exclusive", []).append(("token_file", "role_id_file"))
        module_options.setdefault("required_together", []).append(
            ("role_id_file", "secret_id_file")
        )
    return AnsibleModule({**spec, **options}, supports_check_mode=True, **module_options)


class OpenBao:
    """Calls to one OpenBao cluster; every method raises :class:`PlatformError`.

    Not checked here: what a path means. Paths have no leading slash and no ``v1``.

    Args:
        addresses: URLs of the nodes.
        ca_file: PEM file that vouches for the nodes' certificates.
        timeout_seconds: Longest wait for one answer, and for a leader to be there.
    """

    def __init__(self, addresses: Sequence[str], ca_file: str, timeout_seconds: int) -> None:
        _require_hvac()
        self._addresses = [_checked_address(address) for address in addresses]
        if not self._addresses:
            raise PlatformError("address: name at least one OpenBao node")
        if not Path(ca_file).is_file():
            raise PlatformError(f"ca_file: {ca_file} does not exist")
        self._ca_file = ca_file
        self._timeout_seconds = timeout_seconds
        self._token = ""
        self._client: Any = None
        self._is_revocable = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The nodes, in the order given."""
        return tuple(self._addresses)

    def health(self, address: str) -> int:
        """Return the HTTP status of one node's health: 200 active, 429 standby, 501, 503.

        Raises:
            UnreachableError: The node does not answer.
        """
        client = self._connect(address)
        with _translated("sys/health", address):
            response = client.adapter.request("get", "/v1/sys/health", raise_exception=False)
            return int(getattr(response, "status_code", _ACTIVE))

    def use_token(self, token: str) -> None:
        """Use ``token`` for the calls that follow."""
        self._token = token
        if self._client is not None:
            self._client.token = token

    def use_node(self, address: str) -> None:
        """Send the calls that follow to this node, whatever its state."""
        self._client = self._connect(address)

    def request(
        self, method: str, path: str, data: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the whole answer of one call, empty when the server answers with nothing."""
        if self._client is None:
            self._client = self._connect(self._find_node())
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                with _translated(path, self._client.url):
                    answer = self._client.adapter.request(method, f"/v1/{path}", json=data)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
                self._client = self._connect(self._find_node())
            else:
                return answer if isinstance(answer, dict) else {}

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the ``data`` of a path; ``None`` when nothing is there."""
        try:
            answer = self.request("get", path)
        except _NothingThereError:
            return None
        return dict(answer.get("data") or {})

    def names(self, path: str) -> list[str]:
        """Return the names under a path; empty when there are none."""
        try:
            answer = self.request("list", path)
        except _NothingThereError:
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
        except _NothingThereError as err:
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

    def log_in(self, mount: str, role_id: str, secret_id: str) -> None:
        """Get a token by AppRole and use it; :meth:`log_out` ends it."""
        answer = self.request(
            "post", f"auth/{mount}/login", {"role_id": role_id, "secret_id": secret_id}
        )
        self.use_token(answer["auth"]["client_token"])
        self._is_revocable = answer["auth"].get("token_type") == "service"

    def log_out(self) -> None:
        """Revoke the token of :meth:`log_in` where it is of a kind that can be revoked."""
        if self._is_revocable:
            self.request("post", "auth/token/revoke-self", {})

    def is_token_valid(self) -> bool:
        """Return whether OpenBao knows the token in use; revoked and expired ones it does not."""
        try:
            self.request("get", "auth/token/lookup-self")
        except DeniedError:
            return False
        return True

    def _connect(self, address: str) -> Any:
        session = requests.Session()
        session.trust_env = False
        session.verify = self._ca_file
        return hvac.Client(
            url=address, token=self._token, timeout=self._timeout_seconds, session=session
        )

    def _find_node(self) -> str:
        """Return the active node, or a standby that knows one and forwards.

        Raises:
            UnreachableError: No node serves; the text says each node's state.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            states: dict[str, str] = {}
            standbys: list[str] = []
            for address in self._addresses:
                try:
                    status = self.health(address)
                except UnreachableError as err:
                    states[address] = err.message
                    continue
                if status == _ACTIVE:
                    return address
                states[address] = _HEALTH_WORDS.get(status, "standby")
                if status in _STANDBY:
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
            with _translated("sys/leader", address):
                answer = self._connect(address).adapter.request("get", "/v1/sys/leader")
        except PlatformError:
            return False
        return isinstance(answer, dict) and bool(answer.get("leader_address"))


class _NothingThereError(PlatformError):
    """The path holds nothing, or nothing is mounted there.

    Attributes:
        answer: What OpenBao sent all the same; for a deleted KV version, its metadata.
    """

    def __init__(self, message: str, answer: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


class DeniedError(PlatformError):
    """The token is not valid, or its policies do not allow the call."""


class RefusedError(PlatformError):
    """OpenBao understood the request and refused it.

    Attributes:
        reasons: OpenBao's own words.
    """

    def __init__(self, path: str, reasons: str) -> None:
        self.reasons = reasons
        super().__init__(f"OpenBao refused {path}: {reasons}")


def open_openbao(module: AnsibleModule) -> OpenBao:
    """Return a client for the module's connection options, without a login."""
    params = module.params
    return OpenBao(params["address"], params["ca_file"], params["timeout"])


@contextmanager
def logged_in(module: AnsibleModule) -> Iterator[OpenBao]:
    """Yield a client that is logged in as the module's options say.

    Raises:
        PlatformError: A file is missing or empty, or the login is refused.
    """
    params = module.params
    bao = open_openbao(module)
    if params["token_file"]:
        bao.use_token(read_secret_file(module, "token_file"))
        yield bao
        return
    role_id = read_secret_file(module, "role_id_file")
    secret_id = read_secret_file(module, "secret_id_file")
    bao.log_in(params["approle_mount"], role_id, secret_id)
    try:
        yield bao
    finally:
        bao.log_out()


def read_secret_file(module: AnsibleModule, option: str) -> str:
    """Return the text of the file that an option names, registered as a value never to be shown.

    Raises:
        PlatformError: The file is missing, unreadable or empty.
    """
    path = Path(module.params[option])
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as err:
        raise PlatformError(f"{option}: cannot read {path}: {err.strerror}") from err
    if not text:
        raise PlatformError(f"{option}: {path} is empty")
    module.no_log_values.add(text)
    return text


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
        raise _NothingThereError(f"nothing at {path}: {_reasons(err)}", err.json or {}) from err
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
        raise RefusedError(path, reasons) from err


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
    if not address.startswith("https://"):
        raise PlatformError(f"address: {address!r} must begin with https://")
    return address.rstrip("/")


def _require_hvac() -> None:
    if not HAS_HVAC:
        raise PlatformError(missing_required_lib(f"hvac>={MINIMUM_HVAC}"))
    if not is_at_least("hvac", MINIMUM_HVAC):
        raise PlatformError(f"hvac is too old; install hvac>={MINIMUM_HVAC}")

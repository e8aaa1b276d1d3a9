# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JetStream for backends: its API over one connection of the agents' own client.

Whoever makes streams has the wheel: they come from the ACL that it compiles, and the certificate
comes from its command. So the connection is that of ``securetransport.adapters``, with its rules
(mTLS 1.3, the live intermediates as anchors, a paused server is left), and only its public names
are used, in this file. Backends are not asynchronous, so each call runs the loop until its answer.

While the cluster has no leader yet, a call is repeated until the time-out; every call here is such
that repeating it does no harm.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from .. import _core
from .._access import Access, OnSecret
from .._errors import PlatformError, RefusedError, UnreachableError
from .._local.files import read_required
from .._values import within

_PROBLEM: ImportError | None = None
try:
    from securetransport.adapters.nats import NatsBus
except ImportError as err:
    _PROBLEM = err

_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503
# The first moments of a cluster: no meta leader, no peers known yet, stream without a leader.
_PASSING_CODES: Final = frozenset({10004, 10005, 10008, 10009, 10118})
_POLL_SECONDS: Final = 0.25
_CALL_SECONDS: Final = 5.0
_LONGEST_WAIT_SECONDS: Final = 3600
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
_INBOX: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class JetStreamError(RefusedError):
    """JetStream refused a call.

    Attributes:
        code: Its HTTP-like code.
        error_code: Its own code.
    """

    def __init__(self, doing: str, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("code", 0))
        self.error_code = int(error.get("err_code", 0))
        reason = str(error.get("description", "no reason given"))
        super().__init__(f"JetStream refused {doing}", reason, error_code=self.error_code)


class JetStream:
    """Calls to JetStream's API over one connection.

    Args:
        runner: Runs the loop that the connection lives in.
        connection: The connection.
        deadline: Until when calls are repeated, monotonic seconds.
    """

    def __init__(
        self, runner: asyncio.Runner, connection: _core.bus.Connection, deadline: float
    ) -> None:
        self._runner = runner
        self._connection = connection
        self._deadline = deadline

    def call(self, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer of an API call, for example ``STREAM.INFO.ORDERS``.

        Raises:
            JetStreamError: It was refused.
            UnreachableError: Nobody answered in time.
        """
        payload = json.dumps(dict(body)).encode() if body is not None else b""
        while True:
            try:
                return self._runner.run(self._ask(subject, payload))
            except (UnreachableError, JetStreamError) as err:
                is_passing = isinstance(err, UnreachableError) or (
                    err.error_code in _PASSING_CODES or err.code == _UNAVAILABLE
                )
                if not is_passing or time.monotonic() > self._deadline:
                    raise
            self._runner.run(asyncio.sleep(_POLL_SECONDS))

    async def _ask(self, subject: str, payload: bytes) -> dict[str, Any]:
        try:
            answer = await self._connection.request(
                f"$JS.API.{subject}", payload, timeout=_CALL_SECONDS
            )
        except _core.errors.TransientError as err:
            raise UnreachableError(
                f"JetStream does not answer {subject}: there is no leader, or the user of this "
                f"certificate may not ask ({_why(err)})"
            ) from err
        except _core.errors.SecureTransportError as err:
            raise PlatformError(f"JetStream cannot be asked {subject}: {_why(err)}") from err
        content: dict[str, Any] = json.loads(answer.data)
        if "error" in content:
            raise JetStreamError(subject, content["error"])
        return content

    def config_of(self, subject: str) -> dict[str, Any] | None:
        """Return the configuration that an ``INFO`` call tells; ``None`` when there is no such."""
        try:
            return dict(self.call(subject)["config"])
        except JetStreamError as err:
            if err.code == _NOT_FOUND:
                return None
            raise


@contextmanager
def _connected(options: Mapping[str, Any], on_secret: OnSecret) -> Iterator[JetStream]:
    """Yield JetStream over a connection made as the options say.

    Raises:
        LibraryError: The wheel is not there.
        PlatformError: An option cannot be, files are missing, or no server accepts us.
    """
    _core.require(_PROBLEM)
    timeout_seconds = within(options["timeout"], 1, _LONGEST_WAIT_SECONDS, option="timeout")
    servers = [_checked_server(server) for server in options["servers"]]
    if not servers:
        raise PlatformError("servers: name at least one server")
    if not _INBOX.fullmatch(options["inbox_prefix"]):
        raise PlatformError(f"inbox_prefix: {options['inbox_prefix']!r} is not a plain subject")
    credentials = _credentials(options, on_secret)
    deadline = time.monotonic() + timeout_seconds
    with asyncio.Runner() as runner:
        try:
            connection = runner.run(
                NatsBus().connect(
                    servers,
                    credentials,
                    name="ansible",
                    inbox_prefix=options["inbox_prefix"],
                    timeouts=_core.bus.BusTimeouts(connect=timeout_seconds),
                )
            )
        except _core.errors.SecureTransportError as err:
            raise UnreachableError(
                f"no NATS server of {', '.join(servers)} accepts a connection: {_why(err)}"
            ) from err
        try:
            yield JetStream(runner, connection, deadline)
        finally:
            runner.run(connection.close())


JETSTREAM: Final = Access(
    {
        "servers": {"type": "list", "elements": "str", "required": True},
        "ca_file": {"type": "path", "required": True},
        "client_cert": {"type": "path", "required": True},
        "client_key": {"type": "path", "required": True, "no_log": False},
        "inbox_prefix": {"type": "str", "default": "_INBOX.admin"},
        "timeout": {"type": "int", "default": 30},
    },
    _connected,
)
"""JetStream as the user of a certificate."""


def _credentials(options: Mapping[str, Any], on_secret: OnSecret) -> _core.bus.Credentials:
    anchors, certificate, key = (
        read_required(options[option], option=option)
        for option in ("ca_file", "client_cert", "client_key")
    )
    on_secret(key.strip())
    with _core.translated("client_cert and client_key"):
        identity = _core.x509.tls_identity(certificate, key)
    with _core.translated("ca_file"):
        ders = tuple(_core.x509.pem_to_der(text) for text in _CERTIFICATE.findall(anchors))
    if not ders:
        raise PlatformError(f"ca_file: {options['ca_file']} holds no certificates")
    return _core.bus.Credentials(ders, identity)


def _checked_server(server: str) -> str:
    try:
        parts = urlsplit(server)
        is_plain = parts.scheme == "tls" and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        is_plain = False
    if not is_plain or server != f"tls://{parts.netloc}" or "@" in server:
        raise PlatformError(f"servers: {server!r} is not tls://host:port")
    return server


def _why(err: Exception) -> str:
    """Return the reason of an error of the wheel in one line."""
    return " ".join(str(getattr(err, "fields", {}).get("reason") or err).split())

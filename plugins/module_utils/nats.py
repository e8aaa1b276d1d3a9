# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JetStream for modules: one connection by mTLS, API calls, and errors people understand.

Rules:

1. The servers are verified with the certificates of ``ca_file`` as anchors, which may be
   intermediates; so a retired one is refused here as everywhere.
2. While the cluster has no leader yet, a call is repeated until ``timeout``; every call here is
   such that repeating it does no harm.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.securetransport.platform.plugins.module_utils.errors import (
    PlatformError,
    UnreachableError,
)
from ansible_collections.securetransport.platform.plugins.module_utils.version import is_at_least

try:
    import nats.aio.client
    import nats.errors
except ImportError:
    HAS_NATS = False
else:
    HAS_NATS = True

MINIMUM_NATS: Final = "2.16.0"

CONNECTION_SPEC: Final[dict[str, Any]] = {
    "servers": {"type": "list", "elements": "str", "required": True},
    "ca_file": {"type": "path", "required": True},
    "client_cert": {"type": "path", "required": True},
    "client_key": {"type": "path", "required": True, "no_log": False},
    "inbox_prefix": {"type": "str", "default": "_INBOX.admin"},
    "timeout": {"type": "int", "default": 30},
}

_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503
# The first moments of a cluster: no meta leader, no peers known yet, stream without a leader.
_PASSING_CODES: Final = frozenset({10004, 10005, 10008, 10009, 10118})
_POLL_SECONDS: Final = 0.25
_CALL_SECONDS: Final = 5.0
_ATTEMPTS_PER_SERVER: Final = 3

T = TypeVar("T")


class JetStreamError(PlatformError):
    """JetStream refused a call.

    Attributes:
        code: Its HTTP-like code.
        error_code: Its own code.
    """

    def __init__(self, doing: str, error: dict[str, Any]) -> None:
        self.code = int(error.get("code", 0))
        self.error_code = int(error.get("err_code", 0))
        super().__init__(
            f"JetStream refused {doing}: {error.get('description', 'no reason given')}",
            error_code=self.error_code,
        )


class JetStream:
    """Calls to JetStream's API over one connection."""

    def __init__(self, connection: Any, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    async def call(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer of an API call, for example ``STREAM.INFO.ORDERS``.

        Raises:
            JetStreamError: It was refused.
            UnreachableError: Nobody answered in time.
        """
        payload = json.dumps(body).encode() if body is not None else b""
        while True:
            problem: PlatformError
            try:
                answer = await self._connection.request(
                    f"$JS.API.{subject}", payload, timeout=_CALL_SECONDS
                )
            except (nats.errors.TimeoutError, nats.errors.NoRespondersError) as err:
                problem = UnreachableError(
                    f"JetStream does not answer {subject}: there is no leader, or the user of this "
                    "certificate may not ask"
                )
                problem.__cause__ = err
            except nats.errors.Error as err:
                raise UnreachableError(f"the connection ended at {subject}: {err}") from err
            else:
                content: dict[str, Any] = json.loads(answer.data)
                error = content.get("error")
                if error is None:
                    return content
                problem = JetStreamError(subject, error)
                if problem.error_code not in _PASSING_CODES and problem.code != _UNAVAILABLE:
                    raise problem
            if time.monotonic() > self._deadline:
                raise problem
            await asyncio.sleep(_POLL_SECONDS)

    async def config_of(self, subject: str) -> dict[str, Any] | None:
        """Return the configuration that an ``INFO`` call tells; ``None`` when there is no such."""
        try:
            return dict((await self.call(subject))["config"])
        except JetStreamError as err:
            if err.code == _NOT_FOUND:
                return None
            raise


def with_jetstream(module: AnsibleModule, work: Callable[[JetStream], Awaitable[T]]) -> T:
    """Connect as the module's options say and return what ``work`` returns.

    Raises:
        PlatformError: Files are missing, no server accepts us, or ``work`` raises it.
    """
    if not HAS_NATS:
        raise PlatformError(missing_required_lib(f"nats-py>={MINIMUM_NATS}"))
    if not is_at_least("nats-py", MINIMUM_NATS):
        raise PlatformError(f"nats-py is too old; install nats-py>={MINIMUM_NATS}")
    return asyncio.run(_run(module.params, _tls_context(module.params), work))


async def _run(
    params: dict[str, Any], context: ssl.SSLContext, work: Callable[[JetStream], Awaitable[T]]
) -> T:
    deadline = time.monotonic() + params["timeout"]
    connection = await _connect(params, context, deadline)
    try:
        return await work(JetStream(connection, deadline))
    finally:
        await connection.close()


async def _connect(params: dict[str, Any], context: ssl.SSLContext, deadline: float) -> Any:
    seen: list[str] = []

    async def remember(error: Exception) -> None:
        seen.append(str(error) or type(error).__name__)

    client = nats.aio.client.Client()
    try:
        await client.connect(
            servers=params["servers"],
            tls=context,
            name="ansible",
            inbox_prefix=params["inbox_prefix"],
            allow_reconnect=False,
            connect_timeout=max(1, int(deadline - time.monotonic())),
            max_reconnect_attempts=_ATTEMPTS_PER_SERVER,
            reconnect_time_wait=_POLL_SECONDS,  # type: ignore[arg-type]  # it is slept for
            error_cb=remember,
        )
    except (nats.errors.Error, OSError, TimeoutError) as err:
        await _abandon(client)
        reason = str(err) or (seen[-1] if seen else type(err).__name__)
        listed = ", ".join(params["servers"])
        raise UnreachableError(
            f"no NATS server of {listed} accepts a connection: {reason}"
        ) from err
    return client


async def _abandon(client: Any) -> None:
    """Give back the socket of a connection that failed; nats-py leaves it to the collector."""
    transport = client._transport  # noqa: SLF001  # there is no public way to it
    tls, tcp = (getattr(transport, name, None) for name in ("_io_writer", "_bare_io_writer"))
    # The first releases of Python 3.11 fail to abort a TLS transport that was closed twice.
    if tls is not None and not tls.transport.is_closing():
        tls.transport.abort()
    if tcp is not None:
        tcp.transport.abort()
    await asyncio.sleep(0)


def _tls_context(params: dict[str, Any]) -> ssl.SSLContext:
    for option in ("ca_file", "client_cert", "client_key"):
        if not Path(params[option]).is_file():
            raise PlatformError(f"{option}: {params[option]} does not exist")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Anchors are the live intermediates; OpenSSL takes one only with this flag.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(params["ca_file"])
    except (ssl.SSLError, OSError) as err:
        raise PlatformError(f"ca_file: {params['ca_file']} holds no certificates") from err
    try:
        context.load_cert_chain(params["client_cert"], params["client_key"])
    except (ssl.SSLError, OSError) as err:
        raise PlatformError(
            "client_cert and client_key: cannot be read or do not belong together"
        ) from err
    return context

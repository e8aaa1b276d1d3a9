# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health endpoints over HTTP, asked until each has answered as wanted once.

The standard library's client: it knows no proxy, follows no redirect, and takes no setting from the
environment.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from .._errors import PlatformError
from .._outcome import Outcome

_REQUEST_SECONDS: Final = 5.0
_BODY_BYTES: Final = 600
_SHORTEST_INTERVAL_SECONDS: Final = 0.05
_PLAIN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An endpoint and what it should answer.

    Attributes:
        name: What people call it.
        url: Its URL, ``http://`` or ``https://``.
        status: Accepted status codes.
        ca_file: Certificates that an ``https://`` endpoint must chain to.
        log_file: The place to look at when it does not answer; ``None`` when there is none.
    """

    name: str
    url: str
    status: Sequence[int] = (200,)
    ca_file: str | None = None
    log_file: str | None = None


@dataclass(frozen=True, slots=True)
class WaitSpec:
    """What to wait for.

    Attributes:
        endpoints: The endpoints.
        timeout: Seconds until it gives up; 0 asks each once.
        interval: Seconds between two rounds.
    """

    endpoints: Sequence[EndpointSpec]
    timeout: float
    interval: float


class Endpoint:
    """One endpoint that can be asked.

    Raises:
        PlatformError: Its URL or its ``ca_file`` cannot be used.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        self.is_ready = False
        self.answer = "not asked"
        try:
            parts = urlsplit(spec.url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            self._host = ""
        is_http = bool(self._host) and parts.scheme in ("http", "https")
        if not is_http or not _PLAIN.fullmatch(spec.url) or "@" in parts.netloc:
            raise PlatformError(f"{spec.name}: {spec.url} is not an http(s) URL")
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = _context(spec) if parts.scheme == "https" else None

    def ask(self) -> None:
        """Ask once; keeps whether it is ready, and its answer in one line."""
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = http.client.HTTPConnection(
                self._host, self._port, timeout=_REQUEST_SECONDS
            )
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_REQUEST_SECONDS, context=self._context
            )
        try:
            connection.request("GET", self._target)
            response = connection.getresponse()
            body = " ".join(response.read(_BODY_BYTES).decode(errors="replace").split())
            self.is_ready = response.status in self.spec.status
            self.answer = f"{response.status} {body}".strip()
        except (OSError, http.client.HTTPException) as err:
            self.answer = str(err) or type(err).__name__
        finally:
            connection.close()

    def complaint(self) -> str:
        """Return the line that tells a person what is wrong and where to look."""
        hint = f"; see {self.spec.log_file}" if self.spec.log_file else ""
        return f"{self.spec.name} at {self.spec.url} is not ready: {self.answer}{hint}"


def wait_until_ready(spec: WaitSpec, check_mode: bool) -> Outcome:  # noqa: ARG001  # changes nothing
    """Ask until each endpoint has answered as wanted once.

    Raises:
        PlatformError: The time is up; one line per endpoint, and the field ``endpoints``.
    """
    endpoints = [Endpoint(entry) for entry in spec.endpoints]
    pause_seconds = max(spec.interval, _SHORTEST_INTERVAL_SECONDS)
    deadline = time.monotonic() + spec.timeout
    while True:
        waiting = [endpoint for endpoint in endpoints if not endpoint.is_ready]
        for endpoint in waiting:
            endpoint.ask()
        waiting = [endpoint for endpoint in waiting if not endpoint.is_ready]
        if not waiting or time.monotonic() >= deadline:
            break
        time.sleep(pause_seconds)
    answers = [
        {"name": endpoint.spec.name, "is_ready": endpoint.is_ready, "answer": endpoint.answer}
        for endpoint in endpoints
    ]
    if waiting:
        complaints = "\n".join(endpoint.complaint() for endpoint in waiting)
        raise PlatformError(complaints, endpoints=answers)
    return Outcome(changed=False, facts={"endpoints": answers})


def _context(spec: EndpointSpec) -> ssl.SSLContext:
    if spec.ca_file is None:
        raise PlatformError(f"{spec.name}: an https URL needs ca_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(spec.ca_file)
    except OSError as err:
        reason = "holds no certificates" if isinstance(err, ssl.SSLError) else err.strerror
        raise PlatformError(f"{spec.name}: ca_file {spec.ca_file}: {reason}") from err
    return context

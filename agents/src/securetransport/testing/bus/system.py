"""Monitoring requests of the system account: what servers say of themselves, and what they do.

``$SYS.REQ.SERVER.PING.<verb>`` asks every server, or the one that the question names;
``$SYS.REQ.SERVER.<id>.<verb>`` asks one. The answers have the fields that our code reads. A test
replaces one with ``server.on(verb, handler)``; a handler that returns ``None`` stays silent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from securetransport.testing.bus.accounts import Account
from securetransport.testing.bus.frames import Frame

_PREFIX: Final = "$SYS.REQ.SERVER."
_PAGE: Final = 1024

SystemHandler = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Takes the question, returns ``{"data": …}`` or ``{"error": {…}}``, ``None`` for silence."""


class ConnectionFacts(Protocol):
    """What a server knows of one connection."""

    @property
    def cid(self) -> int:
        """Its number at this server."""
        ...

    @property
    def name(self) -> str:
        """What the client calls itself."""
        ...

    @property
    def user(self) -> str:
        """The user that its certificate was mapped to."""
        ...

    @property
    def account(self) -> str:
        """``APP`` or ``SYS``."""
        ...

    @property
    def leaf(self) -> str:
        """SHA-256 of its certificate, hex; empty when it has none."""
        ...

    @property
    def started_at(self) -> datetime:
        """When it connected."""
        ...


class MonitoredServer(Protocol):
    """What the answers are made from."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def server_id(self) -> str:
        """Its id, another one after each start."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether it answers."""
        ...

    @property
    def handlers(self) -> Mapping[str, SystemHandler]:
        """Its answers by verb."""
        ...


class SystemRequests:
    """Hands the questions of the system account to the servers."""

    def __init__(self, account: Account, servers: Mapping[str, MonitoredServer]) -> None:
        self._account = account
        self._servers = servers
        account.extensions.append(self)

    def take(self, frame: Frame) -> bool:
        """Answer a question; tells whether a server was asked."""
        if not frame.subject.startswith(_PREFIX):
            return False
        target, _, verb = frame.subject.removeprefix(_PREFIX).partition(".")
        try:
            question = json.loads(frame.data or b"{}")
        except ValueError:
            question = {}
        asked = [server for server in self._servers.values() if _is_asked(server, target, question)]
        for server in asked:
            handler = server.handlers.get(verb or "PING")
            said = handler(question) if handler is not None else None
            if said is not None and frame.reply:
                whole = {"server": {"name": server.name, "id": server.server_id}, **said}
                self._account.route(Frame(frame.reply, json.dumps(whole).encode()))
        return bool(asked) or target == "PING"


def _is_asked(server: MonitoredServer, target: str, question: dict[str, Any]) -> bool:
    if not server.is_running:
        return False
    if target != "PING":
        return target == server.server_id
    wanted = str(question.get("server_name") or "")
    return wanted == server.name if question.get("exact_match") else wanted in server.name


def connz(connections: list[ConnectionFacts], question: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a server's connections."""
    offset, limit = int(question.get("offset", 0)), int(question.get("limit", _PAGE))
    ordered = sorted(connections, key=lambda connection: connection.cid)
    listed = [_described(connection) for connection in ordered[offset : offset + limit]]
    page = {"total": len(ordered), "offset": offset, "limit": limit, "num_connections": len(listed)}
    return {"data": {**page, "connections": listed}}


def _described(connection: ConnectionFacts) -> dict[str, Any]:
    certificates = [{"cert_sha256": connection.leaf}] if connection.leaf else []
    return {
        "cid": connection.cid,
        "kind": "Client",
        "start": connection.started_at.isoformat(),
        "name": connection.name,
        "authorized_user": connection.user,
        "account": connection.account,
        "tls_peer_certs": certificates,
    }


def routez(server: str, servers: Mapping[str, MonitoredServer]) -> dict[str, Any]:
    """Return the routes of a server: one to every other that runs."""
    others = [other.name for other in servers.values() if other.is_running and other.name != server]
    return {"data": {"num_routes": len(others), "routes": [{"remote_name": n} for n in others]}}

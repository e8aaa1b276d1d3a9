"""What servers answer to monitoring requests, read strictly: a field that is missing is an error.

Only the *leaf* of a connection counts (``tls_peer_certs[0]``): what follows it, the common name and
the client name are whatever the peer sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.server_report import ServerConnection


class _Answer(BaseModel):
    """Servers of a newer version say more; only what is read here must be there."""

    model_config = ConfigDict(extra="ignore", frozen=True)


T = TypeVar("T", bound=_Answer)


class _Server(_Answer):
    id: str
    name: str


class _Error(_Answer):
    code: int
    description: str = ""


class _PeerCertificate(_Answer):
    cert_sha256: str = ""


class _Connection(_Answer):
    cid: int
    start: AwareDatetime
    authorized_user: str = ""
    tls_peer_certs: tuple[_PeerCertificate, ...] = ()


class _Connections(_Answer):
    total: int
    offset: int
    connections: tuple[_Connection, ...] = ()


class _ConnectionsAnswer(_Answer):
    server: _Server
    data: _Connections


class _Route(_Answer):
    remote_name: str = ""


class _Routes(_Answer):
    routes: tuple[_Route, ...] = ()


class _RoutesAnswer(_Answer):
    server: _Server
    data: _Routes


class _ReloadAnswer(_Answer):
    server: _Server
    error: _Error | None = None


@dataclass(frozen=True, slots=True)
class ConnectionsPage:
    """One page of a server's connections.

    Attributes:
        server_id: The answering server's id of this run; commands are addressed to it.
        connections: Those that have authenticated; who has not is nobody yet.
        count: Entries of the page, those included that have not authenticated.
        total: Entries of all pages.
    """

    server_id: str
    connections: tuple[ServerConnection, ...]
    count: int
    total: int


def parse_connections(data: bytes, server: str) -> ConnectionsPage:
    """Read a page of CONNZ (with ``auth``) from the named server.

    Raises:
        MalformedMessageError: Not such an answer, or of another server.
    """
    answer = _parse(_ConnectionsAnswer, data, "CONNZ")
    _check_name(answer.server, server)
    listed = answer.data.connections
    return ConnectionsPage(
        server_id=answer.server.id,
        connections=tuple(_connection(entry) for entry in listed if entry.authorized_user),
        count=len(listed),
        total=answer.data.total,
    )


def parse_route_names(data: bytes, server: str) -> frozenset[str]:
    """Read the names of the servers that the named server has a route to.

    Raises:
        MalformedMessageError: Not an answer to ROUTEZ, or of another server.
    """
    answer = _parse(_RoutesAnswer, data, "ROUTEZ")
    _check_name(answer.server, server)
    return frozenset(route.remote_name for route in answer.data.routes if route.remote_name)


def parse_reload(data: bytes, server: str) -> str | None:
    """Return why the named server refused its new configuration, ``None`` when it took it.

    Raises:
        MalformedMessageError: Not an answer to RELOAD, or of another server.
    """
    answer = _parse(_ReloadAnswer, data, "RELOAD")
    _check_name(answer.server, server)
    if answer.error is None:
        return None
    return answer.error.description.strip() or f"error {answer.error.code}"


def _connection(entry: _Connection) -> ServerConnection:
    leaf = entry.tls_peer_certs[0].cert_sha256.lower() if entry.tls_peer_certs else ""
    return ServerConnection(
        cid=entry.cid,
        user=entry.authorized_user,
        leaf=Fingerprint(leaf) if leaf else None,
        started_at=entry.start,
    )


def _parse(model: type[T], data: bytes, what: str) -> T:
    try:
        return model.model_validate(json.loads(data))
    except (ValueError, ValidationError) as err:
        raise MalformedMessageError(f"server's answer to {what} cannot be read") from err


def _check_name(found: _Server, expected: str) -> None:
    if found.name != expected:
        raise MalformedMessageError("another server answered", expected=expected, server=found.name)

"""What servers answer to monitoring requests, read strictly: a field that is missing is an error.

Only the *leaf* of a connection counts (``tls_peer_certs[0]``): what follows it, the common name and
the client name are whatever the peer sent.

Every value has a bound: what a server says, right or not, neither fills the watcher nor ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.server_report import ServerConnection

MOST_CONNECTIONS: Final = 65_536
"""Of one server; as many as a server accepts unless it is told otherwise."""

_LONGEST_REASON: Final = 500
_ROUTER: Final = "Router"  # nats-server's word for the other end of a route
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def _of_our_time(at: datetime) -> datetime:
    if not _EARLIEST <= at <= _LATEST:
        raise ValueError("not a time of our days")
    return at


_Name = Annotated[str, Field(max_length=256)]
_Count = Annotated[int, Field(ge=0, le=MOST_CONNECTIONS)]
_Sha256 = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{64})?$")]


class _Answer(BaseModel):
    """Servers of a newer version say more; only what is read here must be there."""

    model_config = ConfigDict(extra="ignore", frozen=True)


T = TypeVar("T", bound=_Answer)


class _Server(_Answer):
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")]  # becomes part of a subject
    name: _Name


class _Error(_Answer):
    code: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    description: str = ""


class _PeerCertificate(_Answer):
    cert_sha256: _Sha256 = ""


class _Connection(_Answer):
    cid: Annotated[int, Field(ge=0, lt=2**63)]
    start: Annotated[AwareDatetime, AfterValidator(_of_our_time)]
    authorized_user: Annotated[str, Field(max_length=1024)] = ""
    tls_peer_certs: Annotated[tuple[_PeerCertificate, ...], Field(max_length=64)] = ()


class _Connections(_Answer):
    total: _Count
    offset: _Count
    connections: Annotated[tuple[_Connection, ...], Field(max_length=MOST_CONNECTIONS)] = ()


class _ConnectionsAnswer(_Answer):
    server: _Server
    data: _Connections


class _Route(_Answer):
    remote_name: _Name = ""


class _Routes(_Answer):
    routes: Annotated[tuple[_Route, ...], Field(max_length=4096)] = ()


class _RoutesAnswer(_Answer):
    server: _Server
    data: _Routes


class _ReloadAnswer(_Answer):
    server: _Server
    error: _Error | None = None


class _Peer(_Answer):
    kind: Annotated[str, Field(max_length=64)]
    host: _Name = ""
    name: _Name = ""


class _RefusalEvent(_Answer):
    server: _Server
    client: _Peer


@dataclass(frozen=True, slots=True)
class PeerRefusal:
    """A peer that a server refused as a server.

    Attributes:
        server: Who refused it.
        host: The peer's address.
        name: What the peer calls itself.
    """

    server: str
    host: str
    name: str


@dataclass(frozen=True, slots=True)
class ConnectionsPage:
    """One page of a server's connections.

    Attributes:
        server_id: The answering server's id of this run; commands are addressed to it.
        connections: Those that have authenticated; who has not is nobody yet.
        cids: The number of every entry, those included that have not authenticated.
        offset: Entries of all pages before this one.
        total: Entries of all pages.
    """

    server_id: str
    connections: tuple[ServerConnection, ...]
    cids: tuple[int, ...]
    offset: int
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
        cids=tuple(entry.cid for entry in listed),
        offset=answer.data.offset,
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
    words = " ".join(answer.error.description.split())
    return words[:_LONGEST_REASON] or f"error {answer.error.code}"


def parse_route_refusal(data: bytes) -> PeerRefusal | None:
    """Return the peer whose route a server refused, ``None`` when it refused another connection.

    Raises:
        MalformedMessageError: Not a server's word about a refused connection.
    """
    event = _parse(_RefusalEvent, data, "a refused connection")
    if event.client.kind != _ROUTER:
        return None
    return PeerRefusal(event.server.name, event.client.host, event.client.name)


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
        return model.model_validate_json(data)
    except ValidationError as err:
        raise MalformedMessageError(f"server's answer to {what} cannot be read") from err


def _check_name(found: _Server, expected: str) -> None:
    if found.name != expected:
        raise MalformedMessageError("another server answered", expected=expected, server=found.name)

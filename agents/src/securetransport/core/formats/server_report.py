"""The watcher's report: what it saw of every server in one round."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.body import Document

MOST_REFUSED_ROUTES: Final = 16
"""Of one server in one report; of more, the latest."""


class ServerConnection(Document):
    """One live client connection as a server reports it.

    Attributes:
        cid: The server's connection number.
        user: The mapped user (URI SAN).
        leaf: SHA-256 of the leaf the peer presented, hex; ``None`` if the server did not say.
        started_at: When it connected, by the server's clock.
    """

    cid: int
    user: str
    leaf: Fingerprint | None
    started_at: AwareDatetime


class RefusedRoute(Document):
    """A peer that wanted to be a server of the cluster and was refused.

    The server tells no more of it: which certificate the peer showed stays unknown.

    Attributes:
        host: Its address.
        name: What it calls itself, a server's id as a rule; unproven.
        count: How often it was refused, as far as the watcher remembers.
        last_at: When it was last refused, by the watcher's clock.
    """

    host: Annotated[str, Field(max_length=256)]
    name: Annotated[str, Field(max_length=256)]
    count: Annotated[int, Field(ge=1, lt=2**63)]
    last_at: AwareDatetime


class ServerObservation(Document):
    """What the watcher saw of one server.

    Attributes:
        server: Its name.
        reachable: It answered the system account within the time-out.
        seen_by_peers: Some other server has a route to it; ``None`` when no peer answered.
        reload_error: The RELOAD answer's error, if the last reload failed.
        client_names: CA common names the client port lists; ``None`` when the probe failed.
        route_names: CA common names the route port lists; ``None`` when the probe failed.
        served_issuer: Issuer common name of the leaf the client port serves.
        route_served_issuer: Issuer common name of the leaf the route port serves.
        connections: Live client connections; ``None`` when unknown.
        refused_routes: Who lately wanted to be a server and was refused; the latest come last.
    """

    server: str
    reachable: bool
    seen_by_peers: bool | None = None
    reload_error: str | None = None
    client_names: tuple[str, ...] | None = None
    route_names: tuple[str, ...] | None = None
    served_issuer: str | None = None
    route_served_issuer: str | None = None
    connections: tuple[ServerConnection, ...] | None = None
    refused_routes: Annotated[tuple[RefusedRoute, ...], Field(max_length=MOST_REFUSED_ROUTES)] = ()


class ServerReport(Document):
    """One round of the watcher over all servers.

    Attributes:
        reported_at: When the round ended.
        servers: By rising name.
    """

    reported_at: AwareDatetime
    servers: tuple[ServerObservation, ...]

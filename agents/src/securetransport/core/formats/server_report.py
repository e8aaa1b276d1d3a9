"""The watcher's report: what it saw of every server in one round."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from securetransport.core.formats.body import Counter, Document, Flag, Instant, Sha256, Text

MOST_SERVERS: Final = 256

ListedNames = Annotated[tuple[Text, ...], Field(max_length=64)]
"""CA names that a port lists; a trust set has 8 at most."""

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

    cid: Counter
    user: Annotated[str, Field(strict=True, max_length=1024)]
    leaf: Sha256 | None
    started_at: Instant


class RefusedRoute(Document):
    """A peer that wanted to be a server of the cluster and was refused.

    The server tells no more of it: which certificate the peer showed stays unknown.

    Attributes:
        host: Its address.
        name: What it calls itself, a server's id as a rule; unproven.
        count: How often it was refused, as far as the watcher remembers.
        last_at: When it was last refused, by the watcher's clock.
    """

    host: Text
    name: Text
    count: Counter
    last_at: Instant


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

    server: Text
    reachable: Flag
    seen_by_peers: Flag | None = None
    reload_error: Annotated[str, Field(strict=True, max_length=1024)] | None = None
    client_names: ListedNames | None = None
    route_names: ListedNames | None = None
    served_issuer: Text | None = None
    route_served_issuer: Text | None = None
    connections: tuple[ServerConnection, ...] | None = None
    refused_routes: Annotated[tuple[RefusedRoute, ...], Field(max_length=MOST_REFUSED_ROUTES)] = ()


class ServerReport(Document):
    """One round of the watcher over all servers.

    Attributes:
        reported_at: When the round ended.
        servers: By rising name.
    """

    reported_at: Instant
    servers: Annotated[tuple[ServerObservation, ...], Field(max_length=MOST_SERVERS)]

"""From what was heard and seen of each server to a report; unknown stays unknown. Pure.

Rules:

1. A server counts as reachable until it has been silent for ``SILENT_AFTER``; meanwhile its
   connections are ``None``, which is "unknown", never "none".
2. "Nobody has a route to it" is said only when a majority of all servers answered and none of them
   has one; a watcher that is cut off together with a minority says ``None``.
3. A port that did not answer the probe has ``None`` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securetransport.core.formats.server_report import (
    ServerConnection,
    ServerObservation,
    ServerReport,
)

SILENT_AFTER: Final = 10.0
"""Seconds; ``core.decisions.ca.gates`` takes "not reachable" for at least this."""


@dataclass(frozen=True, slots=True)
class PortSeen:
    """What one port showed to a probe.

    Attributes:
        names: CA common names it lists.
        issuer: Issuer common name of the leaf it serves.
    """

    names: tuple[str, ...]
    issuer: str


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """One server in one round.

    Attributes:
        name: Its name.
        heard_at: When it last answered, monotonic seconds; the watcher's start before that.
        connections: Its live connections; ``None`` when it did not answer completely.
        routes: Names it has routes to; ``None`` when it did not answer.
        client: What its client port showed; ``None`` when it did not answer.
        route: What its route port showed; ``None`` when it did not answer.
        reload_error: Why its last reload failed, if it did.
    """

    name: str
    heard_at: float
    connections: tuple[ServerConnection, ...] | None
    routes: frozenset[str] | None
    client: PortSeen | None
    route: PortSeen | None
    reload_error: str | None


def report(seen: Sequence[ServerSeen], *, monotonic: float, at: datetime) -> ServerReport:
    """Return the report of one round.

    Args:
        seen: Every configured server.
        monotonic: Now, on the clock of ``heard_at``.
        at: Now, wall time.
    """
    routes = {entry.name: entry.routes for entry in seen}
    observations = [
        ServerObservation(
            server=entry.name,
            reachable=monotonic - entry.heard_at < SILENT_AFTER,
            seen_by_peers=is_seen_by_peers(entry.name, routes),
            reload_error=entry.reload_error,
            client_names=entry.client.names if entry.client else None,
            route_names=entry.route.names if entry.route else None,
            served_issuer=entry.client.issuer if entry.client else None,
            route_served_issuer=entry.route.issuer if entry.route else None,
            connections=entry.connections,
        )
        for entry in seen
    ]
    observations.sort(key=lambda entry: entry.server)
    return ServerReport(reported_at=at, servers=tuple(observations))


def is_seen_by_peers(server: str, routes: Mapping[str, frozenset[str] | None]) -> bool | None:
    """Apply rule 2.

    Args:
        server: The server in question.
        routes: Every configured server to the names it has routes to, ``None`` when unknown.
    """
    answered = [found for name, found in routes.items() if name != server and found is not None]
    if any(server in found for found in answered):
        return True
    majority = len(routes) // 2 + 1
    return False if len(answered) >= majority else None

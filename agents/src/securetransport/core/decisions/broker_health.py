"""How the servers are: the report that the rounds of a watcher amount to, and when one is reloaded.

From what each server answered and showed to a report; unknown stays unknown. Rules of the report:

1. A server counts as reachable until it has been silent for ``SILENT_AFTER``; meanwhile its
   connections are ``None``, which is "unknown", never "none".
2. "Nobody has a route to it" is said only when a majority of all servers answered and none of them
   has one; a watcher that is cut off together with a minority says ``None``.
3. A port that did not answer the probe has ``None`` names.

Rules of the reload. A server's keeper reloads it by signal; a signal has no answer, RELOAD has one:

4. Once both ports show the newest trust set, one RELOAD confirms that the server accepts its whole
   configuration; then nothing more for this version.
5. A server that still shows another set some seconds after a new version is told to reload, again
   and again at that distance: its keeper may be unable to signal it, and the answer says why not.
6. A refused reload is repeated at the same distance, until it is accepted.

Pure: no clock, no socket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.body import Version
from securetransport.core.formats.server_report import (
    RefusedRoute,
    ServerConnection,
    ServerObservation,
    ServerReport,
)

SILENT_AFTER: Final = 10.0
"""Seconds; the gates of a rotation take "not reachable" for at least this."""


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
        refused_routes: Who wanted to be a server of the cluster and was refused.
    """

    name: str
    heard_at: float
    connections: tuple[ServerConnection, ...] | None
    routes: frozenset[str] | None
    client: PortSeen | None
    route: PortSeen | None
    reload_error: str | None
    refused_routes: tuple[RefusedRoute, ...] = ()


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
            refused_routes=entry.refused_routes,
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


@dataclass(frozen=True, slots=True)
class ReloadObservation:
    """What is known about one server's reloads.

    Attributes:
        version: Newest trust bundle version that the watcher has seen, ``None`` before the first.
        changed_at: When it became the newest, monotonic seconds.
        confirmed: Version that a RELOAD without error confirmed.
        tried_at: When RELOAD was last sent for this version, monotonic seconds.
        shows_newest: Both ports list exactly the names of the newest trust set.
        now: Monotonic seconds.
        patience: The distance of rules 5 and 6, seconds.
    """

    version: Version | None
    changed_at: float
    confirmed: Version | None
    tried_at: float
    shows_newest: bool
    now: float
    patience: float


@dataclass(frozen=True, slots=True)
class Reload:
    """Tell the server to read its configuration, and listen to what it says."""


def should_reload(seen: ReloadObservation) -> Reload | Wait:
    """Apply rules 4 to 6."""
    if seen.version is None:
        return Wait(("a trust set",))
    if seen.shows_newest and seen.confirmed == seen.version:
        return Wait()
    if seen.now - seen.tried_at < seen.patience:
        return Wait(("the distance of two reloads",))
    if not seen.shows_newest and seen.now - seen.changed_at < seen.patience:
        return Wait(("its keeper to reload it",))
    return Reload()

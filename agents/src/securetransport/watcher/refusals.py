"""Who wanted to be a server of the cluster and was refused, as the servers tell.

Whoever can reach a route port can make a server say such a thing as often as it likes and under as
many names, so what is kept and what is logged have bounds: :data:`MOST_REFUSED_ROUTES` peers of
each server, the longest silent goes first; one line a second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from securetransport.core.formats.server_report import MOST_REFUSED_ROUTES, RefusedRoute
from securetransport.core.ports import Clock
from securetransport.runtime.logs import get_logger
from securetransport.watcher.answers import PeerRefusal

_REMEMBERED_FOR: Final = timedelta(minutes=10)
_LOG_SECONDS: Final = 1.0


class RouteRefusals:
    """The refusals of the last minutes, by server."""

    def __init__(self, servers: Iterable[str], clock: Clock) -> None:
        self._found: dict[str, OrderedDict[tuple[str, str], RefusedRoute]] = {
            name: OrderedDict() for name in servers
        }
        self._clock = clock
        self._logged_at: float | None = None
        self._log = get_logger()

    def note(self, refusal: PeerRefusal) -> None:
        """Remember one refusal; a server that is not watched is nobody."""
        found = self._found.get(refusal.server)
        if found is None:
            return
        key = (refusal.host, refusal.name)
        before = found.pop(key, None)
        found[key] = RefusedRoute(
            host=refusal.host,
            name=refusal.name,
            count=before.count + 1 if before else 1,
            last_at=self._clock.now(),
        )
        while len(found) > MOST_REFUSED_ROUTES:
            found.popitem(last=False)
        self._tell(refusal, found[key].count)

    def of(self, server: str) -> tuple[RefusedRoute, ...]:
        """Return whom a server refused lately, the latest last."""
        since = self._clock.now() - _REMEMBERED_FOR
        found = self._found[server]
        for key in [key for key, entry in found.items() if entry.last_at < since]:
            del found[key]
        return tuple(found.values())

    def _tell(self, refusal: PeerRefusal, count: int) -> None:
        now = self._clock.monotonic()
        if self._logged_at is not None and now - self._logged_at < _LOG_SECONDS:
            return
        self._logged_at = now
        self._log.warning(
            "route_refused",
            server=refusal.server,
            peer=refusal.host,
            name=refusal.name,
            count=count,
        )

"""Questions to the servers through the system account: connections, routes, reload.

A server is asked by its name; all hear the question, only that one answers. What is not known is
``None``, never empty and never a part.

Pages of connections come in the order of their numbers and are counted by offset, so a connection
that ends between two pages shifts the rest and could hide one, even with the same total when
another one began. Therefore:

1. The total must be the same on every page, each page full but the last, and the numbers must rise.
2. Each page begins with the last entry of the page before it: had anything before it ended, another
   entry would stand there.
3. Otherwise all pages are asked for again, a few times; then the connections are unknown.
"""

from __future__ import annotations

import itertools
import json
from typing import Final

from securetransport.core.base.errors import SecureTransportError, TransientError
from securetransport.core.formats.server_report import ServerConnection
from securetransport.core.ports import Connection
from securetransport.runtime.logs import get_logger
from securetransport.watcher import answers
from securetransport.watcher.settings import RoundSection
from securetransport.watcher.telemetry import WatcherTelemetry

_MOST_ATTEMPTS: Final = 3


class ServerMonitor:
    """Asks servers; remembers the id that each has in its present run."""

    def __init__(self, settings: RoundSection, telemetry: WatcherTelemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._ids: dict[str, str] = {}
        self._log = get_logger()

    async def connections(
        self, connection: Connection, server: str
    ) -> tuple[ServerConnection, ...] | None:
        """Return all connections of one server, or ``None``; never a part of them."""
        try:
            for _ in range(_MOST_ATTEMPTS):
                found = await self._pages(connection, server)
                if found is not None:
                    return found
        except TransientError:
            return None
        except SecureTransportError as err:
            self._log.warning("connections_unknown", server=server, error=str(err))
        return None

    async def routes(self, connection: Connection, server: str) -> frozenset[str] | None:
        """Return the names of the servers that one server has a route to, ``None`` if unknown."""
        try:
            return answers.parse_route_names(await self._ask(connection, "ROUTEZ", server), server)
        except TransientError:
            return None
        except SecureTransportError as err:
            self._log.warning("routes_unknown", server=server, error=str(err))
            return None

    async def reload(self, connection: Connection, server: str) -> str | None:
        """Tell a server to reload; returns its error.

        Raises:
            BusUnavailableError: It did not answer, or its id is not known yet.
            MalformedMessageError: It answered something else.
        """
        if server not in self._ids:
            await self._page(connection, server, offset=0, limit=1)
        subject = f"$SYS.REQ.SERVER.{self._ids[server]}.RELOAD"
        try:
            answer = await connection.request(subject, b"{}", timeout=self._settings.answer_seconds)
            error = answers.parse_reload(answer.data, server)
        except SecureTransportError:
            del self._ids[server]  # it may have restarted under a new id
            self._telemetry.reloads.labels("unanswered").inc()
            raise
        self._telemetry.reloads.labels("refused" if error else "done").inc()
        if error:
            self._log.error("reload_refused", server=server, reason=error)
        return error

    async def _pages(
        self, connection: Connection, server: str
    ) -> tuple[ServerConnection, ...] | None:
        """Return all connections, ``None`` when they changed on the way (rules 1 and 2)."""
        size = self._settings.page_size
        page = await self._page(connection, server, offset=0, limit=size)
        total, cids, listed = page.total, list(page.cids), list(page.connections)
        if len(cids) != min(size, total):
            return None
        while len(cids) < total:
            offset = len(cids) - 1
            page = await self._page(connection, server, offset=offset, limit=size + 1)
            if (page.total, page.offset) != (total, offset) or page.cids[:1] != (cids[-1],):
                return None
            if len(page.cids) != min(size + 1, total - offset):
                return None
            cids += page.cids[1:]
            listed += [entry for entry in page.connections if entry.cid != page.cids[0]]
        is_rising = all(low < high for low, high in itertools.pairwise(cids))
        return tuple(listed) if is_rising else None

    async def _page(
        self, connection: Connection, server: str, *, offset: int, limit: int
    ) -> answers.ConnectionsPage:
        data = await self._ask(
            connection, "CONNZ", server, auth=True, sort="cid", offset=offset, limit=limit
        )
        page = answers.parse_connections(data, server)
        self._ids[server] = page.server_id
        return page

    async def _ask(
        self, connection: Connection, what: str, server: str, **options: object
    ) -> bytes:
        question = {"server_name": server, "exact_match": True, **options}
        answer = await connection.request(
            f"$SYS.REQ.SERVER.PING.{what}",
            json.dumps(question).encode(),
            timeout=self._settings.answer_seconds,
        )
        return answer.data

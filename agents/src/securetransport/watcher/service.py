"""The watcher's round: ask every server, probe every port, reload who needs it, report.

Servers are looked at side by side, so that a silent one delays the round by its time-out once. What
is not known is ``None`` in the report, never "no" and never an empty list.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel, Field, ValidationError

from securetransport.core.base import names
from securetransport.core.base.errors import (
    MalformedMessageError,
    SecureTransportError,
)
from securetransport.core.base.values import split_address
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.decisions import broker_health
from securetransport.core.decisions.broker_health import PortSeen, ServerSeen
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.server_report import ServerReport
from securetransport.core.ports import Clock, Connection, Message, PortKind, TlsProbe
from securetransport.core.trust import bundle as trust
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.runtime.logs import get_logger
from securetransport.watcher import answers
from securetransport.watcher.monitor import ServerMonitor
from securetransport.watcher.refusals import RouteRefusals
from securetransport.watcher.reloads import ReloadMemory
from securetransport.watcher.settings import WatchedServer, WatcherSettings
from securetransport.watcher.telemetry import WatcherTelemetry

_REPORT_LIFE: Final = timedelta(seconds=30)
_MOST_NAMES: Final = 64
"""CA names of a port; a trust set has 8 at most, so whoever lists more is no server of ours."""

_MOST_REPORT_BYTES: Final = documents.MAX_DOCUMENT_BYTES - 16 * 1024
"""Less than a document by what its signature and its head need."""


class SystemAccount(Protocol):
    """The watcher's place in the system account."""

    @property
    def connection(self) -> Connection:
        """The connection to use now; ask again for every use, it moves.

        Raises:
            BusUnavailableError: There is none yet, or it is down.
        """
        ...

    @property
    def trust(self) -> AcceptedTrust | None:
        """The verified TrustBundle in force."""
        ...

    def signing_key(self) -> SigningKey:
        """Return an enrolled key.

        Raises:
            UnknownKeyError: None is enrolled yet.
        """
        ...


class _Command(BaseModel):
    """What a command says; further fields are for a later version."""

    do: Annotated[str, Field(max_length=64)]
    server: Annotated[str, Field(max_length=256)]


@dataclass(slots=True)
class _Memory:
    """What outlives a round, of one server."""

    heard_at: float
    reload: ReloadMemory = field(default_factory=ReloadMemory)


class Watcher:
    """Looks at every server and reports.

    Attributes:
        report: The last report; ``None`` before the first.
    """

    def __init__(
        self,
        settings: WatcherSettings,
        *,
        session: SystemAccount,
        tls: TlsProbe,
        clock: Clock,
        telemetry: WatcherTelemetry,
    ) -> None:
        self._instance = settings.identity.instance_id
        self._servers = {server.name: server for server in settings.servers}
        self._settings = settings.round
        self._session = session
        self._tls = tls
        self._monitor = ServerMonitor(settings.round, telemetry)
        self._clock = clock
        self._telemetry = telemetry
        self._refusals = RouteRefusals(self._servers, clock)
        self._memory = {name: _Memory(clock.monotonic()) for name in self._servers}
        self._log = get_logger()
        self.report: ServerReport | None = None
        self._published_at: float | None = None

    async def follow(self, connection: Connection) -> None:
        """Serve a new connection; the old one is drained by the session."""

        async def command(message: Message) -> None:
            await self._command(message, connection)

        await connection.subscribe(names.SUBJECT_WATCHER_COMMAND, command)
        await connection.subscribe(names.SUBJECT_REFUSED_PEERS, self._peer_refused)

    def not_ready_reasons(self) -> list[str]:
        """Return what keeps reports from being published."""
        at = self._published_at
        if at is None:
            return ["no report published yet"]
        age = self._clock.monotonic() - at
        limit = 5 * self._settings.interval_seconds
        return [f"last report published {age:.0f} s ago"] if age > limit else []

    async def round(self) -> None:
        """Look at every server once and publish the report.

        Raises:
            BusUnavailableError: The report could not be published.
            UnknownKeyError: There is no enrolled key to sign it with yet.
        """
        began = self._clock.monotonic()
        connection = self._session.connection
        looks = (self._look(connection, server) for server in self._servers.values())
        seen = await asyncio.gather(*looks)
        now = self._clock.monotonic()
        self.report = broker_health.report(seen, monotonic=now, at=self._clock.now())
        self._telemetry.observe_report(self.report)
        await self._publish(connection, self.report)
        self._telemetry.round_seconds.observe(self._clock.monotonic() - began)

    # --- one server ---------------------------------------------------------------------------

    async def _look(self, connection: Connection, server: WatchedServer) -> ServerSeen:
        client, route, connections, routes = await asyncio.gather(
            self._port(server.client_address, "client"),
            self._port(server.route_address, "route"),
            self._monitor.connections(connection, server.name),
            self._monitor.routes(connection, server.name),
        )
        memory = self._memory[server.name]
        if connections is not None or routes is not None:
            memory.heard_at = self._clock.monotonic()
        await self._reload_if_due(connection, server.name, client, route)
        return ServerSeen(
            name=server.name,
            heard_at=memory.heard_at,
            connections=connections,
            routes=routes,
            client=client,
            route=route,
            reload_error=memory.reload.error,
            refused_routes=self._refusals.of(server.name),
        )

    async def _port(self, address: str, kind: PortKind) -> PortSeen | None:
        host, port = split_address(address)
        result = await self._tls.probe(
            host, port, kind=kind, timeout_seconds=self._settings.probe_seconds
        )
        if result.error is not None:
            return None
        if len(result.ca_names) > _MOST_NAMES:
            self._log.warning("port_unknown", server=address, count=len(result.ca_names))
            return None
        return PortSeen(tuple(sorted(result.ca_names)), result.issuer_common_name)

    # --- reload -------------------------------------------------------------------------------

    async def _reload_if_due(
        self,
        connection: Connection,
        server: str,
        client: PortSeen | None,
        route: PortSeen | None,
    ) -> None:
        accepted = self._session.trust
        if accepted is None:
            return
        wanted = trust.names(accepted.body)
        memory = self._memory[server].reload
        now = self._clock.monotonic()
        memory.note(accepted.version, now)
        shows = all(
            port is not None and frozenset(port.names) == wanted for port in (client, route)
        )
        seen = memory.observe(
            shows_newest=shows, now=now, patience=self._settings.fallback_reload_seconds
        )
        if not isinstance(broker_health.should_reload(seen), broker_health.Reload):
            return
        try:
            error = await self._monitor.reload(connection, server)
        except SecureTransportError as err:
            memory.tried_at = now
            self._log.info("reload_not_answered", server=server, error=str(err))
            return
        memory.answered(error, shows_newest=shows, now=now)

    # --- refused peers ------------------------------------------------------------------------

    async def _peer_refused(self, message: Message) -> None:
        """Remember whom a server refused; only servers may publish there."""
        try:
            refusal = answers.parse_route_refusal(message.data)
        except MalformedMessageError as err:
            self._log.warning("refusal_unreadable", error=str(err))
            return
        if refusal is not None:
            self._telemetry.refused_routes.inc()
            self._refusals.note(refusal)

    # --- report and commands ------------------------------------------------------------------

    async def _publish(self, connection: Connection, report: ServerReport) -> None:
        now: datetime = report.reported_at
        body = self._fitting(report)
        document = documents.sign_with_key(
            kind=DocumentKind.SERVER_REPORT,
            audience=documents.AUTHORITY,
            # Ordered by the watcher's clock; no counter survives a restart.
            version=Version(counter=int(now.timestamp() * 1_000_000)),
            created_at=now,
            not_after=now + _REPORT_LIFE,
            body=body,
            signer=self._instance,
            key=self._session.signing_key(),
        )
        await connection.publish(names.SUBJECT_SERVER_REPORT, documents.encode(document))
        self._published_at = self._clock.monotonic()
        self._telemetry.reports.inc()

    def _fitting(self, report: ServerReport) -> bytes:
        """Return the report in bytes that the bus takes.

        Connections of the fullest servers are called unknown until it fits: a rotation then waits
        and says for whom, which without any report it could not.
        """
        body = report.to_bytes()
        while len(body) > _MOST_REPORT_BYTES:
            fullest = max(report.servers, key=lambda entry: len(entry.connections or ()))
            if not fullest.connections:
                raise SecureTransportError("report is too large to send", bytes=len(body))
            self._log.error(
                "report_too_large", server=fullest.server, count=len(fullest.connections)
            )
            servers = (
                entry.model_copy(update={"connections": None}) if entry is fullest else entry
                for entry in report.servers
            )
            report = report.model_copy(update={"servers": tuple(servers)})
            body = report.to_bytes()
        return body

    async def _command(self, message: Message, connection: Connection) -> None:
        """Answer a command; whoever may publish it is decided by the server's permissions."""
        try:
            result = await self._carry_out(message, connection)
        except SecureTransportError as err:
            result = {"ok": False, "error": str(err)}
        self._telemetry.commands.labels("done" if result["ok"] else "refused").inc()
        await message.respond(json.dumps(result).encode())

    async def _carry_out(self, message: Message, connection: Connection) -> dict[str, Any]:
        try:
            command = _Command.model_validate_json(message.data)
        except ValidationError as err:
            raise MalformedMessageError('command is not {"do": …, "server": …}') from err
        verb, server = command.do, command.server
        if server not in self._servers:
            raise MalformedMessageError("unknown server", server=server)
        if verb != "reload":
            raise MalformedMessageError("unknown command", do=verb)
        error = await self._monitor.reload(connection, server)
        self._memory[server].reload.error = error
        return {"ok": error is None, "error": error}

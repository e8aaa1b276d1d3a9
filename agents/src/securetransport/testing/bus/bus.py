"""The in-memory bus: a cluster of servers, its streams, and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from securetransport.core.base import names
from securetransport.core.base.errors import BusUnavailableError, SecureTransportError
from securetransport.core.base.names import ServiceId
from securetransport.core.formats.broker_policy import BrokerPolicy, UserPermissions
from securetransport.core.ports.bus import BusTimeouts, Credentials, EventHandler
from securetransport.core.ports.clock import Clock
from securetransport.testing.bus.accounts import Accounts
from securetransport.testing.bus.connection import FakeConnection
from securetransport.testing.bus.durables import Durable
from securetransport.testing.bus.frames import Faults, Leg
from securetransport.testing.bus.jetstream import JetStream
from securetransport.testing.bus.servers import BusServer
from securetransport.testing.bus.streams import Stream
from securetransport.testing.bus.system import SystemHandler, SystemRequests, routez
from securetransport.testing.bus.users import check_usable, open_user

_FIRST_ATTEMPTS: Final = 20
_URLS: Final = ("tls://nats-1:4222",)


class LoopClock:
    """Both clocks by the time of the running event loop, so that they follow a simulated one.

    Args:
        at: Wall time of the first look.
    """

    def __init__(self, at: datetime | None = None) -> None:
        self._at = at or datetime.now(UTC)
        self._began: float | None = None

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return self._at + timedelta(seconds=self._elapsed())

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        return self._elapsed()

    def set_ahead(self, by: timedelta) -> None:
        """Let the wall time jump, as when a machine slept."""
        self._at += by

    def _elapsed(self) -> float:
        try:
            time = asyncio.get_running_loop().time()
        except RuntimeError:
            return 0.0  # before the loop runs nothing has passed
        if self._began is None:
            self._began = time
        return time - self._began


class FakeBus:
    """Implements ``Bus`` in memory: no socket, no thread, every wait by the event loop.

    Args:
        policy: Users of every server, as compiled from an ACL; ``None`` makes every certificate a
            user who may do everything.
        clock: Wall time of the servers, and the age of messages; without one the loop's time.
        urls: How clients name the servers; they are called ``nats-1`` and so on, in this order.

    Attributes:
        servers: By name.
        faults: What happens to messages on their way.
    """

    def __init__(
        self,
        policy: BrokerPolicy | None = None,
        *,
        clock: Clock | None = None,
        urls: Sequence[str] = _URLS,
    ) -> None:
        self.clock: Clock = clock or LoopClock()
        self.faults = Faults()
        self._accounts = Accounts()
        self._jetstream = JetStream(self._accounts.app, self.clock, self.faults)
        self.servers = {
            f"nats-{number}": BusServer(
                f"nats-{number}",
                url,
                accounts=self._accounts,
                clock=self.clock,
                faults=self.faults,
                policy=policy,
                on_change=self._servers_changed,
            )
            for number, url in enumerate(urls, 1)
        }
        SystemRequests(self._accounts.system, self.servers)
        for server in self.servers.values():
            server.on("ROUTEZ", self._routez_of(server.name))

    @property
    def urls(self) -> list[str]:
        """How clients name the servers."""
        return [server.url for server in self.servers.values()]

    @property
    def streams(self) -> dict[str, Stream]:
        """Every stream by name, for assertions."""
        return self._jetstream.streams

    # --- the port ----------------------------------------------------------------------------

    async def connect(  # noqa: PLR0913  # all but two are by name
        self,
        servers: Sequence[str],
        credentials: Credentials,
        *,
        name: str,
        inbox_prefix: str,
        timeouts: BusTimeouts | None = None,
        on_event: EventHandler | None = None,
    ) -> FakeConnection:
        """Return a connection that is up.

        Raises:
            BusUnavailableError: No server accepted the connection in time.
            PermissionDeniedError: A server knows no user for this certificate.
            SecureTransportError: The credentials cannot be used.
        """
        check_usable(credentials)
        return await self._connect(
            servers,
            credentials,
            name=name,
            inbox_prefix=inbox_prefix,
            timeouts=timeouts or BusTimeouts(),
            on_event=on_event,
        )

    async def join(
        self,
        service: str,
        *,
        user: UserPermissions | None = None,
        timeouts: BusTimeouts | None = None,
        on_event: EventHandler | None = None,
    ) -> FakeConnection:
        """Return a connection of a service without any certificate, for tests that need none.

        Args:
            service: Who; its inbox is that of the service.
            user: What it may do; without one everything.
            timeouts: See ``BusTimeouts``.
            on_event: Told about losses, reconnects, lame-duck servers and refusals.
        """
        allowed = user or open_user(f"spiffe://test/{service}", service)
        return await self._connect(
            self.urls,
            allowed,
            name=f"{service}/1",
            inbox_prefix=names.inbox_prefix(ServiceId(service)),
            timeouts=timeouts or BusTimeouts(),
            on_event=on_event,
        )

    async def join_system(self, service: str) -> FakeConnection:
        """Return a connection of the system account without any certificate; it may everything."""
        user = open_user(f"spiffe://test/{service}", service, account="SYS")
        return await self.join(service, user=user)

    async def _connect(  # noqa: PLR0913  # from the two above only
        self,
        urls: Sequence[str],
        credentials: Credentials | UserPermissions,
        *,
        name: str,
        inbox_prefix: str,
        timeouts: BusTimeouts,
        on_event: EventHandler | None,
    ) -> FakeConnection:
        known = [server for server in self.servers.values() if server.url in urls]
        if not known:
            raise BusUnavailableError("connect: bus not available", reason="unknown host")
        connection = FakeConnection(
            known,
            credentials,
            name=name,
            inbox_prefix=inbox_prefix,
            timeouts=timeouts,
            on_event=on_event,
        )
        loop = asyncio.get_running_loop()
        until = loop.time() + timeouts.connect
        for attempt in range(1, _FIRST_ATTEMPTS * len(known) + 1):
            try:
                await connection.connect_once()
                break
            except BusUnavailableError:
                if attempt == _FIRST_ATTEMPTS * len(known) or loop.time() >= until:
                    raise
            except SecureTransportError:
                if attempt >= len(known):
                    raise
            await asyncio.sleep(timeouts.reconnect_wait)
        await connection.start()
        return connection

    # --- making and hurting it ---------------------------------------------------------------

    def set_policy(self, policy: BrokerPolicy | None) -> None:
        """Put other users in force on every server."""
        for server in self.servers.values():
            server.policy = policy
            server.reload()

    def add_stream(self, config: dict[str, Any]) -> Stream:
        """Make a stream, in the words of JetStream's API (``core.acl`` compiles them)."""
        return self._jetstream.add_stream(config)

    def add_durable(self, stream: str, config: dict[str, Any]) -> Durable:
        """Make a durable, in the words of JetStream's API (``core.acl`` compiles them)."""
        return self._jetstream.add_durable(stream, config)

    def lose_next_ack(self, subject: str = ">") -> None:
        """Let the next message on ``subject`` be stored, and its receipt vanish."""
        self.faults.lose(Leg.RECEIPT, subject)

    # --- inside ------------------------------------------------------------------------------

    def _servers_changed(self) -> None:
        running = sum(1 for server in self.servers.values() if server.is_running)
        self._jetstream.is_available = 2 * running > len(self.servers)
        if not running:
            self._jetstream.forget_requests()

    def _routez_of(self, name: str) -> SystemHandler:
        return lambda _question: routez(name, self.servers)

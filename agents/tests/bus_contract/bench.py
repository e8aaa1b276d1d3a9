"""One bus with one server, as the contract's tests see it: a place to connect, and to hurt."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from certificates import TRUST_DOMAIN, Issuer
from securetransport.core.base.names import ServiceId, inbox_prefix, spiffe_id
from securetransport.core.formats.broker_policy import BrokerPolicy, UserPermissions
from securetransport.core.ports.bus import (
    Bus,
    BusEvent,
    BusEventKind,
    BusTimeouts,
    Connection,
    Credentials,
    Message,
)

STREAM: Final = "ORDERS"
DURABLE: Final = "worker"
MAX_PAYLOAD: Final = 1 << 20
SECOND: Final = 1_000_000_000


def user(
    service: str,
    publish: Iterable[str],
    subscribe: Iterable[str] = (),
    *,
    account: Literal["APP", "SYS"] = "APP",
    responses: bool = False,
) -> UserPermissions:
    """Return a user with its own inbox."""
    return UserPermissions(
        user=spiffe_id(TRUST_DOMAIN, ServiceId(service)),
        service=ServiceId(service),
        account=account,
        publish=tuple(publish),
        subscribe=(*subscribe, f"{inbox_prefix(ServiceId(service))}.>"),
        allow_responses=responses,
    )


def policy(*without: str) -> BrokerPolicy:
    """Return the users of these tests, each with the least rights.

    Args:
        without: Services that have no user.
    """
    direct = f"$JS.API.DIRECT.GET.{STREAM}"
    users = [
        user("admin", [">"], [">"]),
        user("answerer", [], ["orders.ask"], responses=True),
        user("metadata", ["watcher.command"], ["observe.servers"]),
        user(
            "reader", [f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}", f"$JS.ACK.{STREAM}.>"], []
        ),
        user("sender", ["orders.>", direct, f"{direct}.>"], ["orders.>", "notice"]),
        user(
            "watcher",
            ["$SYS.REQ.SERVER.PING.CONNZ", "observe.servers", "_R_.>"],
            ["watcher.command"],
            account="SYS",
            responses=True,
        ),
    ]
    kept = [one for one in users if one.service not in without]
    return BrokerPolicy(acl_digest="0" * 64, users=tuple(kept))


@dataclass
class Bench(ABC):
    """A bus under test.

    Attributes:
        bus: Makes connections.
        urls: Its one server.
        issuer: Signed the server's certificate, and is trusted by it.
    """

    bus: Bus
    urls: list[str]
    issuer: Issuer
    _made: list[Connection] = field(default_factory=list)

    async def connect(
        self,
        service: str,
        events: list[BusEvent] | None = None,
        *,
        credentials: Credentials | None = None,
        timeouts: BusTimeouts | None = None,
    ) -> Connection:
        """Return a connection that is closed at the end of the test."""
        connection = await self.bus.connect(
            self.urls,
            credentials or self.credentials(service),
            name=f"{service}/1",
            inbox_prefix=inbox_prefix(ServiceId(service)),
            timeouts=timeouts or BusTimeouts(connect=5.0, request=2.0, ping=1.0),
            on_event=events.append if events is not None else None,
        )
        self._made.append(connection)
        return connection

    def credentials(
        self, service: str, issuer: Issuer | None = None, anchors: Iterable[Issuer] = ()
    ) -> Credentials:
        """Return a fresh certificate of a service."""
        signer = issuer or self.issuer
        trusted = tuple(anchor.der for anchor in anchors) or (self.issuer.der,)
        return Credentials(trusted, signer.leaf(f"{service}/1"))

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._made:
            await connection.close()

    # --- what streams there are --------------------------------------------------------------

    async def api(self, verb: str, body: object = None) -> dict[str, Any]:
        """Ask JetStream as ``admin``; an error is part of the answer."""
        admin = await self.connect("admin")
        data = b"" if body is None else json.dumps(body).encode()
        answer = await admin.request(f"$JS.API.{verb}", data, timeout=5.0)
        await admin.close()
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def stream(self, **config: Any) -> None:
        """Make the stream of these tests; keywords are of JetStream's API."""
        whole = {
            "name": STREAM,
            "subjects": ["orders.>"],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "num_replicas": 1,
            "max_age": 0,
            "max_bytes": -1,
            "max_msgs": -1,
            "max_consumers": -1,
            "duplicate_window": 60 * SECOND,
            "allow_direct": True,
            **config,
        }
        answer = await self.api(f"STREAM.CREATE.{STREAM}", whole)
        assert "error" not in answer, answer

    async def durable(self, name: str = DURABLE, **config: Any) -> None:
        """Make a durable of it."""
        whole = {
            "durable_name": name,
            "name": name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": 2 * SECOND,
            "replay_policy": "instant",
            **config,
        }
        body = {"stream_name": STREAM, "config": whole}
        answer = await self.api(f"CONSUMER.CREATE.{STREAM}.{name}", body)
        assert "error" not in answer, answer

    async def stored(self) -> int:
        """Return how many messages the stream holds."""
        return int((await self.api(f"STREAM.INFO.{STREAM}"))["state"]["messages"])

    # --- hurting it --------------------------------------------------------------------------

    @abstractmethod
    async def stop(self) -> None:
        """End the server as a kill does."""

    @abstractmethod
    async def start(self) -> None:
        """Start it again; what its streams hold is still there."""

    @abstractmethod
    async def pause(self) -> None:
        """Let it keep its sockets and do nothing."""

    @abstractmethod
    async def resume(self) -> None:
        """Let it go on."""

    @abstractmethod
    async def lame_duck(self) -> None:
        """Let it ask its clients to leave."""

    @abstractmethod
    async def set_users(self, users: BrokerPolicy) -> None:
        """Put other users in force."""

    @abstractmethod
    async def use_issuer(self, issuer: Issuer) -> None:
        """Trust another issuer alone and present its certificate, from the next start on."""


# --- helpers of the tests ----------------------------------------------------------------------


def now() -> float:
    """Return the loop's time, in seconds."""
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def within(seconds: float, action: Awaitable[Message | None]) -> Message:
    """Return the message that comes in time."""
    async with asyncio.timeout(seconds):
        message = await action
    assert message is not None
    return message


async def take(connection: Connection, count: int, durable: str = DURABLE) -> list[Message]:
    """Pull and acknowledge some messages; then the pull has ended."""
    pull = await connection.pull(STREAM, durable, batch=10, expires_seconds=1.0)
    found: list[Message] = []
    async with asyncio.timeout(10):
        async for message in pull:
            found.append(message)
            await message.ack()
            if len(found) == count:
                pull.stop()
    return found


def kinds(events: Iterable[BusEvent]) -> set[BusEventKind]:
    """Return which kinds of events came."""
    return {event.kind for event in events}

"""One in-memory server: who may connect, what goes through it, and how it is hurt."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.formats.broker_policy import BrokerPolicy, UserPermissions
from securetransport.core.ports.bus import Credentials
from securetransport.core.ports.clock import Clock
from securetransport.core.ports.leaf_certificates import TlsIdentity
from securetransport.testing.bus.accounts import Accounts, Interest
from securetransport.testing.bus.frames import Faults, Frame, Leg
from securetransport.testing.bus.system import ConnectionFacts, SystemHandler, connz
from securetransport.testing.bus.users import Permissions, check_handshake, find_user, user_again

MAX_PAYLOAD_BYTES: Final = 1 << 20
_MAX_HELD: Final = 100_000


class ClientSide(Protocol):
    """The client at the other end of a session."""

    @property
    def name(self) -> str:
        """What it calls itself."""
        ...

    @property
    def silence_seconds(self) -> float:
        """How long a server may be silent before it is left."""
        ...

    def connection_lost(self, why: str, *, is_final: bool) -> None:
        """Learn that the connection is gone; for good if the server wants no more of it."""
        ...

    def refused(self, verb: str, subject: str) -> None:
        """Learn of a permission violation: ``publish`` or ``subscription``."""
        ...

    def lame_duck(self) -> None:
        """Be asked to leave."""
        ...


class Session:
    """A client as its server knows it.

    Attributes:
        cid: Its number at this server.
        name: What it calls itself.
        permissions: What it may do now.
        leaf: SHA-256 of its certificate, hex; empty when it has none.
        started_at: When it connected.
        server: Where it is connected.
    """

    def __init__(  # noqa: PLR0913  # made by BusServer.accept only
        self,
        server: BusServer,
        client: ClientSide,
        permissions: Permissions,
        *,
        identity: TlsIdentity | None,
        cid: int,
        started_at: datetime,
    ) -> None:
        self.cid = cid
        self.name = client.name
        self.permissions = permissions
        self.identity = identity
        self.leaf = identity.fingerprint if identity is not None else ""
        self.started_at = started_at
        self.server = server
        self.client = client
        self.interests: list[Interest] = []

    @property
    def user(self) -> str:
        """The user that its certificate was mapped to."""
        return self.permissions.user.user

    @property
    def account(self) -> str:
        """``APP`` or ``SYS``."""
        return self.permissions.user.account

    def publish(self, frame: Frame) -> None:
        """Send a message."""
        self.server.take(self, frame)

    def subscribe(
        self, subject: str, queue: str, deliver: Callable[[Frame], None]
    ) -> Interest | None:
        """Take part; ``None`` when that is refused, which the client is told, too."""
        return self.server.subscribe(self, subject, queue, deliver)

    def unsubscribe(self, interest: Interest) -> None:
        """End an interest."""
        self.server.unsubscribe(self, interest)

    def close(self) -> None:
        """Leave."""
        self.server.forget(self)


class BusServer:
    """One server of a cluster; made by ``FakeBus``.

    Attributes:
        name: ``nats-1`` and so on.
        url: How clients name it.
        server_id: Another one after each start.
        identity: The certificate it presents; ``None`` leaves it unchecked.
        trust: DER of the issuers whose certificates it accepts; ``None`` accepts any.
        policy: Its users; ``None`` makes everybody a user who may do everything.
        sessions: The live connections.
        handlers: Its answers to monitoring requests, by verb.
    """

    def __init__(  # noqa: PLR0913  # made by FakeBus only
        self,
        name: str,
        url: str,
        *,
        accounts: Accounts,
        clock: Clock,
        faults: Faults,
        policy: BrokerPolicy | None,
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.url = url
        self.server_id = secrets.token_hex(16).upper()
        self.identity: TlsIdentity | None = None
        self.trust: tuple[bytes, ...] | None = None
        self.policy = policy
        self.sessions: list[Session] = []
        self.handlers: dict[str, SystemHandler] = {
            "PING": lambda _: {},
            "CONNZ": self._connz,
            "VARZ": lambda _: {"data": {"server_name": name, "connections": len(self.sessions)}},
            "RELOAD": lambda _: {},
            "KICK": self._kicked,
            "LDM": self._asked_to_leave,
        }
        self._accounts = accounts
        self._clock = clock
        self._faults = faults
        self._on_change = on_change
        self._is_up = True
        self._is_paused = False
        self._running = asyncio.Event()
        self._running.set()
        self._is_leaving = False
        self._held: list[Callable[[], None]] = []
        self._cid = 0

    @property
    def is_running(self) -> bool:
        """Whether it answers now."""
        return self._is_up and not self._is_paused

    async def wait_running(self) -> None:
        """Return when it answers."""
        await self._running.wait()

    def on(self, verb: str, handler: SystemHandler) -> None:
        """Answer a monitoring request by ``handler`` from now on."""
        self.handlers[verb] = handler

    # --- hurting it --------------------------------------------------------------------------

    def stop(self, why: str = "nats: unexpected EOF") -> None:
        """End it; its clients lose their connection."""
        if not self._is_up:
            return
        self._is_up, self._is_paused = False, False
        self._running.clear()
        self._held.clear()
        for session in tuple(self.sessions):
            self.drop(session, why)
        self._on_change()

    def start(self) -> None:
        """Start it again, under another id."""
        self._is_up, self._is_leaving = True, False
        self._running.set()
        self.server_id = secrets.token_hex(16).upper()
        self._on_change()

    def pause(self) -> None:
        """Let it keep its sockets open and do nothing, as a stopped process does."""
        self._is_paused = True
        self._running.clear()
        loop = asyncio.get_running_loop()
        for session in self.sessions:
            loop.call_later(session.client.silence_seconds, self._silent, session)
        self._on_change()

    def resume(self) -> None:
        """Let it go on where it was; one that is stopped stays so."""
        if not self._is_paused:
            return
        self._is_paused = False
        self._running.set()
        held, self._held = self._held, []
        self._on_change()
        for action in held:
            action()

    def lame_duck(self, seconds: float | None = None) -> None:
        """Let it ask its clients to leave, and take no new ones.

        Args:
            seconds: When it stops; ``None`` lets it stay.
        """
        self._is_leaving = True
        for session in tuple(self.sessions):
            session.client.lame_duck()
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self.stop)

    def drop(
        self, session: Session, why: str = "nats: unexpected EOF", *, is_final: bool = False
    ) -> None:
        """End one connection; its client comes back unless it is final."""
        if session in self.sessions:
            self.forget(session)
            session.client.connection_lost(why, is_final=is_final)

    def reload(self) -> None:
        """Put changed ``policy`` in force; live connections are mapped anew.

        Certificates of live connections are not verified again, so a changed ``trust`` counts for
        new connections only. As on a real server, pending rights to respond are forgotten.
        """
        for session in tuple(self.sessions):
            user = user_again(self.policy, session.permissions.user)
            if user is None:
                self.drop(session)
                continue
            session.permissions = Permissions(user)
            for interest in tuple(session.interests):
                if not session.permissions.may_subscribe(interest.subject):
                    self.unsubscribe(session, interest)
                    session.client.refused("subscription", interest.subject)

    # --- for clients -------------------------------------------------------------------------

    async def accept(
        self, client: ClientSide, credentials: Credentials | UserPermissions, patience: float
    ) -> Session:
        """Let a client in.

        Args:
            client: Who.
            credentials: What it presents; or the user itself, for tests without certificates.
            patience: How long it waits for a server that does not answer, in seconds.

        Raises:
            BusUnavailableError: Not running, or a certificate is not accepted.
            PermissionDeniedError: No user.
        """
        if self._is_paused:
            await asyncio.sleep(patience)
            raise BusUnavailableError("connect: bus not available", reason="no answer")
        await asyncio.sleep(0)
        if not self._is_up or self._is_leaving:
            raise BusUnavailableError("connect: bus not available", reason="connection refused")
        identity: TlsIdentity | None = None
        if isinstance(credentials, UserPermissions):
            user = credentials
        else:
            identity = check_handshake(
                credentials, served=self.identity, trust=self.trust, clock=self._clock
            )
            user = find_user(self.policy, identity)
        self._cid += 1
        session = Session(
            self,
            client,
            Permissions(user),
            identity=identity,
            cid=self._cid,
            started_at=self._clock.now(),
        )
        self.sessions.append(session)
        return session

    def forget(self, session: Session) -> None:
        """Forget a client that left."""
        if session in self.sessions:
            self.sessions.remove(session)
        for interest in tuple(session.interests):
            self.unsubscribe(session, interest)

    def take(self, session: Session, frame: Frame) -> None:
        """Route a message of a client, if it may publish it."""
        if self._is_paused:
            self._hold(partial(self.take, session, frame))
            return
        if session not in self.sessions:
            return
        if not session.permissions.may_publish(frame.subject):
            session.client.refused("publish", frame.subject)
            return
        account = self._accounts.named(session.account)
        if frame.subject.startswith("$JS.ACK."):
            self._accounts.publish(account, frame)  # has a leg of its own, where it arrives
            return
        self._faults.carry(
            Leg.PUBLISH, frame.subject, frame, partial(self._accounts.publish, account)
        )

    def subscribe(
        self, session: Session, subject: str, queue: str, deliver: Callable[[Frame], None]
    ) -> Interest | None:
        """Add an interest, if the client may have it."""
        if not session.permissions.may_subscribe(subject):
            session.client.refused("subscription", subject)
            return None
        interest = Interest(subject, queue, partial(self._hand, session, deliver))
        session.interests.append(interest)
        self._accounts.named(session.account).add(interest)
        return interest

    def unsubscribe(self, session: Session, interest: Interest) -> None:
        """Remove an interest."""
        if interest in session.interests:
            session.interests.remove(interest)
        self._accounts.named(session.account).remove(interest)

    # --- inside ------------------------------------------------------------------------------

    def _hand(self, session: Session, deliver: Callable[[Frame], None], frame: Frame) -> None:
        if self._is_paused:
            self._hold(partial(self._hand, session, deliver, frame))
        elif session in self.sessions:
            session.permissions.received(frame.reply)
            deliver(frame)

    def _hold(self, action: Callable[[], None]) -> None:
        """Keep something for when it goes on; as with full socket buffers, not for ever."""
        if len(self._held) < _MAX_HELD:
            self._held.append(action)

    def _silent(self, session: Session) -> None:
        if self._is_paused and session in self.sessions:
            self.drop(session, "nats: stale connection")

    def _connz(self, question: dict[str, Any]) -> dict[str, Any]:
        listed: list[ConnectionFacts] = list(self.sessions)
        return connz(listed, question)

    def _kicked(self, question: dict[str, Any]) -> dict[str, Any]:
        for session in self._named(question):
            self.drop(session)
        return {}

    def _asked_to_leave(self, question: dict[str, Any]) -> dict[str, Any]:
        for session in self._named(question):
            session.client.lame_duck()
        return {}

    def _named(self, question: dict[str, Any]) -> list[Session]:
        wanted = (question.get("cid"), question.get("name"))
        return [session for session in self.sessions if session.cid == wanted[0]] or [
            session for session in self.sessions if wanted[1] and session.name == wanted[1]
        ]

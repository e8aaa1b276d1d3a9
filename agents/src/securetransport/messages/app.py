"""The base class of a service: everything wired, two things to add: topics and handlers.

A complete service is in docs/sdk.md. What a subclass does::

    class Greeter(ServiceApp):
        def setup(self) -> None:
            self.consume("hello.requests", self.greet)

        async def greet(self, delivery: Delivery) -> None:
            effect = await self.once(delivery, lambda _db: b"hello")
            await self.answer(delivery, "hello.answers", effect.result, type="hello.answer")

    run_agent("greeter", ServiceSettings, Greeter.builder())
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import ClassVar, Generic, TypeVar

from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.core.ports import Clock, PublishAck
from securetransport.member.session import MemberPorts, Session
from securetransport.messages.client import MessageClient
from securetransport.messages.consumer import Delivery, Handler
from securetransport.messages.ledger import Effect, Ledger, LedgerTable
from securetransport.messages.publisher import Publisher
from securetransport.messages.settings import ServiceSettings
from securetransport.runtime.main import App
from securetransport.runtime.metrics import StoreMetrics
from securetransport.runtime.sections import read_keys
from securetransport.runtime.supervisor import EternalTask

S = TypeVar("S", bound=ServiceSettings)


class ServiceApp(Generic[S]):
    """One service process.

    Args:
        settings: Of this service.
        registry: For metrics.
        clock: The machine's, unless a test gives another.

    Attributes:
        settings: As given.
        registry: As given; a subclass makes its own metrics on it.
        clock: As given.
    """

    LEDGER_TABLES: ClassVar[tuple[LedgerTable, ...]] = ()
    """Override: tables that this service's effects write to."""

    def __init__(
        self, settings: S, registry: CollectorRegistry, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.clock = clock or SystemClock()
        bao, identity, files = settings.openbao, settings.identity, LocalFiles()
        self._store = OpenBaoStore(
            bao.addresses,
            bao.ca_file,
            bao.token_file,
            bao.timeout_seconds,
            on_call=StoreMetrics(registry).observe,
        )
        keys = read_keys(settings.authority.keys_file, "authority.keys_file")
        ports = MemberPorts(
            store=self._store,
            bus=NatsBus(),
            leaf_source=OpenBaoLeafSource(
                self._store, identity.trust_domain, identity.service_id, identity.instance_id
            ),
            files=files,
            keys=keys.lookup,
            clock=self.clock,
            randomness=SystemRandomness(),
        )
        file = settings.ledger_file()
        files.private_dir(file.parent)
        ledger = Ledger(file, self.clock, self.LEDGER_TABLES)
        self._client = MessageClient(settings, ports, ledger, registry)
        self.setup()

    # --- what a subclass uses ----------------------------------------------------------------

    @property
    def session(self) -> Session:
        """Trust, leaf certificate, keys and connection."""
        return self._client.session

    @property
    def publisher(self) -> Publisher:
        """Sends messages."""
        return self._client.publisher

    @property
    def ledger(self) -> Ledger:
        """What was sent and done."""
        return self._client.ledger

    def consume(
        self, topic: str, handler: Handler, *, schemas: Collection[str] | None = None
    ) -> None:
        """Handle the messages of ``topic``; see :meth:`MessageClient.consume`."""
        self._client.consume(topic, handler, schemas=schemas)

    async def once(
        self, delivery: Delivery, effect: Callable[[sqlite3.Connection], bytes]
    ) -> Effect:
        """Carry out the effect of a message, once however often it is delivered."""
        return await self._client.once(delivery, effect)

    async def answer(
        self,
        delivery: Delivery,
        topic: str,
        payload: bytes,
        *,
        type: str,  # noqa: A002  # the header's own word
    ) -> PublishAck:
        """Publish because of a message: a repeated handler publishes the same message id."""
        return await self._client.answer(delivery, topic, payload, type=type)

    # --- what a subclass overrides -----------------------------------------------------------

    def setup(self) -> None:
        """Override: make metrics, call :meth:`consume`."""

    def extra_tasks(self) -> Mapping[str, EternalTask]:
        """Override: further eternal tasks."""
        return {}

    def extra_reasons(self) -> list[str]:
        """Override: further reasons not to be ready."""
        return []

    async def quiesce(self) -> None:
        """Override: start nothing new; called first when the process is told to stop."""

    # --- for the process ---------------------------------------------------------------------

    @classmethod
    def builder(cls) -> Callable[[S, CollectorRegistry], Awaitable[App]]:
        """Return the ``build`` function that ``run_agent`` takes."""

        async def build(settings: S, registry: CollectorRegistry) -> App:
            return cls(settings, registry).app()

        return build

    def app(self) -> App:
        """Return the process's tasks."""
        return App(
            tasks={**self._client.tasks(), **self.extra_tasks()},
            ready=self.not_ready_reasons,
            drain=self.drain,
            close=self.close,
        )

    def not_ready_reasons(self) -> list[str]:
        """Return what is missing; empty when ready."""
        return self._client.not_ready_reasons() + self.extra_reasons()

    async def drain(self) -> None:
        """Finish what is under way: nothing new, handlers done, receipts in."""
        await self.quiesce()
        await self._client.drain()

    async def close(self) -> None:
        """Close what was opened."""
        await self._client.close()
        self._store.close()

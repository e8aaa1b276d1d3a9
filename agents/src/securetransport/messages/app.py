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

import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import ClassVar, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.core.base.names import Topic
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.envelope import derive_message_id
from securetransport.core.ports.bus import PublishAck
from securetransport.core.ports.clock import Clock
from securetransport.member.account import application_account, clamp
from securetransport.member.session import MemberPorts, Session
from securetransport.messages.bundle import BundleClient
from securetransport.messages.consumer import Consumer, Delivery, Handler
from securetransport.messages.directory import DirectoryClient
from securetransport.messages.keys import MessageKeys
from securetransport.messages.ledger import Effect, Ledger, LedgerTable
from securetransport.messages.publisher import Publisher
from securetransport.messages.settings import ServiceSettings
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.main import App
from securetransport.runtime.metrics import LoopMetrics, StoreMetrics
from securetransport.runtime.supervisor import EternalTask, Wakeup, every

S = TypeVar("S", bound=ServiceSettings)
_BUNDLE_ROUND: Final = timedelta(seconds=0.5)
_EAGER_ROUND: Final = timedelta(seconds=1)


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
        ledger: What was sent and done.
        session: Trust, leaf, keys and connection.
        publisher: Sends messages.
    """

    LEDGER_TABLES: ClassVar[tuple[LedgerTable, ...]] = ()
    """Override: tables that this service's effects write to."""

    def __init__(
        self, settings: S, registry: CollectorRegistry, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.clock = clock or SystemClock()
        profile = settings.profile_value()
        bao = settings.openbao
        self._store = OpenBaoStore(
            bao.addresses,
            bao.ca_file,
            bao.token_file,
            bao.timeout_seconds,
            on_call=StoreMetrics(registry).observe,
        )
        self._telemetry = MessageTelemetry(registry)
        self._loops = LoopMetrics(registry)
        identity = settings.identity
        leaf_source = OpenBaoLeafSource(
            self._store, identity.trust_domain, identity.service_id, identity.instance_id
        )
        text = settings.authority.keys_file.read_text(encoding="utf-8")
        keys = AuthorityKeys.from_json(text)
        self.session = Session(
            settings,
            application_account(profile),
            MemberPorts(
                store=self._store,
                bus=NatsBus(),
                leaf_source=leaf_source,
                files=LocalFiles(),
                keys=keys.lookup,
                clock=self.clock,
                randomness=SystemRandomness(),
            ),
            registry,
            loops=self._loops,
        )
        self._directory_wakeup = Wakeup()
        self.session.on_enrolment(self._directory_wakeup.wake)
        self._directory = DirectoryClient(
            self._store,
            self.session.gate,
            profile,
            connection=lambda: self.session.connection,
            on_change=self._directory_changed,
        )
        instance = identity.instance_id
        self._bundle = BundleClient(
            instance=instance,
            share=hashlib.sha256(instance.encode()).digest()[0] / 255,
            store=self._store,
            gate=self.session.gate,
            clock=self.clock,
            profile=profile,
            connection=lambda: self.session.connection,
            signing_key=self.session.signing_key,
            on_change=self._update_keys,
            telemetry=self._telemetry,
        )
        self._keys = MessageKeys(self._bundle, self._directory, profile, self.clock)
        self.session.on_connection(self._bundle.listen)
        self.ledger = Ledger(settings.ledger_file(), self.clock, self.LEDGER_TABLES)
        self.publisher = Publisher(
            instance=instance,
            boot_id=self.session.boot_id,
            keys=self._keys,
            ledger=self.ledger,
            profile=profile,
            clock=self.clock,
            connection=lambda: self.session.connection,
            signing_key=self.session.signing_keys.for_signing,
            ca_epoch=lambda: self.session.leaf_epoch,
            limits=settings.messages,
            telemetry=self._telemetry,
        )
        self._consumers: dict[Topic, Consumer] = {}
        self._handlers: dict[Topic, Handler] = {}
        self.setup()

    # --- for a subclass ----------------------------------------------------------------------

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

    def consume(self, topic: str, handler: Handler) -> None:
        """Handle the messages of ``topic``; stream and durable come with the bundle."""
        self._handlers[Topic(topic)] = handler
        consumer = Consumer(
            Topic(topic),
            self.settings.identity.service_id,
            self._handlers,
            keys=self._keys,
            may_start=self.session.signing_keys.is_listed,
            max_in_flight=self.settings.messages.max_in_flight,
            telemetry=self._telemetry,
        )
        self._consumers[Topic(topic)] = consumer
        self.session.on_connection(consumer.follow)

    async def once(
        self, delivery: Delivery, effect: Callable[[sqlite3.Connection], bytes]
    ) -> Effect:
        """Carry out the effect of a message, once however often it is delivered."""
        done = await self.ledger.once(
            delivery.message.header.message_id,
            effect,
            sequence=delivery.sequence,
            deliveries=delivery.deliveries,
        )
        if not done.is_first:
            self._telemetry.handled.labels(delivery.message.header.topic, "repeated").inc()
        return done

    async def answer(
        self,
        delivery: Delivery,
        topic: str,
        payload: bytes,
        *,
        type: str,  # noqa: A002
    ) -> PublishAck:
        """Publish because of a message: a repeated handler publishes the same message id."""
        parent = delivery.message.header.message_id
        identity = derive_message_id(parent, Topic(topic))
        return await self.publisher.publish(topic, payload, type=type, message_id=identity)

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
            tasks={
                **self.session.tasks(),
                "directory": self._directory_loop,
                "bundle": self._bundle_loop,
                "publisher": self.publisher.run,
                **{
                    f"consumer {topic}": consumer.run for topic, consumer in self._consumers.items()
                },
                **self.extra_tasks(),
            },
            ready=self.not_ready_reasons,
            drain=self.drain,
            close=self.close,
        )

    def not_ready_reasons(self) -> list[str]:
        """Return what is missing; empty when ready."""
        reasons = self.session.not_ready_reasons()
        if not self.session.signing_keys.is_listed():
            reasons.append("own signing key is not in the directory")
        bundle = self._bundle.bundle
        if bundle is None:
            reasons.append("no service bundle")
        else:
            topics = [rule.topic for rule in bundle.rules]
            missing = self._bundle.topic_keys.missing(topics, self.clock.now())
            reasons.extend(f"no key of this epoch for topic {topic}" for topic in missing)
        return reasons + self.extra_reasons()

    async def drain(self) -> None:
        """Finish what is under way: nothing new, handlers done, receipts in."""
        await self.quiesce()
        for consumer in self._consumers.values():
            await consumer.stop()
        await self.publisher.drain()

    async def close(self) -> None:
        """Close what was opened."""
        await self.session.close()
        await self.ledger.close()
        self._store.close()

    async def _bundle_loop(self) -> None:
        await every(
            "bundle",
            _BUNDLE_ROUND,
            self._bundle.reconcile,
            wakeup=self._bundle.wakeup,
            on_error=lambda error: self._loops.failed("bundle", error),
            on_done=lambda: self._loops.done("bundle"),
        )

    async def _directory_loop(self) -> None:
        calm = clamp(self.settings.profile_value().key_period / 32, 1, 4)
        await every(
            "directory",
            lambda: calm if self.session.signing_keys.is_listed() else _EAGER_ROUND,
            self._reconcile_directory,
            wakeup=self._directory_wakeup,
            on_error=lambda error: self._loops.failed("directory", error),
            on_done=lambda: self._loops.done("directory"),
        )

    async def _reconcile_directory(self) -> None:
        await self._directory.reconcile()
        self.session.signing_keys.know_listed(self._directory.known_ids())

    def _directory_changed(self) -> None:
        self.session.signing_keys.know_listed(self._directory.known_ids())
        self._update_keys()

    def _update_keys(self) -> None:
        self._keys.update()

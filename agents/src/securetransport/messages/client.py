"""Messages of one service: everything between a session and its handlers, wired.

Made of ports, so that it runs as it is over fakes; ``messages.app`` chooses the adapters.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry

from securetransport.core.base.names import Topic
from securetransport.core.decisions.member import refresh
from securetransport.core.formats.envelope import derive_message_id
from securetransport.core.ports import PublishAck
from securetransport.member.account import application_account, clamp
from securetransport.member.session import MemberPorts, Session
from securetransport.messages.bundle import BundleClient
from securetransport.messages.consumer import Consumer, Delivery, Handler
from securetransport.messages.directory import DirectoryClient
from securetransport.messages.keys import ReceiverKeys, SenderKeys
from securetransport.messages.ledger import Effect, Ledger
from securetransport.messages.parking import Parking
from securetransport.messages.publisher import Publisher
from securetransport.messages.settings import ServiceSettings
from securetransport.messages.telemetry import MessageTelemetry
from securetransport.runtime.metrics import LoopMetrics
from securetransport.runtime.supervisor import EternalTask, Wakeup, every

_BUNDLE_ROUND: Final = timedelta(seconds=0.5)
_EAGER_ROUND: Final = timedelta(seconds=2)


class MessageClient:
    """Sends and receives for one service.

    Args:
        settings: Of the service.
        ports: The outside world.
        ledger: What was sent and done; closed by :meth:`close`.
        registry: For metrics.

    Attributes:
        session: Trust, leaf certificate, keys and connection.
        ledger: As given.
        publisher: Sends messages.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        ports: MemberPorts,
        ledger: Ledger,
        registry: CollectorRegistry,
    ) -> None:
        profile = settings.profile_value()
        self._profile = profile
        self._clock = ports.clock
        self._limits = settings.messages
        self._telemetry = MessageTelemetry(registry)
        self._loops = LoopMetrics(registry)
        self.ledger = ledger
        self.session = Session(
            settings, application_account(profile), ports, registry, loops=self._loops
        )
        instance = self.session.instance
        self._directory_wakeup = Wakeup()
        self._directory = DirectoryClient(
            ports.store,
            self.session.gate,
            profile,
            connection=lambda: self.session.connection,
            on_change=self._directory_changed,
            repair_every=refresh.repair_every(profile.key_period, instance),
        )
        self._bundle = BundleClient(
            instance=instance,
            share=hashlib.sha256(instance.encode()).digest()[0] / 255,
            store=ports.store,
            gate=self.session.gate,
            clock=ports.clock,
            profile=profile,
            connection=lambda: self.session.connection,
            signing_key=self.session.signing_key,
            on_change=self._bundle_changed,
            telemetry=self._telemetry,
            entropy=ports.randomness.token_bytes,
        )
        self._receiver_keys = ReceiverKeys(self._bundle, self._directory, profile, ports.clock)
        self._sender_keys = SenderKeys(
            self.session, self._bundle, self._directory, profile, ports.clock
        )
        self._telemetry.publish_seconds_left.set_function(self._sender_keys.seconds_left)
        self.publisher = Publisher(
            keys=self._sender_keys,
            ledger=ledger,
            connection=lambda: self.session.connection,
            clock=ports.clock,
            entropy=ports.randomness.token_bytes,
            retry_limit=profile.retry_limit,
            limits=settings.messages,
            telemetry=self._telemetry,
        )
        self._parking = Parking(
            instance, self.session.signing_keys.for_signing, ports.clock, self._telemetry
        )
        self._handlers: dict[Topic, Handler] = {}
        self._consumers: dict[Topic, Consumer] = {}
        self.session.on_enrolment(self._directory_wakeup.wake)
        self.session.on_connection(self._bundle.listen)
        self.session.on_connection(self._directory.listen)

    # --- for the service ---------------------------------------------------------------------

    def consume(
        self, topic: str, handler: Handler, *, schemas: Collection[str] | None = None
    ) -> None:
        """Handle the messages of ``topic``; stream and durable come with the bundle.

        Args:
            topic: Which.
            handler: Gets each accepted message.
            schemas: Payload schemas that it knows, for example ``auth.request/1``; another one is
                parked. ``None`` leaves them to the handler.
        """
        self._receiver_keys.know_schemas(Topic(topic), schemas)
        self._handlers[Topic(topic)] = handler
        consumer = Consumer(
            Topic(topic),
            self._sender_keys.service,
            self._handlers,
            keys=self._receiver_keys,
            parking=self._parking,
            clock=self._clock,
            may_start=self.session.signing_keys.is_listed,
            hindrance=self._sender_keys.hindrance,
            limits=self._limits,
            telemetry=self._telemetry,
        )
        self._consumers[Topic(topic)] = consumer
        self.session.on_connection(consumer.follow)

    async def once(
        self, delivery: Delivery, effect: Callable[[sqlite3.Connection], bytes]
    ) -> Effect:
        """Carry out the effect of a message, once however often it is delivered."""
        header = delivery.message.header
        done = await self.ledger.once(
            header.message_id,
            effect,
            signer=header.signer,
            sequence=delivery.sequence,
            deliveries=delivery.deliveries,
        )
        if not done.is_first:
            self._telemetry.handled.labels(header.topic, "repeated").inc()
        return done

    async def answer(
        self,
        delivery: Delivery,
        topic: str,
        payload: bytes,
        *,
        type: str,  # noqa: A002  # the header's own word
    ) -> PublishAck:
        """Publish because of a message: a repeated handler publishes the same message id."""
        parent = delivery.message.header.message_id
        identity = derive_message_id(parent, Topic(topic))
        return await self.publisher.publish(topic, payload, type=type, message_id=identity)

    # --- for the process ---------------------------------------------------------------------

    def tasks(self) -> Mapping[str, EternalTask]:
        """Return every loop, to be supervised by the process."""
        return {
            **self.session.tasks(),
            "directory": self._directory_loop,
            "bundle": self._bundle_loop,
            "publisher": self.publisher.run,
            **{f"consumer {topic}": consumer.run for topic, consumer in self._consumers.items()},
        }

    def not_ready_reasons(self) -> list[str]:
        """Return what is missing; empty when ready."""
        reasons = [
            *self.session.not_ready_reasons(),
            *self._sender_keys.not_ready_reasons(),
            *self._parking.not_ready_reasons(),
        ]
        for consumer in self._consumers.values():
            reasons += consumer.not_ready_reasons()
        return list(dict.fromkeys(reasons))

    async def drain(self) -> None:
        """Pull nothing new; finish what was delivered and wait for receipts."""
        for consumer in self._consumers.values():
            await consumer.stop()
        await self.publisher.drain()

    async def close(self) -> None:
        """Close connection and ledger."""
        await self.session.close()
        await self.ledger.close()

    # --- loops -------------------------------------------------------------------------------

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
        calm = clamp(self._profile.key_period / 32, 1, 30)
        await every(
            "directory",
            lambda: calm if self.session.signing_keys.is_listed() else _EAGER_ROUND,
            self._reconcile_directory,
            wakeup=self._directory_wakeup,
            on_error=lambda error: self._loops.failed("directory", error),
            on_done=lambda: self._loops.done("directory"),
        )

    async def _reconcile_directory(self) -> None:
        if not self.session.signing_keys.is_listed():
            self._directory.demand()
        await self._directory.reconcile()
        self.session.signing_keys.know_listed(self._directory.known_ids())

    def _bundle_changed(self) -> None:
        self._directory.demand()
        self._directory_wakeup.wake()  # it must list the bundle's rules before they are used
        self._receiver_keys.update()

    def _directory_changed(self) -> None:
        self._directory_wakeup.wake()  # keys that it lists are pulled
        self.session.signing_keys.know_listed(self._directory.known_ids())
        self._receiver_keys.update()

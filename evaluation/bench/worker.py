"""One service process of a lane: ``worker.py FILE``; told what to do line by line on its input.

The file is the lane's JSON: names, servers, certificates, topic key, and for a receiver the verify
key of the sender. Each line of input is one command, each line of output its answer, both JSON:

=================== =============================================================================
``{"do": "rate"}``  ``mode`` (protected, plain), ``rate`` per second: 0 to stop, -1 for full speed
``{"do": "look"}``  answers counts, CPU seconds of the process and of the ledger's thread
``{"do": "end"}``   closes everything
=================== =============================================================================

It is run in the environment of the checkout that is measured, so it imports nothing of the product
by name: see ``product``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from evaluation.bench import product as products

Connect = Callable[..., Awaitable[Any]]
"""As :func:`evaluation.bench.product.connect`."""
_IN_FLIGHT = 256
_TICK_SECONDS = 0.004
_LONGEST_STALL_SECONDS = 0.25
_PAYLOAD = b'{"kind":"otp","user":"user-1234","evidence":"0123456789ab"}'
_ACL = """
version: 1
trust_domain: bench.local
streams:
  {stream}: {{subjects: ["{lane}.>"], max_age_seconds: 3600, max_bytes: 268435456}}
topics:
  {topic}: {{stream: {stream}}}
services:
  {sender}: {{produces: [{topic}]}}
  {receiver}: {{consumes: [{{topic: {topic}, durable: {receiver}}}]}}
"""


class FixedKeys:
    """What messages are sealed and judged with, made once; stands for bundle and directory."""

    def __init__(self, product: SimpleNamespace, lane: dict[str, Any], service: str) -> None:
        self._product = product
        self.service, self.instance, self.boot_id = service, f"{service}/1", "0" * 32
        self.signing_key = product.signing.generate_signing_key()
        acl = product.load_acl(_ACL.format(**lane))
        profile = product.PROFILES["test"]
        topic, self._rules = lane["topic"], {}
        for rule in product.bundle_rules(acl, service):
            self._rules[rule.topic] = rule
        epoch = profile.key_schedule.number_at(datetime.now(UTC))
        topic_keys = product.TopicKeyring(profile.key_schedule)
        secret = lane["secret"]
        topic_keys.replace(
            [product.TopicKey(topic=topic, epoch=epoch, generation=0, secret=secret)]
        )
        verify_keys = product.VerifyKeyring()
        if "verify_key" in lane:
            verify_keys.add(product.VerifyKey.model_validate(lane["verify_key"]))
        self.acceptance = product.Acceptance(
            verify_keys=verify_keys,
            topic_keys=topic_keys,
            rules=self._rules,
            accepted_policy_digests={topic: (product.topic_rules(acl)[topic].digest,)},
            deny=product.DenyList(),
            schedule=profile.key_schedule,
            skew=profile.clock_skew,
            retry_limit=profile.retry_limit,
        )

    def rule(self, topic: str) -> Any:
        """Return the topic's rule; asked by the first edition."""
        return self._rules[topic]

    def check(self, topic: str) -> None:
        """Return; this material does not end."""

    def for_topic(self, topic: str) -> Any:
        """Return what messages are sealed with."""
        ring = self.acceptance.topic_keys
        return self._product.SealingKeys(
            rule=self._rules[topic],
            topic_key=ring.for_sending(topic, datetime.now(UTC), self.acceptance.skew),
            is_fallback=False,
            signing_key=self.signing_key,
            ca_epoch=0,
        )

    def source(self, topic: str, service: str) -> Any:
        """Return where messages are pulled from."""
        rule = self._rules[topic]
        return self._product.Source(rule.stream, rule.consumers[service])

    async def catch_up(self, error: Exception) -> None:
        """Fail: nothing newer exists."""
        raise error


class Worker:
    """What both kinds share."""

    def __init__(
        self, lane: dict[str, Any], service: str, connect: Connect = products.connect
    ) -> None:
        self.lane, self.service, self._connect = lane, service, connect
        self.product = products.load()
        self.registry = CollectorRegistry()
        self.telemetry = self.product.MessageTelemetry(self.registry)
        self.clock = self.product.SystemClock()
        home = Path(lane["folder"]) / service
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ledger = self.product.Ledger(home / "ledger.db", self.clock)
        self.keys = FixedKeys(self.product, lane, service)
        self.counts = {"protected": 0, "plain": 0}
        self.connection: Any = None

    async def start(self) -> dict[str, Any]:
        """Connect; returns what the other side must know."""
        folder = Path(self.lane["folder"])
        leaf = (folder / f"{self.service}.crt", folder / f"{self.service}.key")
        self.connection = await self._connect(
            self.product, self.lane["urls"], Path(self.lane["anchor"]), leaf, self.service
        )
        return {}

    def order(self, mode: str, rate: float) -> None:
        """Receivers take what comes."""

    def look(self) -> dict[str, Any]:
        """Return the counters now."""
        return {
            "counts": dict(self.counts),
            "cpu": time.process_time(),
            "ledger": _thread_seconds("ledger"),
            "signatures": self._sample("count"),
            "signed": self._sample("sum"),
            "refused": sum(
                sample.value
                for metric in self.registry.collect()
                if metric.name == "securetransport_messages_refused"
                for sample in metric.samples
                if sample.name.endswith("_total")
            ),
        }

    async def close(self) -> None:
        """Close what was opened."""
        await self.ledger.close()
        await self.connection.close()

    def _sample(self, part: str) -> float:
        found = self.registry.get_sample_value(f"securetransport_signature_batch_size_{part}")
        return found or 0.0


class Sender(Worker):
    """Sends at a rate or as fast as receipts allow."""

    def __init__(self, lane: dict[str, Any], connect: Connect = products.connect) -> None:
        super().__init__(lane, lane["sender"], connect)
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._order: tuple[str, float] = ("plain", 0.0)
        self._number = 0

    async def start(self) -> dict[str, Any]:
        """Connect and start sending nothing; tells the verify key."""
        await super().start()
        self._publisher = self.product.Publisher(
            keys=self.keys,
            ledger=self.ledger,
            clock=self.clock,
            connection=lambda: self.connection,
            limits=self.product.MessagesSection(),
            telemetry=self.telemetry,
            **self._sender_arguments(),
        )
        self._tasks = [
            asyncio.ensure_future(self._publisher.run()),
            asyncio.ensure_future(self._send_for_ever()),
        ]
        now = datetime.now(UTC)
        key = self.keys.signing_key
        schedule = self.product.PROFILES["test"].key_schedule
        return {
            "verify_key": {
                "key_id": key.key_id,
                "service": self.service,
                "instance": self.keys.instance,
                "epoch": schedule.number_at(now),
                "algorithm": key.algorithm,
                "public_key": base64.b64encode(key.public_key).decode(),
                "created_at": now.isoformat(),
            }
        }

    def _sender_arguments(self) -> dict[str, Any]:
        """Return what this edition's publisher is told besides."""
        profile = self.product.PROFILES["test"]
        if hasattr(self.product, "SealingKeys"):
            return {"entropy": os.urandom, "retry_limit": profile.retry_limit}
        return {
            "instance": self.keys.instance,
            "boot_id": self.keys.boot_id,
            "profile": profile,
            "signing_key": lambda: self.keys.signing_key,
            "ca_epoch": lambda: 0,
        }

    def order(self, mode: str, rate: float) -> None:
        """Send so from now on."""
        self._order = (mode, rate)

    async def close(self) -> None:
        """Stop sending, then close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().close()

    async def _send_for_ever(self) -> None:
        owed, last = 0.0, time.monotonic()
        async with asyncio.TaskGroup() as group:
            while True:
                mode, rate = self._order
                if rate < 0:
                    await self._slots.acquire()
                    group.create_task(self._send(mode))
                    last = time.monotonic()
                    continue
                await asyncio.sleep(_TICK_SECONDS)
                now = time.monotonic()
                owed += rate * min(now - last, _LONGEST_STALL_SECONDS)
                last = now
                for _ in range(int(owed)):
                    await self._slots.acquire()
                    group.create_task(self._send(mode))
                owed -= int(owed)

    async def _send(self, mode: str) -> None:
        try:
            if mode == "protected":
                topic = self.lane["topic"]
                await self._publisher.publish(topic, _PAYLOAD, type="bench.message")
            else:
                await self._send_plain()
            self.counts[mode] += 1
        finally:
            self._slots.release()

    async def _send_plain(self) -> None:
        """Take the same way without keys: attempt, publish, receipt."""
        self._number += 1
        identity, subject = f"plain-{os.getpid()}-{self._number}", self.lane["plain"]
        await self.ledger.attempt(identity, subject)
        ack = await self.connection.publish_acked(subject, _PAYLOAD, message_id=identity)
        await self.ledger.acked(identity, ack.sequence, is_duplicate=ack.is_duplicate)


class Receiver(Worker):
    """Takes both kinds of messages, each with an effect in the ledger before it is acknowledged."""

    def __init__(self, lane: dict[str, Any]) -> None:
        super().__init__(lane, lane["receiver"])

    async def start(self) -> dict[str, Any]:
        """Connect and take what comes."""
        await super().start()
        topic = self.lane["topic"]
        consumer = self.product.Consumer(
            topic,
            self.service,
            {topic: self._handle},
            keys=self.keys,
            may_start=lambda: True,
            telemetry=self.telemetry,
            **self._receiver_arguments(),
        )
        self._tasks = [
            asyncio.ensure_future(consumer.run()),
            asyncio.ensure_future(self._take_plain_for_ever()),
        ]
        await consumer.follow(self.connection)
        return {}

    async def close(self) -> None:
        """Stop taking, then close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().close()

    def _receiver_arguments(self) -> dict[str, Any]:
        """Return what this edition's consumer is told besides."""
        if hasattr(self.product, "Parking"):
            return {
                "limits": self.product.MessagesSection(max_in_flight=_IN_FLIGHT),
                "clock": self.clock,
                "parking": self.product.Parking(
                    self.keys.instance,
                    lambda: self.keys.signing_key,
                    self.clock,
                    self.telemetry,
                ),
            }
        if hasattr(self.product, "SealingKeys"):
            return {"limits": self.product.MessagesSection(max_in_flight=_IN_FLIGHT)}
        return {"max_in_flight": _IN_FLIGHT}

    async def _handle(self, delivery: Any) -> None:
        identity = delivery.message.header.message_id
        await self._effect(identity, delivery.sequence, delivery.deliveries, "protected")

    async def _take_plain_for_ever(self) -> None:
        pull = await self.connection.pull(
            self.lane["stream"], self.lane["plain_durable"], batch=_IN_FLIGHT // 2
        )
        slots = asyncio.Semaphore(_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            while (message := await pull.next()) is not None:
                await slots.acquire()
                task = group.create_task(self._take_plain(message))
                task.add_done_callback(lambda _: slots.release())

    async def _take_plain(self, message: Any) -> None:
        facts = message.facts
        await self._effect(message.message_id, facts.stream_sequence, facts.deliveries, "plain")
        await message.ack()

    async def _effect(self, identity: str, sequence: int, deliveries: int, mode: str) -> None:
        await self.ledger.once(
            identity, lambda _db: b"done", sequence=sequence, deliveries=deliveries
        )
        self.counts[mode] += 1


def _thread_seconds(name: str) -> float:
    """Return the CPU seconds of a thread of this process; 0 when there is none of that name."""
    for thread in threading.enumerate():
        if thread.name == name and thread.ident is not None:
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return 0.0


async def _serve(worker: Worker, out: int) -> None:
    commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(commands.put_nowait, {"do": "end"})

    threading.Thread(target=read, daemon=True).start()
    _say(out, await worker.start())
    while True:
        command = await commands.get()
        if command["do"] == "end":
            await worker.close()
            return
        if command["do"] == "rate":
            worker.order(command["mode"], command["rate"])
        _say(out, worker.look())


def _say(out: int, answer: dict[str, Any]) -> None:
    os.write(out, json.dumps(answer).encode() + b"\n")


def main() -> None:
    """Be the worker of the lane file named first; ``sender`` or ``receiver`` comes second."""
    # The product logs to the standard output, which here is for answers.
    out = os.dup(1)
    os.dup2(2, 1)
    lane = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    kind = Sender if sys.argv[2] == "sender" else Receiver

    async def run() -> None:
        await _serve(kind(lane), out)

    uvloop.run(run())


if __name__ == "__main__":
    main()

"""The gatekeeper process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Final

from securetransport.core.base.errors import ConfigError, SecureTransportError
from securetransport.messages.app import ServiceApp
from securetransport.messages.consumer import Delivery
from securetransport.runtime.logs import get_logger
from securetransport.runtime.supervisor import EternalTask
from securetransport_examples.gatekeeper.service import (
    LEDGER_TABLES,
    LoadOrder,
    Pacer,
    PendingRequests,
    make_request,
    read_order,
)
from securetransport_examples.gatekeeper.settings import GatekeeperSettings
from securetransport_examples.gatekeeper.telemetry import GatekeeperMetrics
from securetransport_examples.payloads import (
    TOPIC_REQUESTS,
    TOPIC_RESPONSES,
    TYPE_REQUEST,
    TYPE_RESPONSE,
    AuthRequest,
    AuthResponse,
    read_payload,
)

_TICK_SECONDS: Final = 0.005
_CONTROL_SECONDS: Final = 1.0


class Gatekeeper(ServiceApp[GatekeeperSettings]):
    """Sends requests at a steady rate and takes the responses."""

    LEDGER_TABLES = LEDGER_TABLES

    def setup(self) -> None:
        """Make the metrics and consume the responses."""
        load = self.settings.traffic
        self._metrics = GatekeeperMetrics(self.registry)
        self._configured = LoadOrder(load.rate_per_second, stop=False)
        self._order = self._configured
        self._pending = PendingRequests()
        self._under_way = 0
        self._was_ready = False
        self._is_stopping = False
        self._log = get_logger(agent="gatekeeper")
        self.consume(TOPIC_RESPONSES, self.take_response)

    def extra_tasks(self) -> Mapping[str, EternalTask]:
        """Return the loops that send."""
        return {"load": self._send_for_ever, "load_control": self._obey_for_ever}

    async def quiesce(self) -> None:
        """Send nothing new."""
        self._is_stopping = True

    async def take_response(self, delivery: Delivery) -> None:
        """Record a response once."""
        response = read_payload(delivery.message, TYPE_RESPONSE, AuthResponse)
        header, at = delivery.message.header, self.clock.now().timestamp()
        row = (header.message_id, response.request_id, at, response.outcome.value)
        keys = (header.message_id, at, header.key_epoch, header.key_id)

        def effect(db: sqlite3.Connection) -> bytes:
            db.execute("INSERT INTO responses VALUES (?, ?, ?, ?)", row)
            db.execute("INSERT INTO received_keys VALUES (?, ?, ?, ?)", keys)
            return response.outcome.value.encode()

        done = await self.once(delivery, effect)
        if not done.is_first:
            self._metrics.responses.labels("repeated").inc()
            return
        self._metrics.responses.labels(response.outcome.value).inc()
        seconds = self._pending.answered(response.request_id, self.clock.monotonic())
        if seconds is not None:
            self._metrics.answer_seconds.observe(seconds)

    # --- sending -----------------------------------------------------------------------------

    async def _send_for_ever(self) -> None:
        pacer = Pacer()
        number = 0
        # Requests end within this group: one that fails unexpectedly ends the process.
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                count = pacer.due(self._wanted_rate(), self.clock.monotonic())
                for _ in range(count):
                    request = make_request(number, self.settings.traffic.otp_share)
                    number += 1
                    if self._under_way >= self.settings.messages.max_in_flight:
                        self._metrics.requests.labels(request.kind.value, "skipped").inc()
                        continue
                    self._under_way += 1
                    group.create_task(self._send(request))

    def _wanted_rate(self) -> float:
        """Send nothing before everything is in place; afterwards go on, whatever happens."""
        if not self._was_ready:
            self._was_ready = not self.not_ready_reasons()
        if self._is_stopping or not self._was_ready:
            return 0.0
        return self._order.wanted

    async def _send(self, request: AuthRequest) -> None:
        identity = self.publisher.new_message_id()
        self._pending.sent(identity, self.clock.monotonic())
        try:
            await self.publisher.publish(
                TOPIC_REQUESTS, request.to_bytes(), type=TYPE_REQUEST, message_id=identity
            )
        except SecureTransportError as error:
            self._metrics.requests.labels(request.kind.value, "failed").inc()
            self._log.warning("request_not_sent", kind=type(error).__name__, error=str(error))
        else:
            self._metrics.requests.labels(request.kind.value, "acked").inc()
        finally:
            self._under_way -= 1

    async def _obey_for_ever(self) -> None:
        path = self.settings.traffic.control_file
        while True:
            if path is not None:
                try:
                    self._order = read_order(path, self._configured)
                except (ConfigError, SecureTransportError) as error:
                    self._log.warning("control_file_ignored", error=str(error))
            self._metrics.rate.set(self._order.wanted)
            await asyncio.sleep(_CONTROL_SECONDS)

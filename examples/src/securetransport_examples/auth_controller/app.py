"""The auth-controller process."""

from __future__ import annotations

from securetransport.messages.app import ServiceApp
from securetransport.messages.consumer import Delivery
from securetransport_examples.auth_controller.service import decide
from securetransport_examples.auth_controller.settings import AuthControllerSettings
from securetransport_examples.auth_controller.telemetry import AuthControllerMetrics
from securetransport_examples.payloads import (
    TOPIC_REQUESTS,
    TOPIC_RESPONSES,
    TYPE_REQUEST,
    TYPE_RESPONSE,
    AuthRequest,
    AuthResponse,
    read_payload,
)


class AuthController(ServiceApp[AuthControllerSettings]):
    """Decides each request once and answers it."""

    def setup(self) -> None:
        """Make the metrics and consume the requests."""
        self._metrics = AuthControllerMetrics(self.registry)
        self.consume(TOPIC_REQUESTS, self.take_request)

    async def take_request(self, delivery: Delivery) -> None:
        """Decide, record, answer; a repeated delivery gets the recorded answer again."""
        request = read_payload(delivery.message, TYPE_REQUEST, AuthRequest)
        outcome, reason = decide(request, self.settings.decision.denied_share)
        response = AuthResponse(
            request_id=delivery.message.header.message_id, outcome=outcome, reason=reason
        )
        done = await self.once(delivery, lambda _db: response.to_bytes())
        if done.is_first:
            self._metrics.decisions.labels(request.kind.value, outcome.value).inc()
        await self.answer(delivery, TOPIC_RESPONSES, done.result, type=TYPE_RESPONSE)

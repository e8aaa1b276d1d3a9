"""Metrics of the auth-controller."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class AuthControllerMetrics:
    """What the auth-controller counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "auth_controller_decisions_total",
            "Decisions by kind of request and outcome; each request once",
            ("kind", "outcome"),
            registry=registry,
        )

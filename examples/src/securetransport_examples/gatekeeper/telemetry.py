"""Metrics of the gatekeeper."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


class GatekeeperMetrics:
    """What the gatekeeper counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "gatekeeper_requests_total",
            "Requests by kind and result: acked, failed, skipped (too many under way)",
            ("kind", "result"),
            registry=registry,
        )
        self.responses = Counter(
            "gatekeeper_responses_total",
            "Responses by outcome; repeated ones are counted as repeated",
            ("outcome",),
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "gatekeeper_answer_seconds",
            "From sending a request until its response was handled",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.rate = Gauge(
            "gatekeeper_wanted_requests_per_second",
            "Rate of requests asked for now",
            registry=registry,
        )

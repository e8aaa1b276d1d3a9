"""Metrics that every agent has; an agent's own live in its ``telemetry.py``.

All metrics are made on an injected registry, with fixed label sets and no ids in labels.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

from securetransport.core.base.errors import SecureTransportError, TransientError
from securetransport.runtime.secret_id import SecretIdStatus

_CALL_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def new_registry(agent: str) -> CollectorRegistry:
    """Return a registry with the process's own numbers and ``securetransport_build_info``."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    info = Gauge(
        "securetransport_build_info",
        "Always 1; the labels say what runs",
        ("agent", "version", "python"),
        registry=registry,
    )
    info.labels(agent, version("securetransport"), platform.python_version()).set(1)
    return registry


class LoopMetrics:
    """Counts the rounds of an agent's loops by result.

    ``failed(loop)`` gives the ``on_error`` argument of :func:`supervisor.every`, ``done(loop)``
    counts a round that worked.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rounds = Counter(
            "securetransport_loop_rounds_total",
            "Rounds of a loop by result: done, transient or failed",
            ("loop", "result"),
            registry=registry,
        )

    def done(self, loop: str) -> None:
        """Count a round that worked."""
        self._rounds.labels(loop, "done").inc()

    def failed(self, loop: str, error: SecureTransportError) -> None:
        """Count a round that raised."""
        result = "transient" if isinstance(error, TransientError) else "failed"
        self._rounds.labels(loop, result).inc()


class SecretIdMetrics:
    """What an agent knows of its secret-id, asked when the metrics are read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._left = Gauge(
            "securetransport_secret_id_seconds_left",
            "Time until this agent's secret-id ends; negative when it has, NaN while unknown",
            registry=registry,
        )
        self._failing = Gauge(
            "securetransport_secret_id_failing",
            "Steps of the renewal of this agent's secret-id that failed since the last that worked",
            registry=registry,
        )

    def follow(self, status: SecretIdStatus) -> None:
        """Show what ``status`` says."""
        self._left.set_function(status.seconds_left)
        self._failing.set_function(status.failures)


class StoreMetrics:
    """Latency of calls to OpenBao; ``observe`` is the ``on_call`` hook of ``OpenBaoStore``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "securetransport_openbao_call_seconds",
            "Duration of one call to OpenBao, all nodes tried included",
            ("operation", "outcome"),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )

    def observe(self, operation: str, seconds: float, outcome: str) -> None:
        """Record one call; ``operation`` and ``outcome`` are fixed words."""
        self._seconds.labels(operation, outcome).observe(seconds)

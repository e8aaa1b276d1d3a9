"""Metrics of a member's session; fixed labels, no ids."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.formats.body import DocumentKind
from securetransport.runtime.metrics import LoopMetrics


class SessionTelemetry:
    """What a session counts.

    Args:
        registry: For metrics.
        loops: Counts the rounds of the session's loops; ``None`` leaves them uncounted.
    """

    def __init__(self, registry: CollectorRegistry, loops: LoopMetrics | None = None) -> None:
        self._loops = loops
        self.documents = Counter(
            "securetransport_documents_total",
            "Signed documents offered, by kind and result",
            ("kind", "result"),
            registry=registry,
        )
        self.leaf_certificates = Counter(
            "securetransport_leaf_renewals_total",
            "Leaf certificates fetched, by reason and result",
            ("reason", "result"),
            registry=registry,
        )
        self.leaf_seconds_left = Gauge(
            "securetransport_leaf_seconds_left",
            "Remaining life of the leaf in use",
            registry=registry,
        )
        self.trust_seconds_left = Gauge(
            "securetransport_trust_seconds_left",
            "Time until the trust bundle in force is stale; negative when it is",
            registry=registry,
        )
        self.moves = Counter(
            "securetransport_connection_moves_total",
            "Connections made, by reason and result",
            ("reason", "result"),
            registry=registry,
        )
        self.bus_events = Counter(
            "securetransport_bus_events_total",
            "Events of the bus connection",
            ("kind",),
            registry=registry,
        )
        self.attestations = Counter(
            "securetransport_attestations_total",
            "Attestations published, by result",
            ("result",),
            registry=registry,
        )
        self.enrolments = Counter(
            "securetransport_enrolments_total",
            "Signing keys enrolled, by result",
            ("result",),
            registry=registry,
        )
        self.is_ready = Gauge(
            "securetransport_session_admitted",
            "1 while connected and attested since",
            registry=registry,
        )

    def document_judged(self, kind: DocumentKind, result: str) -> None:
        """Count a document that was offered."""
        self.documents.labels(kind.value, result).inc()

    def round_done(self, loop: str) -> None:
        """Count a round that worked."""
        if self._loops is not None:
            self._loops.done(loop)

    def round_failed(self, loop: str, error: SecureTransportError) -> None:
        """Count a round that raised."""
        if self._loops is not None:
            self._loops.failed(loop, error)

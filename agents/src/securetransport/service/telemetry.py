"""Metrics of the SDK; fixed labels, no ids."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from securetransport.core.errors import SecureTransportError
from securetransport.runtime.metrics import LoopMetrics

_LATENCY_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


class SessionTelemetry:
    """What a session counts.

    Attributes:
        loops: Counts the rounds of the session's loops; ``None`` leaves them uncounted.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.loops: LoopMetrics | None = None
        self.documents = Counter(
            "securetransport_documents_total",
            "Signed documents offered, by kind and result",
            ("kind", "result"),
            registry=registry,
        )
        self.leafs = Counter(
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

    def round_done(self, loop: str) -> None:
        """Count a round that worked."""
        if self.loops is not None:
            self.loops.done(loop)

    def round_failed(self, loop: str, error: SecureTransportError) -> None:
        """Count a round that raised."""
        if self.loops is not None:
            self.loops.failed(loop, error)


class MessageTelemetry:
    """What publishers and consumers count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "securetransport_messages_published_total",
            "Messages by topic and result: acked, duplicate, given_up, refused",
            ("topic", "result"),
            registry=registry,
        )
        self.retries = Counter(
            "securetransport_publish_retries_total",
            "Publishes repeated with the same message id",
            ("topic",),
            registry=registry,
        )
        self.fallback = Counter(
            "securetransport_sent_with_older_key_total",
            "Messages sealed with an older epoch's key because the current one was not in hand",
            ("topic",),
            registry=registry,
        )
        self.publish_seconds = Histogram(
            "securetransport_publish_seconds",
            "From handing a message over until the stream's receipt",
            ("topic",),
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "securetransport_signature_batch_size",
            "Messages that share one signature",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.handled = Counter(
            "securetransport_messages_handled_total",
            "Messages by topic and result: effected, repeated, later, failed",
            ("topic", "result"),
            registry=registry,
        )
        self.refused = Counter(
            "securetransport_messages_refused_total",
            "Messages refused by topic and check",
            ("topic", "reason"),
            registry=registry,
        )
        self.parked = Counter(
            "securetransport_messages_parked_total",
            "Messages put among the dead letters, by topic and reason",
            ("topic", "reason"),
            registry=registry,
        )
        self.bundles = Counter(
            "securetransport_bundle_refreshes_total",
            "Bundles fetched by source and result",
            ("source", "result"),
            registry=registry,
        )

"""Metrics of publishers and consumers; fixed labels, no ids."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


class MessageTelemetry:
    """What publishers and consumers count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "securetransport_messages_published_total",
            "Messages by topic and result: acked, duplicate, given_up, held_back, refused",
            ("topic", "result"),
            registry=registry,
        )
        self.publish_seconds_left = Gauge(
            "securetransport_publish_seconds_left",
            "Until this member may publish no more unless something is renewed; 0 when it may not",
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
            "Messages sealed with an older epoch's key because the current one was missing",
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
            "Messages by result: effected, repeated, later, failed, held, dropped, ack_lost",
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
        self.not_taken = Counter(
            "securetransport_dead_letters_not_taken_total",
            "Messages that the dead letters did not take, by topic and why",
            ("topic", "why"),
            registry=registry,
        )
        self.bundles = Counter(
            "securetransport_bundle_refreshes_total",
            "Bundles fetched by source and result",
            ("source", "result"),
            registry=registry,
        )

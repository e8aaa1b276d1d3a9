"""The keeper's metrics; listed in docs/telemetry.md."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from securetransport.core.formats.body import DocumentKind


class KeeperTelemetry:
    """Counters and gauges of one keeper.

    Attributes:
        leaf_seconds_left: Life left of the server leaf in force: how long the server can do without
            OpenBao.
        is_served: 1 when the last probe saw exactly the files in force.
        openbao_away_seconds: How long OpenBao has not answered; 0 when it does.
        stale_documents: Documents in force whose successor is overdue.
        documents_refused: Documents refused, by kind.
        leaf_certificates_issued: Leaf certificates issued, by need.
        leaf_certificates_failed: Leaf certificates that could not be had, by need.
        generations: Sets of files written.
        files_refused: Sets of files that the server's own check refused.
        reloads: Reloads by result: done, not_taken or no_process.
        attestations: Statements written to OpenBao.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"securetransport_keeper_{name}", text, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"securetransport_keeper_{name}", text, labels, registry=registry)

        self.leaf_seconds_left = gauge("leaf_seconds_left", "Life left of the server leaf in force")
        self.is_served = gauge("is_served", "1 when the server shows exactly the files in force")
        self.openbao_away_seconds = gauge("openbao_away_seconds", "Time without OpenBao")
        self.stale_documents = gauge("stale_documents", "Documents whose successor is overdue")
        self.documents_refused = counter(
            "documents_refused_total", "Documents refused, by kind", ("kind",)
        )
        self.leaf_certificates_issued = counter(
            "leaf_certificates_issued_total", "Server leaf certificates issued", ("need",)
        )
        self.leaf_certificates_failed = counter(
            "leaf_certificates_failed_total",
            "Requests for a server certificate that failed",
            ("need",),
        )
        self.generations = counter("generations_total", "Sets of files written")
        self.files_refused = counter("files_refused_total", "Sets of files that failed the check")
        self.reloads = counter("reloads_total", "Reloads of the server by result", ("result",))
        self.attestations = counter("attestations_total", "Statements written to OpenBao")

    def observe_leaf(self, not_after: datetime | None, at: datetime) -> None:
        """Set the life left; 0 without a leaf."""
        left = (not_after - at).total_seconds() if not_after else 0.0
        self.leaf_seconds_left.set(max(left, 0.0))

    def document_judged(self, kind: DocumentKind, result: str) -> None:
        """Count a document that was refused."""
        if result != "accepted":
            self.documents_refused.labels(kind.value).inc()

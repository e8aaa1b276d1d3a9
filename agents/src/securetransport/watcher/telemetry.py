"""The watcher's metrics; listed in docs/telemetry.md."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from securetransport.core.formats.server_report import ServerReport

_ROUND_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class WatcherTelemetry:
    """Counters and gauges of one watcher.

    Attributes:
        servers: Servers of the last report by state: reachable, silent or unknown connections.
        connections: Live client connections of the last report, all servers.
        round_seconds: Duration of a round.
        reports: Reports published.
        reloads: RELOAD requests by result: done, refused or unanswered.
        commands: Commands answered, by result: done or refused.
        refused_routes: Peers that wanted to be a server of the cluster and were refused.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "securetransport_watcher"
        self.servers = Gauge(f"{prefix}_servers", "Servers by state", ("state",), registry=registry)
        self.connections = Gauge(
            f"{prefix}_connections", "Live client connections seen", registry=registry
        )
        self.round_seconds = Histogram(
            f"{prefix}_round_seconds",
            "Duration of a round over all servers",
            buckets=_ROUND_BUCKETS,
            registry=registry,
        )
        self.reports = Counter(f"{prefix}_reports_total", "Reports published", registry=registry)
        self.reloads = Counter(
            f"{prefix}_reloads_total", "RELOAD requests by result", ("result",), registry=registry
        )
        self.commands = Counter(
            f"{prefix}_commands_total", "Commands answered", ("result",), registry=registry
        )
        self.refused_routes = Counter(
            f"{prefix}_refused_routes_total",
            "Peers that wanted to be a server and were refused",
            registry=registry,
        )

    def observe_report(self, report: ServerReport) -> None:
        """Set the gauges from a report."""
        entries = report.servers
        reachable = sum(1 for entry in entries if entry.reachable)
        unknown = sum(1 for entry in entries if entry.connections is None)
        self.servers.labels("reachable").set(reachable)
        self.servers.labels("silent").set(len(entries) - reachable)
        self.servers.labels("unknown").set(unknown)
        self.connections.set(sum(len(entry.connections or ()) for entry in entries))

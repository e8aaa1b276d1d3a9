"""Metrics of the renewal of secret-ids; all of them are listed in docs/telemetry.md."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class CredentialsMetrics:
    """Counts renewals and what went wrong; no label names a member."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handovers = Counter(
            "securetransport_secret_id_handovers_total",
            "Secret-ids that were opened, proven by a login, kept and stated",
            registry=registry,
        )
        self._failures = Counter(
            "securetransport_secret_id_failures_total",
            "Steps of a renewal that failed, by step; refused: OpenBao takes the kept one no more",
            ["step"],
            registry=registry,
        )
        self._tokens = Counter(
            "securetransport_token_files_restored_total",
            "Token files that had vanished and were put back",
            registry=registry,
        )
        self._left = Gauge(
            "securetransport_secret_id_least_seconds_left",
            "Time until the first secret-id of this folder ends; negative when one has ended",
            registry=registry,
        )

    def handed_over(self) -> None:
        """Count a completed renewal."""
        self._handovers.inc()

    def failed(self, step: str) -> None:
        """Count a step that failed."""
        self._failures.labels(step).inc()

    def token_restored(self) -> None:
        """Count a token file that was put back."""
        self._tokens.inc()

    def least_left(self, seconds: float) -> None:
        """Take over the time until the first secret-id ends."""
        self._left.set(seconds)

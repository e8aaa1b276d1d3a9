"""Metrics of the authority; all of them are listed in docs/telemetry.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from securetransport.core.decisions.ca.gates import Census
from securetransport.core.decisions.ca.record import RotationRecord


class MetadataMetrics:
    """Numbers of the rotation, of what was heard, and of what was answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._steps = Counter(
            "securetransport_rotation_steps_total",
            "Steps of the CA rotation that were carried out",
            ["step"],
            registry=registry,
        )
        self._completed = Gauge(
            "securetransport_rotations_completed",
            "Activations that replaced an earlier active epoch",
            registry=registry,
        )
        self._active = Gauge(
            "securetransport_ca_active_epoch", "The signing CA epoch", registry=registry
        )
        self._active_left = Gauge(
            "securetransport_ca_active_seconds_left",
            "Time until the active intermediate expires",
            registry=registry,
        )
        self._issuers = Gauge(
            "securetransport_ca_live_issuers", "Epochs that are not destroyed", registry=registry
        )
        self._connections = Gauge(
            "securetransport_census_connections",
            "Live connections by how their leaf is known",
            ["leaf"],
            registry=registry,
        )
        self._held = Gauge(
            "securetransport_rotation_hold_seconds",
            "How long the rotation has been waiting for evidence; 0 when it is not",
            registry=registry,
        )
        self._answers = Counter(
            "securetransport_key_exchange_total",
            "Bundle requests by outcome",
            ["outcome"],
            registry=registry,
        )
        self._refused = Counter(
            "securetransport_statements_refused_total",
            "Attestations and reports that were refused",
            ["kind"],
            registry=registry,
        )

        self._secret_id_steps = Counter(
            "securetransport_secret_id_steps_total",
            "Steps of the renewal of secret-ids: mint, withdraw (nobody took it), destroy, failed",
            ["step"],
            registry=registry,
        )
        self._secret_ids = Gauge(
            "securetransport_secret_ids",
            "Instances by their secret-id: renewed, waiting (for the instance), none delivered",
            ["state"],
            registry=registry,
        )

    def secret_id_step(self, name: str) -> None:
        """Count one step of the renewal of secret-ids."""
        self._secret_id_steps.labels(name).inc()

    def secret_ids(self, states: Mapping[str, int]) -> None:
        """Take over how many instances are in which state."""
        for state in ("renewed", "waiting", "none"):
            self._secret_ids.labels(state).set(states.get(state, 0))

    def step(self, name: str) -> None:
        """Count one step."""
        self._steps.labels(name).inc()

    def observe(
        self,
        record: RotationRecord,
        census: Census,
        now: datetime,
        *,
        waiting_since: datetime | None,
    ) -> None:
        """Take over what one round saw at ``now``."""
        self._completed.set(record.completed)
        self._issuers.set(len(record.live()))
        active = record.active
        if active is not None and active.issuer is not None:
            self._active.set(active.epoch)
            self._active_left.set((active.issuer.not_after - now).total_seconds())
        self._connections.labels("attested").set(sum(census.by_epoch.values()))
        self._connections.labels("unknown").set(census.unknown)
        self._connections.labels("foreign").set(census.foreign)
        self._held.set((now - waiting_since).total_seconds() if waiting_since else 0)

    def answered(self, outcome: str) -> None:
        """Count one answer to a bundle request."""
        self._answers.labels(outcome).inc()

    def refused(self, kind: str) -> None:
        """Count one refused statement."""
        self._refused.labels(kind).inc()

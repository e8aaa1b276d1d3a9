"""What the watcher remembers of one server's reloads, between two rounds.

When a server is reloaded is decided by ``core.decisions.broker_health.should_reload``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from securetransport.core.decisions.broker_health import ReloadObservation
from securetransport.core.formats.body import Version


@dataclass(slots=True)
class ReloadMemory:
    """What is known about one server's reloads.

    Attributes:
        version: Newest trust bundle version seen by the watcher.
        changed_at: When it became the newest, monotonic seconds.
        confirmed: Version that a RELOAD without error confirmed.
        tried_at: When RELOAD was last sent.
        error: Its error, until a later one succeeds.
    """

    version: Version | None = None
    changed_at: float = 0.0
    confirmed: Version | None = None
    tried_at: float = field(default=float("-inf"))
    error: str | None = None

    def note(self, version: Version, now: float) -> None:
        """Take notice of the newest version."""
        if version != self.version:
            self.version, self.changed_at = version, now
            self.tried_at = float("-inf")

    def observe(self, *, shows_newest: bool, now: float, patience: float) -> ReloadObservation:
        """Return what the decision judges.

        Args:
            shows_newest: Both ports list exactly the names of the newest trust set.
            now: Monotonic seconds.
            patience: Distance of two reloads, seconds.
        """
        return ReloadObservation(
            version=self.version,
            changed_at=self.changed_at,
            confirmed=self.confirmed,
            tried_at=self.tried_at,
            shows_newest=shows_newest,
            now=now,
            patience=patience,
        )

    def answered(self, error: str | None, *, shows_newest: bool, now: float) -> None:
        """Remember an answer to RELOAD."""
        self.tried_at, self.error = now, error
        if error is None and shows_newest:
            self.confirmed = self.version

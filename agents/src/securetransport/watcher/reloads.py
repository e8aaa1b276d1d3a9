"""When a server is told to reload over the bus. Pure.

Its keeper reloads it by signal; a signal has no answer, RELOAD has one. So:

1. Once both ports show the newest trust set, one RELOAD confirms that the server accepts its whole
   configuration; then nothing more for this version.
2. A server that still shows another set some seconds after a new version is told to reload, again
   and again at that distance: its keeper may be unable to signal it, and the answer says why not.
3. A refused reload is repeated at the same distance, until it is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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

    def is_due(self, *, shows_newest: bool, now: float, patience: float) -> bool:
        """Tell whether to send RELOAD now.

        Args:
            shows_newest: Both ports list exactly the names of the newest trust set.
            now: Monotonic seconds.
            patience: The distance of rules 2 and 3, seconds.
        """
        if self.version is None or (self.confirmed == self.version and shows_newest):
            return False
        is_fresh_try = now - self.tried_at >= patience
        if shows_newest:
            return is_fresh_try
        return is_fresh_try and now - self.changed_at >= patience

    def answered(self, error: str | None, *, shows_newest: bool, now: float) -> None:
        """Remember an answer to RELOAD."""
        self.tried_at, self.error = now, error
        if error is None and shows_newest:
            self.confirmed = self.version

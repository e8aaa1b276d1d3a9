"""What a session reads of its process's configuration."""

from __future__ import annotations

from typing import Protocol

from securetransport.core.base.profile import Profile
from securetransport.runtime.sections import (
    IdentitySection,
    NatsSection,
    PathsSection,
)


class SessionSettings(Protocol):
    """What a :class:`~securetransport.member.session.Session` reads; agents' settings have it."""

    @property
    def identity(self) -> IdentitySection:
        """Who this process is."""
        ...

    @property
    def nats(self) -> NatsSection:
        """Where the bus is."""
        ...

    @property
    def paths(self) -> PathsSection:
        """What the process may write to."""
        ...

    def profile_value(self) -> Profile:
        """Return the deployment's durations."""
        ...

"""Configuration that every service built on the SDK has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from securetransport.runtime.sections import NatsSection, Section
from securetransport.runtime.settings import AgentSettings


class MessagesSection(Section):
    """How messages are sent and handled."""

    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Publishes without a receipt, and messages being handled; more wait. Bounds memory."""

    ack_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1.5
    """Wait for a stream's receipt before the same bytes are published again."""

    handler_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long a handler may take with one message; then it is stopped, which counts as failed."""

    batch_linger_seconds: Annotated[float, Field(ge=0, le=0.1)] = 0.008
    """Under load, how long a message waits for others to share its signature; 0 for never."""


class LedgerSection(Section):
    """The record of what was sent and done, by which losses are found."""

    file: Path | None = None
    """SQLite file; ``None`` puts ``ledger.db`` into ``paths.state_dir``.

    Replicas on one machine that name the same file have their effects once for all of them.
    """


class ServiceSettings(AgentSettings):
    """Settings of a service; a service adds its own groups."""

    nats: NatsSection
    messages: MessagesSection = MessagesSection()
    ledger: LedgerSection = LedgerSection()

    def ledger_file(self) -> Path:
        """Return where the ledger lies."""
        return self.ledger.file or self.paths.state_dir / "ledger.db"

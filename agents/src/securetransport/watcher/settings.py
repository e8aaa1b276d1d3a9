"""Configuration of the watcher."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from securetransport.runtime.sections import Address, NatsSection, Section, ServerName
from securetransport.runtime.settings import AgentSettings


class WatchedServer(Section):
    """One server to look at."""

    name: ServerName
    """``server_name`` of its configuration."""

    client_address: Address
    """``host:port`` of its client port, as the watcher reaches it."""

    route_address: Address
    """``host:port`` of its route port, as the watcher reaches it."""


class RoundSection(Section):
    """How often and how long; seconds."""

    interval_seconds: Annotated[float, Field(gt=0, le=10)] = 1.0
    """From the end of one round to the start of the next; the authority takes a report older than
    5 s for none."""

    answer_seconds: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How long a server may take to answer; 3 ms are usual."""

    probe_seconds: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How long a TLS probe may take; 5 ms are usual."""

    page_size: Annotated[int, Field(ge=1, le=65536)] = 1024
    """Connections per page."""

    fallback_reload_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """How long a server may show another trust set than the newest one before it is told to reload
    by the bus; its keeper does that by signal within a second."""


class WatcherSettings(AgentSettings):
    """What the watcher is configured with."""

    AGENT: ClassVar[str] = "watcher"

    nats: NatsSection
    servers: Annotated[tuple[WatchedServer, ...], Field(min_length=1)]
    """Every server of the cluster."""

    round: RoundSection = RoundSection()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [server.name for server in self.servers]
        if len(set(names)) != len(names):
            raise ValueError("servers: two entries have the same name")
        return self

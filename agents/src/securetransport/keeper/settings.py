"""Configuration of the keeper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from securetransport.runtime.sections import Address, DnsName, IpAddress, Section, ServerName
from securetransport.runtime.settings import AgentSettings


class ServerSection(Section):
    """The NATS server beside this keeper."""

    name: ServerName
    """``server_name`` of its configuration; also the replica part of its leaf's common name."""

    order: tuple[ServerName, ...] = ()
    """All servers of the cluster, the same list in every keeper: who moves to a new epoch first.
    Empty: this server waits for nobody (a single server)."""

    client_address: Address
    """``host:port`` of the client port, as the keeper reaches it."""

    route_address: Address | None = None
    """``host:port`` of the route port; ``None`` for a server without a cluster."""

    managed_dir: Path
    """The folder that belongs to the keeper; the server's configuration includes files of it."""

    config_file: Path
    """The server's configuration; checked to tell the reason when a reload does not take."""

    pid_file: Path
    """Where the server writes its process id."""

    binary: str = "nats-server"
    """The program that checks new files before they come into force; a path or a name."""

    dns: tuple[DnsName, ...] = ("localhost",)
    """DNS names of the server's leaf."""

    ips: tuple[IpAddress, ...] = ("127.0.0.1",)
    """IP addresses of the server's leaf."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.order and self.name not in self.order:
            raise ValueError(f"server.order does not list server.name {self.name!r}")
        return self


class TimingSection(Section):
    """How often and how long; seconds."""

    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Distance of looks at OpenBao; two reads of about 2 ms each."""

    probe_every_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Distance of probes while all is well; each leaves one line in the server's log."""

    attest_every_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    """How old the statement in OpenBao may grow."""

    reload_wait_seconds: Annotated[float, Field(gt=0, le=30)] = 2.0
    """How long a reload may take; 10 ms are usual."""

    turn_limit_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    """How long each earlier server is waited for when a new epoch became active."""

    ready_max_age_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """``exec-server`` accepts files verified since the machine started, or this recently."""


class KeeperSettings(AgentSettings):
    """What a keeper is configured with."""

    AGENT: ClassVar[str] = "keeper"

    server: ServerSection
    timing: TimingSection = TimingSection()

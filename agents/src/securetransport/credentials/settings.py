"""Configuration of what stands beside the bao agents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from securetransport.core.base.names import InstanceId, ServiceId, instance_id, parse_replica
from securetransport.runtime.sections import OpenBaoAddress, Section, ServiceName
from securetransport.runtime.settings import ProcessSettings


class MemberSection(Section):
    """One bao agent."""

    service: ServiceName
    """Whose credentials they are."""

    instance: Annotated[str, AfterValidator(parse_replica)]
    """Which instance; with the service it names the AppRole."""

    role_id_file: Path
    """Written by Ansible."""

    secret_id_file: Path
    """Written by Ansible once, and renewed in place; the bao agent reads it at each login."""

    state_file: Path
    """Where the state of the renewal lies; on a disk, beside the secret-id."""

    token_file: Path
    """The sink of the bao agent, in memory."""

    status_file: Path
    """Where the agent reads how its secret-id is; in memory, beside the token."""

    @property
    def instance_id(self) -> InstanceId:
        """``<service>/<instance>``."""
        return instance_id(ServiceId(self.service), self.instance)


class CredentialsSettings(ProcessSettings):
    """What the process is configured with."""

    AGENT: ClassVar[str] = "credentials"

    openbao: OpenBaoAddress
    members: tuple[MemberSection, ...] = Field(min_length=1)
    round_seconds: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How often each member is looked at; a look costs no call while nothing is due. A token file
    that vanished is back after this long."""

    def looks(self) -> list[Callable[[], object]]:
        """Return what ``--check-config`` and the start look into."""
        return [*super().looks(), self.openbao.check]

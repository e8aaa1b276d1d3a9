"""Configuration of the authority."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from securetransport.runtime.sections import ExistingFile, NatsSection, ServerName, read_keys
from securetransport.runtime.settings import AgentSettings


class AclSection(BaseModel):
    """Whose ACL is accepted.

    Attributes:
        administrator_keys_file: JSON file of the pinned administrator keys.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    administrator_keys_file: ExistingFile


class ServersSection(BaseModel):
    """Which servers gate a rotation.

    Attributes:
        names: Server names, as their keepers attest them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[ServerName, ...] = Field(min_length=1)


class MetadataSettings(AgentSettings):
    """All settings of one instance.

    Attributes:
        acl: Whose ACL is accepted.
        nats: Where the bus is.
        servers: Which servers gate a rotation.
        lease_seconds: How long an instance that shows no life stays the holder; a standby takes
            over after it.
    """

    AGENT: ClassVar[str] = "metadata"

    acl: AclSection
    nats: NatsSection
    servers: ServersSection
    lease_seconds: float = Field(default=10.0, ge=3, le=300)

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_gone(cls, values: Any) -> Any:
        if isinstance(values, dict) and "dead_letter_seconds" in values:
            raise ValueError(
                "dead_letter_seconds: is gone, remove it; keys are kept as long as the ACL lets a"
                " message wait (dead_letters.max_age_seconds there, a week without it)"
            )
        return values

    def looks(self) -> list[Callable[[], object]]:
        """Add the administrators' keys to the files that are looked into."""
        return [*super().looks(), self._check_administrators]

    def _check_administrators(self) -> None:
        read_keys(self.acl.administrator_keys_file, "acl.administrator_keys_file")

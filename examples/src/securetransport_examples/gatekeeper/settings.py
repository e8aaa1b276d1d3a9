"""Configuration of the gatekeeper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from securetransport.messages.settings import ServiceSettings
from securetransport.runtime.sections import Section


class LoadSection(Section):
    """How many requests are sent."""

    rate_per_second: Annotated[float, Field(ge=0, le=10_000)] = 10.0
    """Requests per second at start; 0 sends none."""

    otp_share: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of requests of kind ``otp``; the rest is shared by the other kinds."""

    control_file: Path | None = None
    """JSON ``{"rate": 200, "stop": false}``, read each second: what it says replaces the rate. It
    may be missing. ``None`` for no control while running."""


class GatekeeperSettings(ServiceSettings):
    """What the gatekeeper is configured with."""

    AGENT: ClassVar[str] = "gatekeeper"

    traffic: LoadSection = LoadSection()
    """The table ``[load]`` of the file; a field of that name would hide ``AgentSettings.load``."""

    @model_validator(mode="before")
    @classmethod
    def _read_load(cls, values: Any) -> Any:
        if isinstance(values, dict) and "load" in values and "traffic" not in values:
            return {"traffic" if name == "load" else name: item for name, item in values.items()}
        return values

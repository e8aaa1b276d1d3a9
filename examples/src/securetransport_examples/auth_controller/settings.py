"""Configuration of the auth-controller."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from securetransport.messages.settings import ServiceSettings
from securetransport.runtime.sections import Section


class DecisionSection(Section):
    """How decisions come out."""

    denied_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of users who are denied; always the same users."""


class AuthControllerSettings(ServiceSettings):
    """What the auth-controller is configured with."""

    AGENT: ClassVar[str] = "auth-controller"

    decision: DecisionSection = DecisionSection()

"""How this agent's secret-id is, as the process that renews it says in a file beside the token.

An agent never sees its secret-id; what it can see is that its token ends and no other comes. The
file says why, so that ``/readyz`` and the metrics name the cause.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

_LONGEST_BYTES = 8192


def _now() -> datetime:
    return datetime.now(UTC)


class _Status(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Annotated[str, Field(pattern=r"^[a-z]{1,16}$")]
    expires_at: AwareDatetime | None = None
    failures: Annotated[int, Field(ge=0)] = 0


class SecretIdStatus:
    """Reads the file; one that is missing or unreadable says nothing."""

    def __init__(self, path: Path, now: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._now = now

    def not_ready_reasons(self) -> list[str]:
        """Return why the agent is not as it should be, empty when its secret-id is good."""
        status = self._read()
        if status is None or status.state in {"ok", "unknown"}:
            return []
        found = _with_end(status)
        return [f"secret-id is {found}; run site.yml"]

    def seconds_left(self) -> float:
        """Return the time until it ends; negative when it has, NaN while unknown."""
        status = self._read()
        if status is None or status.expires_at is None:
            return nan
        return (status.expires_at - self._now()).total_seconds()

    def failures(self) -> float:
        """Return how many steps of its renewal failed since the last that worked."""
        status = self._read()
        return float(status.failures) if status else 0.0

    def _read(self) -> _Status | None:
        try:
            with self._path.open("rb") as file:
                return _Status.model_validate_json(file.read(_LONGEST_BYTES))
        except (OSError, ValidationError):
            return None


def _with_end(status: _Status) -> str:
    if status.expires_at is None:
        return status.state
    return f"{status.state} since {status.expires_at:%Y-%m-%dT%H:%MZ}"

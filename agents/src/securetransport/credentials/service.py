"""All members of one folder: each is looked at in its turn, and none keeps another waiting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports import Files
from securetransport.core.ports.clock import Clock
from securetransport.credentials.renewal import Renewal
from securetransport.credentials.sink import Sink
from securetransport.credentials.telemetry import CredentialsMetrics
from securetransport.runtime.logs import get_logger


@dataclass
class Member:
    """One bao agent's credentials.

    Attributes:
        renewal: Of its secret-id.
        sink: Its token file.
        status_file: Where the agent reads how the secret-id is.
        files: Where that lies.
        clock: Wall clock.
    """

    renewal: Renewal
    sink: Sink
    status_file: Path
    files: Files
    clock: Clock
    _written: str = ""

    async def round(self) -> None:
        """Carry out what is due; what fails is logged, and said in the status file."""
        reason = ""
        log = get_logger(instance=self.renewal.instance)
        for part in (self.sink.round, self.renewal.round):
            try:
                await part()
            except SecureTransportError as error:
                reason = str(error)
                log.warning("credentials_failed", kind=type(error).__name__, error=reason)
        self._say(reason)

    def seconds_left(self) -> float | None:
        """Return the time until the secret-id ends; ``None`` when it does not, or is unknown."""
        _, ends = self.renewal.state()
        return None if ends is None else (ends - self.clock.now()).total_seconds()

    def not_ready(self) -> str | None:
        """Return what is wrong with the secret-id in one line, ``None`` when nothing is."""
        state, _ = self.renewal.state()
        if state in {"ok", "unknown"}:
            return None
        return f"secret-id of {self.renewal.instance} is {state}; run site.yml"

    def _say(self, reason: str) -> None:
        state, ends = self.renewal.state()
        status = {
            "state": state,
            "expires_at": ends.isoformat() if ends else None,
            "handovers": self.renewal.handovers,
            "failures": self.renewal.failures,
            "waits_for": list(self.renewal.waits_for),
            "reason": reason,
        }
        text = json.dumps(status, sort_keys=True)
        if text == self._written and self.files.read(self.status_file) is not None:
            return
        try:
            self.files.private_dir(self.status_file.parent)
            self.files.write(self.status_file, text)
        except SecureTransportError as error:
            get_logger().warning("status_not_written", error=str(error))
            return
        self._written = text


class Credentials:
    """Serves all members of one folder."""

    def __init__(self, members: Sequence[Member], metrics: CredentialsMetrics) -> None:
        self._members = tuple(members)
        self._metrics = metrics

    async def round(self) -> None:
        """Look at every member."""
        for member in self._members:
            await member.round()
        left = [seconds for one in self._members if (seconds := one.seconds_left()) is not None]
        if left:
            self._metrics.least_left(min(left))

    def not_ready_reasons(self) -> list[str]:
        """Return what is wrong, one line for each member."""
        return [reason for one in self._members if (reason := one.not_ready()) is not None]

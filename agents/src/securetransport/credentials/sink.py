"""The token file of one bao agent, put back when it vanished.

A bao agent writes its sink at a login only, hours apart. Whoever removes the file in between (a
logout, a cleaner of temporary files) takes the token from every process that starts after. Rules:

1. The token that was in the file is put back: the bao agent goes on renewing that very token.
2. Where it is not known (this process started later, or nobody logs in here but this process), a
   fresh login gives one; it is renewed at half its life until the bao agent writes its own.
3. A file that is there is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securetransport.core.base.errors import PermissionDeniedError
from securetransport.core.ports import Files, Logins
from securetransport.core.ports.clock import Clock
from securetransport.credentials.disk import Disk
from securetransport.credentials.telemetry import CredentialsMetrics
from securetransport.runtime.logs import get_logger


@dataclass
class Sink:
    """Keeps one token file in place.

    Attributes:
        path: The file.
        disk: The credentials for rule 2.
        files: Where the file lies.
        logins: OpenBao without a token.
        clock: Wall clock.
        metrics: Counts.
    """

    path: Path
    disk: Disk
    files: Files
    logins: Logins
    clock: Clock
    metrics: CredentialsMetrics
    _seen: str = ""
    _own: str = ""
    _renew_at: datetime | None = None

    async def round(self) -> None:
        """Put the file back if it vanished; renew a token of rule 2.

        Raises:
            SecureTransportError: OpenBao is away or refuses, or the file cannot be written.
        """
        data = self.files.read(self.path)
        found = data.decode("ascii", "replace").strip() if data else ""
        if found:
            self._seen = found
            if found != self._own:
                self._renew_at = None
            await self._renew()
            return
        is_new = not self._seen
        if is_new:
            await self._log_in()
        if not self._seen:
            return
        self.files.private_dir(self.path.parent)
        self.files.write(self.path, self._seen)
        if not is_new:
            self.metrics.token_restored()
            get_logger().warning("token_file_restored", path=str(self.path))

    async def _log_in(self) -> None:
        secret_id = self.disk.secret_id()
        if secret_id is None:
            return
        token = await self.logins.login(self.disk.role_id(), secret_id)
        self._seen = self._own = token.value
        self._renew_at = self.clock.now() + token.life / 2

    async def _renew(self) -> None:
        if self._renew_at is None or self.clock.now() < self._renew_at:
            return
        try:
            life = await self.logins.renew(self._own)
        except PermissionDeniedError:
            # Over: the next round logs in anew.
            self.files.remove(self.path)
            self._seen = self._own = ""
            self._renew_at = None
            return
        self._renew_at = self.clock.now() + life / 2

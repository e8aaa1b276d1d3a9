"""The time that the authority destroys by: its own and OpenBao's, when they agree."""

from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.decisions.agreed_time import Agreement, Reading, agreed_at, follow
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.runtime.logs import get_logger


class AgreedTime:
    """Reads both clocks when asked, and remembers since when they agree.

    Args:
        store: Tells OpenBao's time.
        clock: This process's.
        skew: How far they may differ.
    """

    def __init__(self, store: SecretStore, clock: Clock, skew: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._skew = skew
        self._agreement: Agreement | None = None
        self._is_told = False
        self._log = get_logger(kind="clock")

    def watch(self) -> None:
        """Look at this process's clock; to be called each round, or a step goes unseen."""
        reading = Reading(self._clock.now(), None, self._clock.monotonic())
        self._agreement = follow(self._agreement, reading, self._skew)

    async def read(self) -> datetime | None:
        """Return the agreed time, ``None`` while it is not known; fails never."""
        try:
            stores = await self._store.server_time()
        except SecureTransportError as error:
            self._agreement = None
            self._log.info("store_time_unknown", reason=str(error))
            return None
        reading = Reading(self._clock.now(), stores, self._clock.monotonic())
        self._agreement = follow(self._agreement, reading, self._skew)
        if self._agreement is None and not self._is_told:
            self._log.error(
                "clocks_disagree",
                own=reading.wall.isoformat(),
                openbao=stores.isoformat(),
                action="no key is destroyed; set the clock of this machine or of OpenBao",
            )
        self._is_told = self._agreement is None
        return agreed_at(self._agreement, self._skew)

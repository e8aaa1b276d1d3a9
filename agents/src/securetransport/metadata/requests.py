"""Requests that wait for the authority: one lane per writer, served in turn, paced.

The servers let each service publish on its own subject only, so the subject tells who wrote, before
any signature is looked at. Rules:

1. A lane holds :data:`MOST_WAITING` requests; what comes to a full one is dropped and counted. Its
   writer is told nothing and finds its bundle's copy in OpenBao, as when the bus is down.
2. Lanes are served in turn, one request each, so who floods waits for itself.
3. A lane is served :data:`_PER_SECOND` times a second at most: what a writer can make the authority
   compute, and ask of OpenBao, has a bound, however long it floods.
4. Lanes are bounded, too; an empty one is forgotten once its pace allows the next request.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from securetransport.core.ports import Clock, Message
from securetransport.runtime.logs import get_logger
from securetransport.runtime.supervisor import Wakeup

MOST_WAITING: Final = 64
MOST_WRITERS: Final = 4096
_PER_SECOND: Final = 50
_PAUSE_SECONDS: Final = 1 / _PER_SECOND
_LOG_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Lane:
    waiting: deque[Message] = field(default_factory=deque)
    free_at: float = 0.0
    dropped: int = 0
    logged_at: float | None = None


class FairRequests:
    """Takes requests as they come, gives them out in turn."""

    def __init__(self, clock: Clock, on_dropped: Callable[[], None]) -> None:
        self._clock = clock
        self._on_dropped = on_dropped
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._wakeup = Wakeup()
        self._log = get_logger(kind="exchange")

    def offer(self, writer: str, message: Message) -> bool:
        """Keep a request until its turn; tells whether there was room for it."""
        lane = self._lanes.get(writer)
        if lane is None:
            if len(self._lanes) >= MOST_WRITERS:
                self._on_dropped()
                return False
            lane = self._lanes[writer] = _Lane()
        if len(lane.waiting) >= MOST_WAITING:
            self._dropped(writer, lane)
            return False
        lane.waiting.append(message)
        self._wakeup.wake()
        return True

    async def take(self) -> Message:
        """Return the next request; waits until there is one whose turn has come."""
        while True:
            now = self._clock.monotonic()
            soonest: float | None = None
            for writer, lane in list(self._lanes.items()):
                if lane.free_at > now:
                    soonest = lane.free_at if soonest is None else min(soonest, lane.free_at)
                elif lane.waiting:
                    self._lanes.move_to_end(writer)
                    lane.free_at = now + _PAUSE_SECONDS
                    return lane.waiting.popleft()
                else:
                    del self._lanes[writer]
            await self._wakeup.wait(soonest - now if soonest is not None else _LOG_SECONDS)

    def _dropped(self, writer: str, lane: _Lane) -> None:
        self._on_dropped()
        lane.dropped += 1
        now = self._clock.monotonic()
        if lane.logged_at is None or now - lane.logged_at >= _LOG_SECONDS:
            self._log.warning("requests_over_quota", instance=writer, count=lane.dropped)
            lane.logged_at, lane.dropped = now, 0

"""One in-memory durable consumer: pull requests, acknowledgement deadlines, redelivery.

Rules, as nats-server 2.15 keeps them (measured; the contract suite shows each):

1. What must be delivered again goes before what is new. New messages wait while ``max_ack_pending``
   are out.
2. A delivery that is not settled within its wait is delivered again. The wait is ``ack_wait``, or,
   with a ``backoff`` list, the entry of this delivery (the last one repeats).
3. ``nak`` without a delay means at once. A delay *adds to* the list: the message comes after
   ``delay + backoff[this delivery] - ack_wait``, where a list's first entry is the ack wait.
4. ``in_progress`` starts the wait anew.
5. After ``max_deliver`` deliveries a message is not delivered again; the stream keeps it.
6. A pull request ends with its batch, or with status 408 when it expires. While it waits it gets a
   heartbeat (status 100) as often as it asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from securetransport.core.acl.subjects import contains
from securetransport.testing.bus.frames import Frame
from securetransport.testing.bus.records import Stored

_NANOSECONDS: Final = 1_000_000_000
_DEFAULT_ACK_WAIT_SECONDS: Final = 30.0
_DEFAULT_MAX_ACK_PENDING: Final = 1000
_MAX_WAITING: Final = 512


class Source(Protocol):
    """The stream of a durable."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def last_sequence(self) -> int:
        """Number of its newest message."""
        ...

    def get(self, sequence: int) -> Stored | None:
        """Return one message, ``None`` when it is gone."""
        ...

    def after(self, sequence: int) -> Iterator[Stored]:
        """Yield the messages from ``sequence`` on."""
        ...

    def settled(self, sequence: int) -> None:
        """Drop what this durable is done with, if the retention says so."""
        ...

    def note(self, durable: str, sequence: int, why: str) -> None:
        """Remember that a durable gave a message up."""
        ...


class Outlet(Protocol):
    """How messages of a durable reach whoever pulls."""

    def listens(self, reply: str) -> bool:
        """Tell whether a request's inbox is still subscribed to."""
        ...

    def status(self, frame: Frame) -> None:
        """Send a status."""
        ...

    def deliver(self, stored: Stored, frame: Frame) -> None:
        """Send a message of the stream."""
        ...


@dataclass(slots=True)
class _Request:
    reply: str
    batch: int
    expires_at: float | None
    heartbeat_seconds: float
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Out:
    """A delivery that is not settled; ``deadline`` is loop time, ``None`` while it waits to go."""

    deliveries: int
    deadline: float | None


class Durable:
    """One durable.

    Args:
        config: In the words of JetStream's API.
        source: Its stream.
        outlet: Where deliveries go.
    """

    def __init__(self, config: dict[str, Any], source: Source, outlet: Outlet) -> None:
        self.name = str(config.get("durable_name") or config["name"])
        self._source = source
        self._outlet = outlet
        self._out: dict[int, _Out] = {}
        self._again: deque[int] = deque()
        self._waiting: deque[_Request] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._delivered = 0
        is_new = config.get("deliver_policy") == "new"
        self._next = source.last_sequence + 1 if is_new else 1
        self.configure(config)

    def configure(self, config: dict[str, Any]) -> None:
        """Follow another configuration from now on; what is delivered stays delivered."""
        self.config = config
        filters = config.get("filter_subjects") or [config.get("filter_subject") or ">"]
        self.filters = [str(pattern) for pattern in filters]
        self._backoff: list[float] = [pause / _NANOSECONDS for pause in config.get("backoff") or ()]
        wait: float = config.get("ack_wait", 0) / _NANOSECONDS or _DEFAULT_ACK_WAIT_SECONDS
        self._ack_wait = self._backoff[0] if self._backoff else wait
        self._max_deliver = int(config.get("max_deliver", -1))
        self._max_out = int(config.get("max_ack_pending") or _DEFAULT_MAX_ACK_PENDING)
        self._is_explicit = config.get("ack_policy", "explicit") == "explicit"
        later = self._source.after(self._next)
        self._undelivered = sum(1 for stored in later if self._takes(stored))

    def wants(self, subject: str) -> bool:
        """Tell whether its filters take a subject."""
        return any(contains(pattern, subject) for pattern in self.filters)

    def _takes(self, stored: Stored) -> bool:
        return self.wants(stored.frame.subject)

    def is_done_with(self, sequence: int) -> bool:
        """Tell whether a message was delivered and settled."""
        return sequence < self._next and sequence not in self._out

    def info(self) -> dict[str, Any]:
        """Return its configuration and state, as the API does."""
        return {
            "stream_name": self._source.name,
            "name": self.name,
            "config": self.config,
            "num_pending": self._undelivered,
            "num_ack_pending": len(self._out),
            "num_redelivered": sum(1 for out in self._out.values() if out.deliveries > 1),
            "num_waiting": len(self._waiting),
            "delivered": {"consumer_seq": self._delivered, "stream_seq": self._next - 1},
        }

    def close(self) -> None:
        """End its timers; the requests learn that it is deleted."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            self._end(self._waiting[0], "409", "Consumer Deleted")

    def forget_requests(self) -> None:
        """Forget what was asked for, as a server that stops does."""
        for request in self._waiting:
            if request.timer is not None:
                request.timer.cancel()
        self._waiting.clear()

    # --- delivering --------------------------------------------------------------------------

    def added(self, stored: Stored) -> None:
        """Take note of a new message of the stream."""
        if self._takes(stored):
            self._undelivered += 1
            self.pump()

    def ask(self, reply: str, body: bytes) -> None:
        """Take a pull request (rule 6)."""
        options = _options(body)
        now = asyncio.get_running_loop().time()
        expires = options.get("expires", 0) / _NANOSECONDS
        request = _Request(
            reply,
            max(1, int(options.get("batch", 1))),
            now + expires if expires else None,
            options.get("idle_heartbeat", 0) / _NANOSECONDS,
        )
        self._waiting.append(request)
        if len(self._waiting) > _MAX_WAITING:
            self._end(request, "409", "Exceeded MaxWaiting")
            return
        self.pump()
        if request not in self._waiting:
            return
        if options.get("no_wait"):
            self._end(request, "404", "No Messages")
        else:
            self._wait(request)

    def pump(self) -> None:
        """Deliver while there are requests and messages."""
        while self._waiting:
            request = self._waiting[0]
            if not self._outlet.listens(request.reply):
                self._drop(request)
                continue
            stored = self._next_message()
            if stored is None:
                return
            self._deliver(stored, request)

    def _next_message(self) -> Stored | None:
        while self._again:
            sequence = self._again.popleft()
            out, stored = self._out.get(sequence), self._source.get(sequence)
            if out is None:
                continue
            if stored is None:
                del self._out[sequence]
            elif 0 < self._max_deliver <= out.deliveries:
                del self._out[sequence]
                self._source.note(self.name, sequence, "max deliveries")  # rule 5
            else:
                return stored
        if len(self._out) >= self._max_out:
            return None
        for stored in self._source.after(self._next):
            self._next = stored.sequence + 1
            if self._takes(stored):
                self._undelivered = max(0, self._undelivered - 1)
                return stored
        self._next = max(self._next, self._source.last_sequence + 1)
        self._undelivered = 0
        return None

    def _deliver(self, stored: Stored, request: _Request) -> None:
        out = self._out.setdefault(stored.sequence, _Out(0, None))
        out.deliveries += 1
        out.deadline = asyncio.get_running_loop().time() + self._wait_after(out.deliveries)
        self._delivered += 1
        nanoseconds = int(stored.stored_at.timestamp() * 1_000_000) * 1000
        facts = (out.deliveries, stored.sequence, self._delivered, nanoseconds, self._undelivered)
        reply = f"$JS.ACK.{self._source.name}.{self.name}." + ".".join(map(str, facts))
        if not self._is_explicit:
            del self._out[stored.sequence]
            self._source.settled(stored.sequence)
        self._arm()
        request.batch -= 1
        if request.batch:
            self._waiting.rotate(-1)
        else:
            self._drop(request)
        kept = stored.frame
        frame = Frame(kept.subject, kept.data, reply, kept.headers, inbox=request.reply)
        self._outlet.deliver(stored, frame)

    # --- pull requests -----------------------------------------------------------------------

    def _wait(self, request: _Request) -> None:
        """Set the timer of the next heartbeat or of the end."""
        loop = asyncio.get_running_loop()
        moments = [request.expires_at] if request.expires_at is not None else []
        if request.heartbeat_seconds:
            moments.append(loop.time() + request.heartbeat_seconds)
        if moments:
            request.timer = loop.call_at(min(moments), self._request_due, request)

    def _request_due(self, request: _Request) -> None:
        if request not in self._waiting:
            return
        if request.expires_at is not None and asyncio.get_running_loop().time() >= (
            request.expires_at
        ):
            self._end(request, "408", "Request Timeout")
            return
        if self._outlet.listens(request.reply):
            headers = {"Status": "100", "Description": "Idle Heartbeat"}
            self._outlet.status(Frame(request.reply, headers=headers))
            self._wait(request)
        else:
            self._drop(request)

    def _end(self, request: _Request, status: str, text: str) -> None:
        self._drop(request)
        headers = {
            "Status": status,
            "Description": text,
            "Nats-Pending-Messages": str(request.batch),
            "Nats-Pending-Bytes": "0",
        }
        self._outlet.status(Frame(request.reply, headers=headers))

    def _drop(self, request: _Request) -> None:
        if request.timer is not None:
            request.timer.cancel()
        # By identity: two requests may look the same.
        self._waiting = deque(known for known in self._waiting if known is not request)

    # --- acknowledgements --------------------------------------------------------------------

    def settle(self, sequence: int, body: bytes) -> None:
        """Take what a receiver says of a delivery; one that is settled already is left alone."""
        out = self._out.get(sequence)
        if out is None:
            return
        verb, _, rest = body.partition(b" ")
        if verb == b"-NAK":
            self._nak(sequence, out, rest)
        elif verb == b"+WPI":
            out.deadline = self._now() + self._wait_after(out.deliveries)  # rule 4
        elif verb in {b"", b"+ACK", b"+TERM"}:
            del self._out[sequence]
            if verb == b"+TERM":
                self._source.note(self.name, sequence, f"terminated: {rest.decode()}")
            self._source.settled(sequence)
        self._arm()
        self.pump()

    def _nak(self, sequence: int, out: _Out, rest: bytes) -> None:
        """Plan the next delivery (rule 3)."""
        delay = _options(rest).get("delay", 0) / _NANOSECONDS
        if delay <= 0:
            self._plan(sequence, out)
            return
        out.deadline = self._now() + delay + self._wait_after(out.deliveries) - self._ack_wait

    def _wait_after(self, deliveries: int) -> float:
        if not self._backoff:
            return self._ack_wait
        return self._backoff[min(deliveries, len(self._backoff)) - 1]

    def _plan(self, sequence: int, out: _Out) -> None:
        out.deadline = None
        if sequence not in self._again:
            self._again.append(sequence)

    def _arm(self) -> None:
        """Set the one timer to the next deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadlines = [out.deadline for out in self._out.values() if out.deadline is not None]
        if deadlines:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(min(deadlines), self._deadline_passed)

    def _deadline_passed(self) -> None:
        now = self._now()
        for sequence, out in sorted(self._out.items()):
            if out.deadline is not None and out.deadline <= now:
                self._plan(sequence, out)
        self._arm()
        self.pump()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _options(body: bytes) -> dict[str, Any]:
    """Return the options in a request; a bare number is a batch, nothing is one message."""
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    if isinstance(found, int):
        return {"batch": found}
    return found if isinstance(found, dict) else {}

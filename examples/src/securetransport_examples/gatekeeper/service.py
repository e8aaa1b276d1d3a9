"""What the gatekeeper does: a steady stream of requests, and what to think of the answers."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import ConfigError
from securetransport.messages.ledger import LedgerTable
from securetransport_examples.payloads import AuthRequest, RequestKind

MAX_RATE: Final = 10_000.0
_USERS: Final = 5000
_MAX_PENDING: Final = 50_000
LEDGER_TABLES: Final = (
    LedgerTable(
        "responses",
        "message_id TEXT PRIMARY KEY, request_id TEXT NOT NULL, at REAL NOT NULL,"
        " outcome TEXT NOT NULL",
    ),
    LedgerTable(
        "received_keys",
        "message_id TEXT PRIMARY KEY, at REAL NOT NULL, key_epoch INTEGER NOT NULL,"
        " key_id TEXT NOT NULL",
    ),
)
"""Which responses came, when (seconds since 1970), what they said, and with which keys."""
_OTHER_KINDS: Final = (RequestKind.PASSWORD, RequestKind.DEVICE)


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """What the control file asks for.

    Attributes:
        rate: Requests per second.
        stop: Send nothing, whatever the rate.
    """

    rate: float
    stop: bool

    @property
    def wanted(self) -> float:
        """The rate in force."""
        return 0.0 if self.stop else self.rate


def read_order(path: Path, default: LoadOrder) -> LoadOrder:
    """Return what the control file says, ``default`` when it does not exist.

    Raises:
        ConfigError: It is no JSON object of ``rate`` and ``stop``, or out of range.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return default
    except OSError as error:
        raise ConfigError([f"load.control_file: {path} cannot be read: {error}"]) from error
    try:
        found = json.loads(data)
        rate = float(found.get("rate", default.rate))
        stop = found.get("stop", False)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError([f"load.control_file: {path} is not JSON with rate and stop"]) from error
    if not 0 <= rate <= MAX_RATE or not isinstance(stop, bool):
        raise ConfigError([f"load.control_file: rate must be 0 to {MAX_RATE:.0f}, stop a boolean"])
    return LoadOrder(rate, stop)


class Pacer:
    """Says how many requests are due, without drifting and without bursts after a stall."""

    def __init__(self, longest_seconds: float = 0.25) -> None:
        self._longest = longest_seconds
        self._owed = 0.0
        self._last: float | None = None

    def due(self, rate: float, now: float) -> int:
        """Return how many requests to send at monotonic ``now``."""
        elapsed = 0.0 if self._last is None else min(now - self._last, self._longest)
        self._last = now
        self._owed += rate * elapsed
        count = int(self._owed)
        self._owed -= count
        return count


def make_request(number: int, otp_share: float) -> AuthRequest:
    """Return the ``number``-th request; kinds are mixed evenly, users repeat."""
    point = int.from_bytes(hashlib.sha256(b"kind %d" % number).digest()[:4], "big") / 2**32
    kind = RequestKind.OTP if point < otp_share else _OTHER_KINDS[number % len(_OTHER_KINDS)]
    user = f"user-{number % _USERS}"
    evidence = hashlib.sha256(f"{user} {number}".encode()).hexdigest()[:12]
    return AuthRequest(kind=kind, user=user, evidence=evidence)


class PendingRequests:
    """When requests were sent, to measure the answers; the oldest are forgotten when too many."""

    def __init__(self, limit: int = _MAX_PENDING) -> None:
        self._limit = limit
        self._sent: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many wait for an answer."""
        return len(self._sent)

    def sent(self, message_id: str, now: float) -> None:
        """Remember a request."""
        self._sent[message_id] = now
        while len(self._sent) > self._limit:
            self._sent.popitem(last=False)

    def answered(self, message_id: str, now: float) -> float | None:
        """Return how long a request took, ``None`` when it is not known."""
        started = self._sent.pop(message_id, None)
        return None if started is None else now - started

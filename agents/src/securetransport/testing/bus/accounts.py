"""Accounts of the in-memory servers: who listens where, and what crosses from one to the other.

Rules, as in ``core.acl.compile.broker``:

1. Of a queue group one member gets a message, in turn.
2. A request that nobody listens to is answered with status 503 at once.
3. What the system account exports as stream is delivered in the other account, too. A service that
   it exports is asked through a reply subject of the server, ``_R_.>``, good for one answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from securetransport.core.acl.compile.broker import EXPORTED_SERVICES, EXPORTED_STREAMS
from securetransport.core.acl.subjects import contains
from securetransport.testing.bus.frames import Frame

_MAX_MAPPED: Final = 10_000


@dataclass(eq=False, slots=True)
class Interest:
    """One subscription of one client.

    Attributes:
        subject: What it wants, wildcards allowed.
        queue: Its queue group; empty when it wants every message.
        deliver: Takes a message.
    """

    subject: str
    queue: str
    deliver: Callable[[Frame], None]


class Extension(Protocol):
    """A part of the server that takes messages itself: JetStream, the monitoring requests."""

    def take(self, frame: Frame) -> bool:
        """Handle a message; tells whether this was one of its subjects."""
        ...


class Account:
    """One account: its subscriptions, and the parts of the server that listen in it.

    Attributes:
        extensions: JetStream or the system requests, if they live in this account.
    """

    def __init__(self) -> None:
        self.extensions: list[Extension] = []
        self._interests: list[Interest] = []
        self._turns: dict[tuple[str, str], int] = {}

    def add(self, interest: Interest) -> None:
        """Let it take part."""
        self._interests.append(interest)

    def remove(self, interest: Interest) -> None:
        """End it; one that is not there is fine."""
        if interest in self._interests:
            self._interests.remove(interest)

    def listens(self, subject: str) -> bool:
        """Tell whether a client would get a message on ``subject``."""
        return any(contains(interest.subject, subject) for interest in self._interests)

    def route(self, frame: Frame) -> bool:
        """Deliver to clients and extensions; tells whether anybody took it."""
        found = [item for item in self._interests if contains(item.subject, frame.target)]
        for interest in self._chosen(found):
            interest.deliver(frame)
        if frame.inbox:
            return bool(found)  # from a stream: it is stored already
        taken = [extension.take(frame) for extension in self.extensions]
        return bool(found) or any(taken)

    def _chosen(self, found: Iterable[Interest]) -> list[Interest]:
        """Return everybody without a queue, and one of each group (rule 1)."""
        groups: dict[tuple[str, str], list[Interest]] = {}
        chosen = []
        for interest in found:
            if interest.queue:
                groups.setdefault((interest.queue, interest.subject), []).append(interest)
            else:
                chosen.append(interest)
        for key, members in groups.items():
            turn = self._turns.get(key, 0)
            self._turns[key] = turn + 1
            chosen.append(members[turn % len(members)])
        return chosen


class Accounts:
    """The application's account and the system account, with what crosses between them."""

    def __init__(self) -> None:
        self.app = Account()
        self.system = Account()
        self._mapped: OrderedDict[str, str] = OrderedDict()
        self._counter = 0

    def named(self, name: str) -> Account:
        """Return ``APP`` or ``SYS``."""
        return self.system if name == "SYS" else self.app

    def publish(self, account: Account, frame: Frame) -> None:
        """Route a message; whoever asked where nobody listens is told so (rule 2)."""
        is_taken = account.route(frame)
        if account is self.system:
            is_taken = self._from_system(frame) or is_taken
        elif frame.subject in EXPORTED_SERVICES:
            is_taken = self._ask_system(frame) or is_taken
        if not is_taken and frame.reply:
            account.route(
                Frame(frame.reply, headers={"Status": "503", "Nats-Subject": frame.subject})
            )

    def _from_system(self, frame: Frame) -> bool:
        """Deliver in the other account what is exported or answers one of its requests (rule 3)."""
        reply = self._mapped.pop(frame.subject, None)
        if reply is not None:
            return self.app.route(replace(frame, subject=reply, reply=""))
        if any(contains(pattern, frame.subject) for pattern in EXPORTED_STREAMS):
            return self.app.route(frame)
        return False

    def _ask_system(self, frame: Frame) -> bool:
        self._counter += 1
        mapped = f"_R_.{self._counter}" if frame.reply else ""
        if mapped:
            self._mapped[mapped] = frame.reply
            if len(self._mapped) > _MAX_MAPPED:
                self._mapped.popitem(last=False)
        return self.system.route(replace(frame, reply=mapped))

"""JetStream in memory: stores what is published on a stream's subjects, and answers its API.

Streams and durables are made as on a real server, by requests of a user who may: ``$JS.API.>``; or
by :meth:`JetStream.add_stream` and :meth:`JetStream.add_durable`. Answers have the fields that our
code and our modules read.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, Final

from securetransport.core.acl.subjects import overlaps
from securetransport.core.ports.clock import Clock
from securetransport.testing.bus.accounts import Account
from securetransport.testing.bus.administration import administration
from securetransport.testing.bus.durables import Durable
from securetransport.testing.bus.frames import Faults, Frame, Leg
from securetransport.testing.bus.records import ApiError, Stored
from securetransport.testing.bus.streams import Stream

_API: Final = "$JS.API."
_ACK: Final = "$JS.ACK."
_EOB: Final = {"Status": "204", "Description": "EOB"}
_NOT_FOUND: Final = {"Status": "404", "Description": "Message Not Found"}
_UNREADABLE: Final = {"Status": "408", "Description": "Bad Request"}
_NO_STREAM: Final = ApiError(404, 10059, "stream not found")
_NO_CONSUMER: Final = ApiError(404, 10014, "consumer not found")


class JetStream:
    """Every stream of one account.

    Attributes:
        streams: By name.
        is_available: Whether there is a leader; without one nobody listens.
    """

    def __init__(self, account: Account, clock: Clock, faults: Faults) -> None:
        self.streams: dict[str, Stream] = {}
        self.is_available = True
        self._account = account
        self._clock = clock
        self._faults = faults
        self._calls = administration(self)
        account.extensions.append(self)

    # --- making ------------------------------------------------------------------------------

    def add_stream(self, config: dict[str, Any]) -> Stream:
        """Make a stream; the same again is fine.

        Raises:
            ApiError: Another one has its name or its subjects.
        """
        made = Stream(config, self._clock)
        known = self.streams.get(made.name)
        if known is not None:
            if known.config != made.config:
                text = "stream name already in use with a different configuration"
                raise ApiError(400, 10058, text)
            return known
        self.check_overlap(made)
        self.streams[made.name] = made
        return made

    def add_durable(self, stream: str, config: dict[str, Any]) -> Durable:
        """Make a durable; one of that name is given its new configuration.

        Raises:
            ApiError: No such stream, or one of a work queue that shares messages with another.
        """
        source = self.stream(stream)
        made = Durable(config, source, _Outlet(self._account, self._faults))
        known = source.durables.get(made.name)
        others = [durable for durable in source.durables.values() if durable.name != made.name]
        if source.config["retention"] == "workqueue" and any(
            overlaps(mine, other)
            for durable in others
            for mine in made.filters
            for other in durable.filters
        ):
            raise ApiError(400, 10100, "filtered consumer not unique on workqueue stream")
        if known is not None:
            known.configure(config)
            return known
        source.durables[made.name] = made
        return made

    def check_overlap(self, made: Stream) -> None:
        """Return when no other stream has a subject of this one.

        Raises:
            ApiError: One has.
        """
        for other in self.streams.values():
            if other.name != made.name and any(
                overlaps(mine, theirs) for mine in made.subjects for theirs in other.subjects
            ):
                raise ApiError(400, 10065, "subjects overlap with an existing stream")

    def stream(self, name: str) -> Stream:
        """Return a stream.

        Raises:
            ApiError: There is none of this name.
        """
        if name not in self.streams:
            raise ApiError(_NO_STREAM.code, _NO_STREAM.err_code, _NO_STREAM.description)
        return self.streams[name]

    def durable(self, stream: str, name: str) -> Durable:
        """Return a durable.

        Raises:
            ApiError: There is none of this name.
        """
        found = self.stream(stream).durables.get(name)
        if found is None:
            raise ApiError(_NO_CONSUMER.code, _NO_CONSUMER.err_code, _NO_CONSUMER.description)
        return found

    def forget_requests(self) -> None:
        """Forget the pull requests of all durables, as servers that stop do."""
        for stream in self.streams.values():
            for durable in stream.durables.values():
                durable.forget_requests()

    # --- messages ----------------------------------------------------------------------------

    def take(self, frame: Frame) -> bool:
        """Handle a message of the account; tells whether it was JetStream's."""
        if not self.is_available:
            return False
        if frame.subject.startswith(_ACK):
            return self._settle(frame)
        if frame.subject.startswith(_API):
            return self._call(frame.subject.removeprefix(_API), frame)
        stream = self._stream_of(frame.subject)
        if stream is None:
            return False
        self._store(stream, frame)
        return True

    def _stream_of(self, subject: str) -> Stream | None:
        for stream in self.streams.values():
            if any(overlaps(pattern, subject) for pattern in stream.subjects):
                return stream
        return None

    def _store(self, stream: Stream, frame: Frame) -> None:
        body: dict[str, Any] = {"stream": stream.name}
        try:
            receipt = stream.store(Frame(frame.subject, frame.data, headers=frame.headers))
        except ApiError as error:
            body |= {"error": error.body(), "seq": 0}
        else:
            body["seq"] = receipt.sequence
            if receipt.is_duplicate:
                body["duplicate"] = True
        if frame.reply:
            answer = Frame(frame.reply, json.dumps(body).encode())
            self._faults.carry(Leg.RECEIPT, frame.subject, answer, self._send)

    def _settle(self, frame: Frame) -> bool:
        tokens = frame.subject.split(".")
        stream = self.streams.get(tokens[2])
        durable = stream.durables.get(tokens[3]) if stream is not None else None
        if durable is None:
            return False
        known = durable

        def settle(arrived: Frame) -> None:
            known.settle(int(tokens[5]), arrived.data)
            if arrived.reply:
                self._send(Frame(arrived.reply))

        self._faults.carry(Leg.ACK, frame.subject, frame, settle)
        return True

    def _send(self, frame: Frame) -> None:
        self._account.route(frame)

    # --- the API -----------------------------------------------------------------------------

    def _call(self, call: str, frame: Frame) -> bool:
        tokens = call.split(".")
        if call.startswith("CONSUMER.MSG.NEXT.") and len(tokens) == 5:
            return self._next(tokens[3], tokens[4], frame)
        if call.startswith("DIRECT.GET.") and len(tokens) >= 3:
            return self._direct(tokens[2], ".".join(tokens[3:]), frame)
        found = next((verb for verb in self._calls if f"{call}.".startswith(f"{verb}.")), None)
        if found is None:
            return False
        arguments = tokens[found.count(".") + 1 :]
        try:
            body = json.loads(frame.data or b"{}")
            answer = self._calls[found](arguments, body if isinstance(body, dict) else {})
        except ApiError as error:
            answer = {"error": error.body()}
        except (ValueError, IndexError):
            answer = {"error": ApiError(400, 10025, "invalid JSON").body()}
        if frame.reply:
            self._send(Frame(frame.reply, json.dumps(answer).encode()))
        return True

    def _next(self, stream: str, name: str, frame: Frame) -> bool:
        """Take a pull request; without that durable nobody listens there."""
        if stream not in self.streams or name not in self.streams[stream].durables:
            return False
        self.streams[stream].durables[name].ask(frame.reply, frame.data)
        return True

    def _direct(self, name: str, subject: str, frame: Frame) -> bool:
        """Answer a read without a consumer; nobody listens unless the stream allows it."""
        stream = self.streams.get(name)
        if stream is None or not stream.config["allow_direct"]:
            return False
        try:
            body = json.loads(frame.data) if frame.data else {}
            found = _read(stream, subject, body)
        except (ValueError, TypeError, AttributeError):
            self._send(Frame(frame.reply, headers=_UNREADABLE))
            return True
        for stored in found:
            headers = stored.facts(stream.name)
            self._send(Frame(frame.reply, stored.frame.data, headers=headers))
        if not found:
            self._send(Frame(frame.reply, headers=_NOT_FOUND))
        elif "multi_last" in body or "batch" in body:
            self._send(Frame(frame.reply, headers=_EOB))
        return True


class _Outlet:
    """Sends what a durable delivers into the account."""

    def __init__(self, account: Account, faults: Faults) -> None:
        self._account = account
        self._faults = faults

    def listens(self, reply: str) -> bool:
        """Tell whether a request's inbox is still subscribed to."""
        return self._account.listens(reply)

    def status(self, frame: Frame) -> None:
        """Send a status."""
        self._account.route(frame)

    def deliver(self, stored: Stored, frame: Frame) -> None:
        """Send a message of the stream, under its own subject to whoever pulls."""
        self._faults.carry(Leg.DELIVERY, stored.frame.subject, frame, self._send)

    def _send(self, frame: Frame) -> None:
        self._account.route(frame)


def _read(stream: Stream, subject: str, body: dict[str, Any]) -> list[Stored]:
    """Return what a direct read asks for, in stream order."""
    if subject:
        return stream.last_on(subject)[:1]
    if "multi_last" in body:
        found = {s.sequence: s for item in body["multi_last"] for s in stream.last_on(item)}
        return [found[number] for number in sorted(found)][: int(body.get("batch", 1024))]
    if "last_by_subj" in body:
        return stream.last_on(body["last_by_subj"])[-1:]
    if "next_by_subj" in body:
        wanted, start = body["next_by_subj"], int(body.get("seq", 1))
        later = (s for s in stream.after(start) if overlaps(wanted, s.frame.subject))
        return list(islice(later, int(body.get("batch", 1))))
    found_one = stream.get(int(body["seq"])) if "seq" in body else None
    return [found_one] if found_one is not None else []

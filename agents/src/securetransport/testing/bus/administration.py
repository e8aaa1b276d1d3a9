"""JetStream's API for making, changing, describing and deleting streams and durables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from securetransport.testing.bus.durables import Durable
from securetransport.testing.bus.records import ApiError
from securetransport.testing.bus.streams import Stream

_Body = dict[str, Any]
Call = Callable[[list[str], _Body], _Body]
"""Takes the rest of the subject and the body, returns the answer."""


class Managed(Protocol):
    """What is administered."""

    @property
    def streams(self) -> dict[str, Stream]:
        """By name."""
        ...

    def add_stream(self, config: _Body) -> Stream:
        """Make a stream."""
        ...

    def add_durable(self, stream: str, config: _Body) -> Durable:
        """Make a durable."""
        ...

    def check_overlap(self, made: Stream) -> None:
        """Return when no other stream has a subject of this one."""
        ...

    def stream(self, name: str) -> Stream:
        """Return a stream."""
        ...

    def durable(self, stream: str, name: str) -> Durable:
        """Return a durable."""
        ...


def administration(managed: Managed) -> dict[str, Call]:
    """Return every call by the tokens that name it; each raises ``ApiError``."""
    api = _Administration(managed)
    return {
        "INFO": lambda _, __: {"streams": len(managed.streams)},
        "STREAM.CREATE": lambda _, body: managed.add_stream(body).info() | {"did_create": True},
        "STREAM.UPDATE": lambda rest, body: api.update(rest[0], body),
        "STREAM.INFO": lambda rest, _: managed.stream(rest[0]).info(),
        "STREAM.DELETE": lambda rest, _: api.delete_stream(rest[0]),
        "STREAM.PURGE": lambda rest, _: api.purge(rest[0]),
        "STREAM.MSG.DELETE": lambda rest, body: api.delete_message(rest[0], body),
        "STREAM.NAMES": lambda _, __: _page("streams", sorted(managed.streams)),
        "STREAM.LIST": lambda _, __: _page("streams", [s.info() for s in api.streams()]),
        "CONSUMER.CREATE": lambda rest, body: api.add_durable(rest[0], body),
        "CONSUMER.DURABLE.CREATE": lambda rest, body: api.add_durable(rest[0], body),
        "CONSUMER.INFO": lambda rest, _: managed.durable(rest[0], rest[1]).info(),
        "CONSUMER.DELETE": lambda rest, _: api.delete_durable(rest[0], rest[1]),
        "CONSUMER.NAMES": lambda rest, _: _page("consumers", sorted(api.durables(rest[0]))),
        "CONSUMER.LIST": lambda rest, _: _page(
            "consumers", [durable.info() for durable in api.durables(rest[0]).values()]
        ),
    }


class _Administration:
    """What needs more than one line."""

    def __init__(self, managed: Managed) -> None:
        self._managed = managed

    def streams(self) -> list[Stream]:
        """Return every stream."""
        return list(self._managed.streams.values())

    def durables(self, stream: str) -> dict[str, Durable]:
        """Return the durables of a stream by name."""
        return self._managed.stream(stream).durables

    def add_durable(self, stream: str, body: _Body) -> _Body:
        """Make a durable; one that lives with its connection only is refused."""
        config = body.get("config")
        if not isinstance(config, dict) or not (config.get("durable_name") or config.get("name")):
            raise ApiError(400, 10012, "consumer config required")
        return self._managed.add_durable(stream, config).info()

    def update(self, name: str, config: _Body) -> _Body:
        """Change a stream, where that is possible."""
        known = self._managed.stream(name)
        wanted = Stream(config, known.clock)
        self._managed.check_overlap(wanted)
        for field in ("retention", "storage"):
            if wanted.config[field] != known.config[field]:
                text = f"stream configuration update can not change {field} policy"
                raise ApiError(500, 10052, text)
        known.config = wanted.config
        return known.info()

    def delete_stream(self, name: str) -> _Body:
        """Delete a stream with its durables."""
        for durable in list(self.durables(name)):
            self.delete_durable(name, durable)
        del self._managed.streams[name]
        return {"success": True}

    def delete_durable(self, stream: str, name: str) -> _Body:
        """Delete a durable; who pulls from it learns that."""
        self._managed.durable(stream, name).close()
        del self._managed.streams[stream].durables[name]
        return {"success": True}

    def purge(self, name: str) -> _Body:
        """Delete all messages, if the stream allows it."""
        stream = self._managed.stream(name)
        if stream.config["deny_purge"]:
            raise ApiError(500, 10110, "message purge not permitted")
        return {"success": True, "purged": stream.purge()}

    def delete_message(self, name: str, body: _Body) -> _Body:
        """Delete one message, if the stream allows it."""
        stream = self._managed.stream(name)
        if stream.config["deny_delete"]:
            raise ApiError(500, 10109, "message delete not permitted")
        if not stream.delete(int(body.get("seq", 0))):
            raise ApiError(400, 10043, "no message found")
        return {"success": True}


def _page(name: str, entries: list[Any]) -> _Body:
    return {name: entries, "total": len(entries), "offset": 0, "limit": len(entries)}

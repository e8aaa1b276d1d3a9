# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams and durables of JetStream: what is there, what is wanted, one call between them.

Rules:

1. Fields are those of JetStream's API, in its units: durations are nanoseconds.
2. A field that is not given has the server's default, so a change made by hand is taken back.
3. What the server adds by itself (metadata, the default duplicate window) is not compared.
4. A field that cannot change on an existing object is an error before any call changes something.
5. What JetStream would refuse, or delete messages for, is an error before that, too
   (:mod:`.possible`).
6. Nothing is removed: a stream that nobody names any more may still hold messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from .._errors import ImmutableFieldError, PlatformError
from .._outcome import Outcome, Step, ensure_each
from .._values import subject_token
from .client import JetStream
from .possible import look, refuse_impossible

_DURATIONS: Final = frozenset(
    {"max_age", "duplicate_window", "ack_wait", "backoff", "inactive_threshold"}
)
_ADDED_BY_SERVER: Final = frozenset({"metadata", "duplicate_window"})
# What a server fills in where nothing is said; every other field's default is empty or -1.
_STREAM_DEFAULTS: Final[dict[str, Any]] = {
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "num_replicas": 1,
    "compression": "none",
}
_CONSUMER_DEFAULTS: Final[dict[str, Any]] = {
    "deliver_policy": "all",
    "ack_policy": "none",
    "ack_wait": 30_000_000_000,
    "max_ack_pending": 1000,
    "max_waiting": 512,
    "replay_policy": "instant",
}
_STREAM_FIXED: Final = ("storage", "retention", "max_consumers", "persist_mode", "mirror")
_STREAM_ONE_WAY: Final = ("deny_delete", "deny_purge", "sealed")
_CONSUMER_FIXED: Final = ("deliver_policy", "ack_policy", "replay_policy", "max_waiting")
_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, -1, "", [], {})


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream.

    Attributes:
        config: Its fields as JetStream's API names them, ``name`` among them.
    """

    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name.

        Raises:
            PlatformError: It has none that can be.
        """
        return subject_token(self.config.get("name"), option="name of a stream")


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable pull consumer.

    Attributes:
        stream_name: The stream that it reads.
        config: Its fields as JetStream's API names them, ``durable_name`` among them.
    """

    stream_name: str
    config: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Stream and durable as they follow in API subjects, joined by a dot.

        Raises:
            PlatformError: One of them is no name.
        """
        stream = subject_token(self.stream_name, option="stream_name of a consumer")
        name = self.config.get("durable_name")
        return f"{stream}.{subject_token(name, option=f'durable_name of a consumer of {stream}')}"


@dataclass(frozen=True, slots=True)
class LayoutSpec:
    """All streams and durables of a compiled ACL.

    Attributes:
        streams: The streams.
        consumers: The durables; their streams must exist or be among ``streams``.
    """

    streams: Sequence[StreamSpec]
    consumers: Sequence[ConsumerSpec]


def ensure_layout(jetstream: JetStream, spec: LayoutSpec, check_mode: bool) -> Outcome:
    """Make every stream and then every durable exist as described.

    Raises:
        PlatformError: JetStream would refuse one of them, or delete messages for it; the text says
            which, and nothing was changed.
    """
    for consumer in spec.consumers:
        _check_consumer(consumer)
    for stream in spec.streams:
        _check_numbers({"name": stream.name, **stream.config})
    if spec.streams or spec.consumers:
        refuse_impossible(
            look(jetstream, sorted({consumer.stream_name for consumer in spec.consumers})),
            [stream.config for stream in spec.streams],
            [(consumer.stream_name, consumer.config) for consumer in spec.consumers],
        )

    def steps() -> Iterator[Step]:
        for stream in spec.streams:
            yield f"stream {stream.name}", partial(ensure_stream, jetstream, stream)
        for consumer in spec.consumers:
            yield f"consumer {consumer.path}", partial(ensure_consumer, jetstream, consumer)

    return ensure_each(steps, check_mode)


def ensure_stream(jetstream: JetStream, spec: StreamSpec, check_mode: bool) -> Outcome:
    """Make a stream exist with exactly the fields given.

    Raises:
        PlatformError: A field cannot change, or JetStream refuses.
    """
    what = f"stream {spec.name}"
    _check_numbers(spec.config)
    current = jetstream.config_of(f"STREAM.INFO.{spec.name}")
    differences = _differences(current, spec.config, _STREAM_DEFAULTS)
    if current is not None:
        _refuse_fixed(what, _STREAM_FIXED, differences)
        _refuse_fixed(what, [name for name in _STREAM_ONE_WAY if current.get(name)], differences)
    if (current is None or differences) and not check_mode:
        verb = "CREATE" if current is None else "UPDATE"
        jetstream.call(f"STREAM.{verb}.{spec.name}", spec.config)
    return _outcome(current, differences)


def ensure_consumer(jetstream: JetStream, spec: ConsumerSpec, check_mode: bool) -> Outcome:
    """Make a durable pull consumer exist with exactly the fields given.

    Raises:
        PlatformError: A field cannot change, the stream is missing, or JetStream refuses.
    """
    _check_consumer(spec)
    wanted = {"name": spec.config["durable_name"], **spec.config}
    current = jetstream.config_of(f"CONSUMER.INFO.{spec.path}")
    differences = _differences(current, wanted, _CONSUMER_DEFAULTS)
    if current is not None:
        _refuse_fixed(f"consumer {spec.path}", _CONSUMER_FIXED, differences)
    if (current is None or differences) and not check_mode:
        action = "create" if current is None else "update"
        body = {"stream_name": spec.stream_name, "config": wanted, "action": action}
        jetstream.call(f"CONSUMER.CREATE.{spec.path}", body)
    return _outcome(current, differences)


def _check_consumer(spec: ConsumerSpec) -> None:
    """Refuse what needs no server to be refused.

    Raises:
        PlatformError: A number cannot be, or it is no pull consumer.
    """
    _check_numbers(spec.config)
    if spec.config.get("deliver_subject"):
        raise PlatformError("deliver_subject: only pull consumers are made")


def _check_numbers(config: Mapping[str, Any]) -> None:
    """Refuse numbers that JetStream would refuse, when something is in force already.

    Raises:
        PlatformError: A number is not whole, or a duration is no number of nanoseconds.
    """
    for field, value in sorted(config.items()):
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, float):
                raise PlatformError(f"{field}: {entry!r} is not a whole number")
            is_number = isinstance(entry, int) and not isinstance(entry, bool)
            if field in _DURATIONS and not (is_number and entry >= 0):
                raise PlatformError(f"{field}: {entry!r} is not a number of nanoseconds")


def _differences(
    current: Mapping[str, Any] | None, wanted: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return each field that differs with its value before and after."""
    if current is None:
        return {field: (None, value) for field, value in wanted.items()}
    target = {field: defaults.get(field) for field in current if field not in _ADDED_BY_SERVER}
    target.update(wanted)
    return {
        field: (current.get(field), value)
        for field, value in target.items()
        if not _is_same(current.get(field), value)
    }


def _is_same(one: Any, other: Any) -> bool:
    """Compare two values; nothing said and nothing set are the same."""
    if one in _NOTHING and other in _NOTHING:
        return True
    if isinstance(one, list) and isinstance(other, list) and all(isinstance(x, str) for x in one):
        return sorted(one) == sorted(other)
    return bool(one == other)


def _refuse_fixed(
    what: str, fixed: Sequence[str], differences: Mapping[str, tuple[Any, Any]]
) -> None:
    for field in fixed:
        if field in differences:
            raise ImmutableFieldError(what, field, *differences[field])


def _outcome(current: Mapping[str, Any] | None, differences: dict[str, tuple[Any, Any]]) -> Outcome:
    is_there = current is not None
    return Outcome(
        changed=not is_there or bool(differences),
        before={field: pair[0] for field, pair in differences.items()} if is_there else {},
        after={field: pair[1] for field, pair in differences.items()},
    )

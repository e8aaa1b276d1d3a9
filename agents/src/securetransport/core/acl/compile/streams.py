"""Compiles streams and durables: the platform's and the ACL's, in the words of JetStream's API.

Rules:

1. Every stream is a file stream with a size, refuses when full (``discard: new``: the publisher
   sees the error) and allows neither deletion nor purge of messages.
2. The duplicate window covers every instant at which a copy still passes the freshness check:
   signed times are accepted from ``clock_skew`` early to ``clock_skew + retry_limit`` late. It is
   not longer than the age of the stream, or NATS refuses it.
3. Durables acknowledge explicitly, have at most 1000 messages out, and give up after a bounded
   number of deliveries with growing distance; the SDK then parks the message.
4. How long a message may wait is the longest age of a stream and of the dead letters. It decides
   how long keys are kept, so it is computed here and nowhere else.

Durations are nanoseconds in the result, as in the API.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from securetransport.core.acl.model import Acl
from securetransport.core.base import names
from securetransport.core.base.errors import ConfigError
from securetransport.core.base.profile import Profile

_MIB = 1 << 20
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)

MAX_ACK_PENDING: Final = 1000
BACKOFF: Final = tuple(timedelta(seconds=s) for s in (5, 10, 20, 40, 60))
"""Distance of deliveries; the first is also the time a handler has, the last repeats."""
MAX_DELIVER: Final = 20
"""About 17 minutes of attempts, then the message is parked."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """What differs between streams; the rest follows from the rules above."""

    name: str
    subjects: tuple[str, ...]
    retention: str
    max_age: timedelta
    max_bytes: int
    per_subject: int
    max_message_bytes: int
    description: str


_PLATFORM: Final = (
    _Stream(
        names.STREAM_ATTESTATIONS,
        ("metadata.attest.>",),
        "limits",
        _DAY,
        64 * _MIB,
        1,
        256 << 10,
        "what every instance verifies with; the last per instance",
    ),
    _Stream(
        names.STREAM_CA_CLIENT,
        ("metadata.client.>",),
        "limits",
        _DAY,
        64 * _MIB,
        # Members read the last one only; a bounded history keeps a full stream from stopping a
        # rotation, which `discard: new` would do.
        128,
        256 << 10,
        "announcements of trust sets",
    ),
    _Stream(
        names.STREAM_ROTATION_LOG,
        ("audit.rotation.>",),
        "limits",
        30 * _DAY,
        256 * _MIB,
        -1,
        256 << 10,
        "every step of every rotation, hash-chained",
    ),
)


def _dead_letters(acl: Acl) -> _Stream:
    return _Stream(
        names.STREAM_DEAD_LETTERS,
        ("dlq.>",),
        "limits",
        timedelta(seconds=acl.dead_letter_seconds),
        256 * _MIB,
        -1,
        8 * _MIB,
        "messages that no delivery could settle",
    )


def longest_wait(acl: Acl) -> timedelta:
    """Return how long a message may wait to be read: in its stream, or as a dead letter (rule 4).

    Known weakness: the two may follow one another. A message that waited in its stream for longer
    than its key's validity outlasts its epoch, and was then parked, may outlive its key by that
    wait before its dead letter goes.
    """
    ages = [stream.max_age_seconds for stream in acl.streams.values()]
    return timedelta(seconds=max((acl.dead_letter_seconds, *ages)))


def duplicate_window(profile: Profile) -> timedelta:
    """Return how long a copy of a message could still pass the freshness check (rule 2)."""
    return 2 * profile.clock_skew + profile.retry_limit


def compile_streams(acl: Acl, profile: Profile, *, replicas: int = 3) -> list[dict[str, Any]]:
    """Return every stream's configuration, by name, ready for ``$JS.API.STREAM.CREATE``.

    Args:
        acl: The ACL.
        profile: For the freshness limit.
        replicas: Servers that keep a copy: 1, 3 or 5.

    Raises:
        ConfigError: A stream forgets before copies stop being fresh.
    """
    own = [
        _Stream(
            stream.name,
            stream.subjects,
            stream.retention,
            timedelta(seconds=stream.max_age_seconds),
            stream.max_bytes,
            -1,
            stream.max_message_bytes,
            "topics of the ACL",
        )
        for stream in acl.streams.values()
    ]
    dead_letters = _dead_letters(acl)
    window = duplicate_window(profile)
    found = [
        f"{place}.max_age_seconds: must be at least "
        f"{window.total_seconds():.0f} (2 * clock_skew + retry_limit of profile {profile.name!r})"
        for place, stream in (
            *((f"streams.{stream.name}", stream) for stream in own),
            ("dead_letters", dead_letters),
        )
        if stream.max_age < window
    ]
    if found:
        raise ConfigError(found)
    every = sorted((*_PLATFORM, dead_letters, *own), key=lambda stream: stream.name)
    return [_stream_config(stream, window, replicas) for stream in every]


def _stream_config(stream: _Stream, window: timedelta, replicas: int) -> dict[str, Any]:
    return {
        "name": stream.name,
        "description": stream.description,
        "subjects": list(stream.subjects),
        "retention": stream.retention,
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_age": _nanoseconds(stream.max_age),
        "max_bytes": stream.max_bytes,
        "max_msg_size": stream.max_message_bytes,
        "max_msgs": -1,
        "max_msgs_per_subject": stream.per_subject,
        "max_consumers": -1,
        "duplicate_window": _nanoseconds(window),
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": stream.retention == "limits",
        "allow_rollup_hdrs": False,
    }


def compile_consumers(acl: Acl, *, replicas: int = 3) -> list[dict[str, Any]]:
    """Return every durable as the body of a consumer create request, by stream and name.

    Each is ``{"stream_name": …, "config": {…}}``. A service that reads several topics of a stream
    by one durable gets one with several filters.
    """
    topics: dict[tuple[str, str], set[str]] = {}
    for spec in acl.services.values():
        for item in spec.consumes:
            topics.setdefault((acl.topics[item.topic], item.durable), set()).add(item.topic)
    return [
        {"stream_name": stream, "config": _consumer_config(durable, sorted(found), replicas)}
        for (stream, durable), found in sorted(topics.items())
    ]


def _consumer_config(durable: str, topics: list[str], replicas: int) -> dict[str, Any]:
    filters = {"filter_subject": topics[0]} if len(topics) == 1 else {"filter_subjects": topics}
    return {
        "durable_name": durable,
        "name": durable,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": _nanoseconds(BACKOFF[0]),
        "max_deliver": MAX_DELIVER,
        "backoff": [_nanoseconds(pause) for pause in BACKOFF],
        "max_ack_pending": MAX_ACK_PENDING,
        "replay_policy": "instant",
        "num_replicas": replicas,
        **filters,
    }


def storage_bytes(acl: Acl) -> int:
    """Return what one server must be able to store: the sum of every stream's ``max_bytes``."""
    own = sum(stream.max_bytes for stream in acl.streams.values())
    return own + sum(stream.max_bytes for stream in (*_PLATFORM, _dead_letters(acl)))


def _nanoseconds(span: timedelta) -> int:
    return span // _MICROSECOND * 1000

"""Compiles streams and durables: the platform's and the ACL's, in the words of JetStream's API.

Rules:

1. Every stream is a file stream with a size, refuses when full (``discard: new``: the publisher
   sees the error) and allows neither deletion nor purge of messages. An administrator may drop
   single dead letters.
2. The duplicate window covers every instant at which a copy still passes the freshness check:
   signed times are accepted from ``clock_skew`` early to ``clock_skew + retry_limit`` late. It is
   not longer than the age of the stream, or NATS refuses it.
3. Durables acknowledge explicitly and have at most 1000 messages out. They deliver again what was
   not settled within the ack wait, for as long as the stream keeps it, and add no pause of their
   own: when a message comes again, and when it is parked, is decided in
   ``core.decisions.member.settling`` and nowhere else.
4. How long a message may wait is the longest age of a stream and of the dead letters. It decides
   how long keys are kept, so it is computed here and nowhere else.

5. Dead letters have a quota: of each durable and producer the streams take so many that all of
   them, each as large as it can be, fit. So neither a producer nor a consumer fills what others
   need. Large ones lie apart, or a few of them would stand for many small ones.

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
from securetransport.core.formats.dead_letter import PARKING_ROOM_BYTES, SMALL_LETTER_BYTES
from securetransport.core.formats.envelope.size import MAX_MESSAGE_BYTES

_MIB = 1 << 20
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)

MAX_ACK_PENDING: Final = 1000
ACK_WAIT: Final = timedelta(seconds=5)
"""After this silence a message is delivered again; a handler that is at work breaks it."""
_ACCOUNTS_OF_NOBODY: Final = 3
"""Dead letters of a durable that no producer is answerable for (``names.ACCOUNT_…``)."""
LEAST_QUOTA: Final = 16
"""Dead letters of each durable and producer that are taken whatever their size."""


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
    may_delete: bool = False


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


def _dead_letters(acl: Acl) -> tuple[_Stream, _Stream]:
    small, large = dead_letter_quotas(acl)
    made = (
        (names.STREAM_DEAD_LETTERS, "dlq.*.*.*", small, SMALL_LETTER_BYTES),
        (names.STREAM_LARGE_LETTERS, f"dlq.*.*.*.{names.LARGE_LETTER}", large, 8 * _MIB),
    )
    first, second = (
        _Stream(
            name,
            (subject,),
            "limits",
            timedelta(seconds=acl.dead_letter_seconds),
            quota.room_bytes,
            quota.per_subject,
            largest,
            "messages that no delivery could settle",
            may_delete=True,
        )
        for name, subject, quota, largest in made
    )
    return first, second


@dataclass(frozen=True, slots=True)
class Quota:
    """What a stream of dead letters takes.

    Attributes:
        room_bytes: In all; 256 MiB, and more where that is less than :data:`LEAST_QUOTA` of each.
        per_subject: Messages of each durable and producer.
    """

    room_bytes: int
    per_subject: int

    @classmethod
    def of(cls, largest_bytes: int) -> Quota:
        """Return the quota when one message of every subject has so many bytes together."""
        room = max(256 * _MIB, LEAST_QUOTA * largest_bytes)
        return cls(room, room // max(largest_bytes, _MIB))


def dead_letter_quotas(acl: Acl) -> tuple[Quota, Quota]:
    """Return the quotas of small and of large dead letters (rule 5)."""
    producers: dict[str, int] = {}
    for spec in acl.services.values():
        for topic in spec.produces:
            producers[topic] = producers.get(topic, 0) + 1
    accounts: dict[tuple[str, str], int] = {}
    for spec in acl.services.values():
        for item in spec.consumes:
            place = (acl.topics[item.topic], item.durable)
            known = accounts.get(place, _ACCOUNTS_OF_NOBODY)
            accounts[place] = known + producers.get(item.topic, 0)
    large = sum(
        count * (min(acl.streams[stream].max_message_bytes, MAX_MESSAGE_BYTES) + PARKING_ROOM_BYTES)
        for (stream, _), count in accounts.items()
    )
    return Quota.of(sum(accounts.values()) * SMALL_LETTER_BYTES), Quota.of(large)


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
            ("dead_letters", dead_letters[0]),
        )
        if stream.max_age < window
    ]
    if found:
        raise ConfigError(found)
    every = sorted((*_PLATFORM, *dead_letters, *own), key=lambda stream: stream.name)
    return [_stream_config(stream, window, replicas) for stream in every]


def _stream_config(stream: _Stream, window: timedelta, replicas: int) -> dict[str, Any]:
    # The server leaves it out where it is off.
    quota = {"discard_new_per_subject": True} if stream.may_delete else {}
    return quota | {
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
        "deny_delete": not stream.may_delete,
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
        "ack_wait": _nanoseconds(ACK_WAIT),
        "max_deliver": -1,
        "max_ack_pending": MAX_ACK_PENDING,
        "replay_policy": "instant",
        "num_replicas": replicas,
        **filters,
    }


def storage_bytes(acl: Acl) -> int:
    """Return what one server must be able to store: the sum of every stream's ``max_bytes``."""
    own = sum(stream.max_bytes for stream in acl.streams.values())
    return own + sum(stream.max_bytes for stream in (*_PLATFORM, *_dead_letters(acl)))


def _nanoseconds(span: timedelta) -> int:
    return span // _MICROSECOND * 1000

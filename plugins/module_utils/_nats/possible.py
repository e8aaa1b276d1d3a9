# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What JetStream would refuse, or carry out at the price of messages: said before anything changes.

JetStream has no dry run, and by the time it refuses, users and bundles of the new ACL are in force.
So what it has is compared with what is wanted. Refused are:

1. A stream with subjects that another one keeps which is not wanted any more: it was renamed.
2. A smaller ``max_bytes`` than the stream holds, or a shorter ``max_age`` than its oldest message
   has: JetStream would delete messages at once.
3. A durable on a work queue beside another one that reads the same: it was renamed.
4. More room than the account may reserve.

Each line names the object and what to do. What changed is not looked at again: rules of single
fields are those of ``streams``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .. import _core
from .._errors import PlatformError
from .client import JetStream

_WORK_QUEUE: Final = "workqueue"
_MOST_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class Present:
    """What the servers have.

    Attributes:
        streams: Configuration and state of every stream, by name.
        consumers: Configurations of the durables of the wanted streams, by stream.
        storage_limit: Bytes that the account may reserve; ``None`` for no limit.
    """

    streams: Mapping[str, Mapping[str, Any]]
    consumers: Mapping[str, Sequence[Mapping[str, Any]]]
    storage_limit: int | None


def look(jetstream: JetStream, wanted: Sequence[str]) -> Present:
    """Ask the servers what they have.

    Args:
        jetstream: The connection.
        wanted: Names of the streams whose durables matter.

    Raises:
        PlatformError: They do not answer.
    """
    streams = {
        str(entry["config"]["name"]): entry for entry in _pages(jetstream, "STREAM.LIST", "streams")
    }
    consumers = {
        name: [entry["config"] for entry in _pages(jetstream, f"CONSUMER.LIST.{name}", "consumers")]
        for name in wanted
        if name in streams
    }
    limit = int(jetstream.call("INFO").get("limits", {}).get("max_storage", -1))
    return Present(streams, consumers, limit if limit > 0 else None)


def refuse_impossible(
    present: Present,
    streams: Sequence[Mapping[str, Any]],
    consumers: Sequence[tuple[str, Mapping[str, Any]]],
    now: datetime | None = None,
) -> None:
    """Return when everything can be carried out without a loss.

    Args:
        present: What the servers have.
        streams: Configurations wanted.
        consumers: Stream and configuration of every durable wanted.
        now: The time that ages are counted to; the machine's by default.

    Raises:
        PlatformError: Something cannot; the text has every line.
    """
    at = now or datetime.now(UTC)
    found = [
        *_renamed(present, streams),
        *_shrunk(present, streams, at),
        *_rival_durables(present, consumers),
        *_room(present, streams),
    ]
    if found:
        raise PlatformError("; ".join(found))


def _renamed(present: Present, streams: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = {str(stream["name"]) for stream in streams}
    for stream in streams:
        for other, entry in present.streams.items():
            if other in names:
                continue
            for subject in stream.get("subjects") or ():
                kept = [
                    s
                    for s in entry["config"].get("subjects") or ()
                    if _core.acl.subjects.overlaps(s, subject)
                ]
                if kept:
                    yield (
                        f"stream {stream['name']}: its subject {subject} is kept by stream {other}"
                        f" ({kept[0]}), which holds {_count(entry)} messages and is not in the ACL"
                        " any more; keep that name, or let it run empty and delete it first"
                    )


def _shrunk(present: Present, streams: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    for stream in streams:
        entry = present.streams.get(str(stream["name"]))
        if entry is None or not _count(entry):
            continue
        state, what = entry["state"], f"stream {stream['name']}"
        most, held = int(stream.get("max_bytes") or -1), int(state.get("bytes", 0))
        if 0 < most < held:
            yield f"{what}: max_bytes {most} is less than the {held} bytes it holds; messages would go"
        longest = int(stream.get("max_age") or 0)
        before = int(entry["config"].get("max_age") or 0)
        is_shorter = longest > 0 and (before == 0 or longest < before)
        oldest = now - _instant(str(state.get("first_ts", "")), now)
        if is_shorter and oldest > timedelta(microseconds=longest / 1000):
            yield (
                f"{what}: max_age {longest // 10**9} s is less than the age of its oldest message,"
                f" {oldest.total_seconds():.0f} s; messages would go; wait until they are read"
            )


def _rival_durables(
    present: Present, consumers: Sequence[tuple[str, Mapping[str, Any]]]
) -> Iterator[str]:
    wanted = {(stream, str(config["durable_name"])) for stream, config in consumers}
    for stream, config in consumers:
        entry = present.streams.get(stream)
        if entry is None or entry["config"].get("retention") != _WORK_QUEUE:
            continue
        for other in present.consumers.get(stream, ()):
            name = str(other.get("durable_name") or other.get("name"))
            if (stream, name) in wanted:
                continue
            if any(
                _core.acl.subjects.overlaps(a, b) for a in _filters(config) for b in _filters(other)
            ):
                yield (
                    f"consumer {stream}.{config['durable_name']}: durable {name}, which is not in"
                    " the ACL any more, reads the same of this work queue; keep that name, or"
                    " delete that durable first"
                )


def _room(present: Present, streams: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if present.storage_limit is None:
        return
    asked = sum(max(int(stream.get("max_bytes") or 0), 0) for stream in streams)
    if asked > present.storage_limit:
        yield (
            f"streams: max_bytes of all are {asked} together, and the account may reserve"
            f" {present.storage_limit}; lower one, or raise nats_max_file_bytes"
        )


def _filters(config: Mapping[str, Any]) -> tuple[str, ...]:
    several = tuple(config.get("filter_subjects") or ())
    return several or (str(config.get("filter_subject") or ">"),)


def _count(entry: Mapping[str, Any]) -> int:
    return int(entry.get("state", {}).get("messages", 0))


def _instant(text: str, otherwise: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text[:19] + "+00:00")
    except ValueError:
        return otherwise
    return found if found.year > 1 else otherwise


def _pages(jetstream: JetStream, subject: str, field: str) -> Iterator[Mapping[str, Any]]:
    offset = 0
    for _page in range(_MOST_PAGES):
        answer = jetstream.call(subject, {"offset": offset})
        page = answer.get(field) or []
        yield from page
        offset += len(page)
        if not page or offset >= int(answer.get("total", 0)):
            return

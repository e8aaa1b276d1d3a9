"""The rules of the ACL file beyond its shape, and how a breach is told to a person.

Rules (the tests name the numbers):

1. Names: streams are upper-case, topics two or more lower-case tokens without wildcard, services
   and foreign clients lower-case labels; the platform's names are not taken, a name has one role.
2. Subjects of streams are well formed, stay out of the platform's subjects and do not overlap.
3. A topic names a stream that exists and lies within its subjects.
4. A service produces and consumes topics that exist, each once.
5. A durable of a stream belongs to one service.
6. Every topic has a producer.
7. In a work queue a topic has at most one durable; NATS refuses a second consumer there.
8. Foreign clients publish and subscribe outside the platform's subjects; they may read the
   announcement of the trust set and the server reports.

Works on plain values, so that the YAML file and the signed document pass through the same rules.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any

from jsonschema import Draft202012Validator

from securetransport.core.acl.subjects import contains, overlaps
from securetransport.core.base import names

Path = tuple[str | int, ...]
Problem = tuple[Path, str]

RESERVED_FIRST_TOKENS = frozenset({"metadata", "observe", "watcher", "audit", "dlq"})
PLATFORM_STREAMS = frozenset(
    {
        names.STREAM_CA_CLIENT,
        names.STREAM_ATTESTATIONS,
        names.STREAM_ROTATION_LOG,
        names.STREAM_DEAD_LETTERS,
        names.STREAM_LARGE_LETTERS,
    }
)
FOREIGN_MAY_SUBSCRIBE = frozenset({names.SUBJECT_TRUST_NOTICE, names.SUBJECT_SERVER_REPORT})

_SUBJECT = re.compile(r"[a-z0-9][a-z0-9_-]*(\.([a-z0-9][a-z0-9_-]*|\*))*(\.>)?")


@cache
def schema_validator() -> Any:
    """Return the validator of ``acl.schema.json``; the file ships with the package."""
    text = files(__package__).joinpath("acl.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def dotted(path: Path) -> str:
    """Return a path as people write it: ``services.gatekeeper.consumes[0].topic``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def problems(document: Any) -> list[Problem]:
    """Return every breach with its place; empty when all is well.

    Args:
        document: The parsed file: maps, lists, strings and integers.
    """
    return list(_fractions(document, ())) + list(_shape(document)) or [
        *_names(document),
        *_streams(document),
        *_topics(document),
        *_services(document),
        *_durables(document),
        *_producers(document),
        *_foreign(document),
    ]


def _fractions(value: Any, path: Path) -> Iterator[Problem]:
    """Refuse every number that is not written as a whole one.

    JSON Schema takes 2.5e8 for an integer; the canonical form and JetStream do not.
    """
    if isinstance(value, float):
        hint = f"; write {int(value)}" if value.is_integer() else ""
        yield path, f"must be a whole number, not {value!r}{hint}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _fractions(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _fractions(item, (*path, position))


def _shape(document: Any) -> Iterator[Problem]:
    for error in sorted(
        schema_validator().iter_errors(document), key=lambda e: list(map(str, e.path))
    ):
        path: Path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = list(error.schema.get("properties", {}))
            for key in sorted(set(map(str, error.instance)) - set(known)):
                near = difflib.get_close_matches(key, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else f"; known: {', '.join(known)}"
                yield (*path, key), f"unknown key{hint}"
        elif error.validator == "required":
            missing = error.message.split("'")[1]
            yield path, f"key {missing!r} is missing"
        elif error.validator == "type":
            yield path, f"must be {_article(error.validator_value)}, not {error.instance!r}"
        elif error.validator == "const":
            yield path, f"must be {error.validator_value!r}, not {error.instance!r}"
        elif error.validator == "minProperties":
            yield path, "must not be empty"
        else:
            yield path, error.message


def _article(kind: str) -> str:
    words = {"object": "a map", "array": "a list", "string": "text", "integer": "a whole number"}
    return words.get(kind, kind)


def _names(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rule 1."""
    yield from _fault(names.parse_trust_domain, document["trust_domain"], ("trust_domain",))
    for stream in document["streams"]:
        yield from _fault(names.parse_stream, stream, ("streams", stream))
        if stream in PLATFORM_STREAMS:
            yield ("streams", stream), f"stream {stream} belongs to the platform"
    for topic in document["topics"]:
        yield from _fault(names.parse_topic, topic, ("topics", topic))
    for service, entry in document["services"].items():
        for position, item in enumerate(entry.get("consumes", [])):
            place: Path = ("services", service, "consumes", position, "durable")
            yield from _fault(names.parse_durable, item["durable"], place)
    yield from _identities(document)


def _fault(parse: Callable[[str], str], text: str, path: Path) -> Iterator[Problem]:
    try:
        parse(text)
    except ValueError as error:
        yield path, str(error)


def _identities(document: Mapping[str, Any]) -> Iterator[Problem]:
    foreign = document.get("foreign", {})
    for section, entries in (("services", document["services"]), ("foreign", foreign)):
        for service in entries:
            yield from _fault(names.parse_free_service, service, (section, service))
    for both in sorted(set(document["services"]) & set(foreign)):
        yield ("foreign", both), f"{both!r} is a service too; a name has one role"


def _streams(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rule 2."""
    seen: list[tuple[Path, str]] = []
    for stream, entry in document["streams"].items():
        for position, subject in enumerate(entry["subjects"]):
            path: Path = ("streams", stream, "subjects", position)
            fault = subject_fault(subject)
            if fault:
                yield path, fault
            else:
                seen.append((path, subject))
    for (_, one), (path, other) in combinations(seen, 2):
        if overlaps(one, other):
            yield path, f"subject {other!r} overlaps {one!r} of another entry"


def subject_fault(subject: str) -> str | None:
    """Return why ``subject`` is not an application's subject, ``None`` when it is one."""
    if not _SUBJECT.fullmatch(subject):
        return f"subject {subject!r} is not lower-case tokens joined by dots, beginning with a word"
    if subject.split(".", 1)[0] in RESERVED_FIRST_TOKENS:
        return f"subject {subject!r} lies in the platform's subjects"
    return None


def _topics(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rule 3."""
    for topic, entry in document["topics"].items():
        path: Path = ("topics", topic, "stream")
        stream = document["streams"].get(entry["stream"])
        if stream is None:
            yield path, f"stream {entry['stream']!r} is not defined under streams"
        elif not any(contains(subject, topic) for subject in stream["subjects"]):
            inside = ", ".join(stream["subjects"])
            yield path, f"topic {topic!r} is outside the subjects of {entry['stream']} ({inside})"


def _services(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rule 4."""
    for service, entry in document["services"].items():
        used: list[tuple[Path, str, str]] = [
            (("services", service, "produces", position), "produces", topic)
            for position, topic in enumerate(entry.get("produces", []))
        ]
        used += [
            (("services", service, "consumes", position, "topic"), "consumes", item["topic"])
            for position, item in enumerate(entry.get("consumes", []))
        ]
        seen: set[tuple[str, str]] = set()
        for path, verb, topic in used:
            if topic not in document["topics"]:
                yield path, f"topic {topic!r} is not defined under topics"
            if (verb, topic) in seen:
                yield path, f"topic {topic!r} is listed twice"
            seen.add((verb, topic))


def _durables(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules 5 and 7."""
    owner: dict[tuple[str, str], str] = {}
    reader: dict[str, str] = {}
    for service, entry in document["services"].items():
        for position, item in enumerate(entry.get("consumes", [])):
            topic, durable = item["topic"], item["durable"]
            if topic not in document["topics"]:
                continue
            path: Path = ("services", service, "consumes", position, "durable")
            stream = document["topics"][topic]["stream"]
            other = owner.setdefault((stream, durable), service)
            if other != service:
                yield path, f"durable {durable!r} of {stream} belongs to service {other!r} already"
            retention = document["streams"].get(stream, {}).get("retention", "workqueue")
            if reader.setdefault(topic, durable) != durable and retention == "workqueue":
                text = (
                    f"topic {topic!r} is read by durable {reader[topic]!r} already and {stream} is"
                )
                yield path, f"{text} a work queue; retention: interest would give each its copy"


def _producers(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rule 6."""
    produced = {
        topic for entry in document["services"].values() for topic in entry.get("produces", [])
    }
    for topic in document["topics"]:
        if topic not in produced:
            yield ("topics", topic), f"nobody may produce topic {topic!r}"


def _foreign(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Rule 8."""
    for client, entry in document.get("foreign", {}).items():
        for verb in ("publish", "subscribe"):
            for position, subject in enumerate(entry.get(verb, [])):
                if verb == "subscribe" and subject in FOREIGN_MAY_SUBSCRIBE:
                    continue
                fault = subject_fault(subject)
                if fault:
                    yield ("foreign", client, verb, position), fault

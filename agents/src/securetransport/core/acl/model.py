"""The ACL as values: streams, topics, services and foreign clients, and what follows for topics.

An :class:`Acl` exists only if it passed every rule of :mod:`securetransport.core.acl.check`. Its
canonical form (sorted JSON, no spaces) is what an administrator signs; the file's comments and
order do not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from securetransport.core.acl.check import dotted, problems
from securetransport.core.base.errors import ConfigError, NotFoundError
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.base.profile import MAX_DEAD_LETTER_AGE
from securetransport.core.formats.service_bundle import TopicRule

DEFAULT_RETENTION = "workqueue"
DEFAULT_REPLICAS = 1
DEFAULT_MAX_MESSAGE_BYTES = 1 << 20
DEFAULT_DEAD_LETTER_SECONDS = int(MAX_DEAD_LETTER_AGE.total_seconds())


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream of the ACL.

    Attributes:
        name: Upper-case name.
        subjects: What it stores, wildcards allowed.
        max_age_seconds: How long a message stays.
        max_bytes: Size at which the publisher gets an error.
        max_message_bytes: Largest message.
        retention: ``workqueue``, ``interest`` or ``limits``.
    """

    name: str
    subjects: tuple[str, ...]
    max_age_seconds: int
    max_bytes: int
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    retention: str = DEFAULT_RETENTION


@dataclass(frozen=True, slots=True, order=True)
class Consumption:
    """A topic with the durable it is pulled from."""

    topic: Topic
    durable: str


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What one service may do with topics, sorted, and how many instances it may have."""

    produces: tuple[Topic, ...] = ()
    consumes: tuple[Consumption, ...] = ()
    replicas: int = DEFAULT_REPLICAS


@dataclass(frozen=True, slots=True)
class ForeignSpec:
    """A client without the SDK: it cannot attest.

    Attributes:
        reason: Why it exists; printed by ``status``.
        trust_reload_seconds: How long after an announcement its trust is assumed to be new.
        publish: Subjects it may publish to.
        subscribe: Subjects it may subscribe to.
        replicas: How many instances it may have.
    """

    reason: str
    trust_reload_seconds: int
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    replicas: int = DEFAULT_REPLICAS


@dataclass(frozen=True, slots=True)
class Acl:
    """The whole file. Every map is sorted by key; dead letters stay ``dead_letter_seconds``."""

    trust_domain: str
    streams: Mapping[str, StreamSpec]
    topics: Mapping[Topic, str]
    services: Mapping[ServiceId, ServiceSpec]
    foreign: Mapping[ServiceId, ForeignSpec]
    dead_letter_seconds: int = DEFAULT_DEAD_LETTER_SECONDS

    @classmethod
    def from_plain(cls, document: Mapping[str, Any]) -> Acl:
        """Build from plain values that passed :func:`~securetransport.core.acl.check.problems`."""
        return cls(
            trust_domain=document["trust_domain"],
            streams={
                name: StreamSpec(
                    name=name,
                    subjects=tuple(sorted(entry["subjects"])),
                    max_age_seconds=entry["max_age_seconds"],
                    max_bytes=entry["max_bytes"],
                    max_message_bytes=entry.get("max_message_bytes", DEFAULT_MAX_MESSAGE_BYTES),
                    retention=entry.get("retention", DEFAULT_RETENTION),
                )
                for name, entry in sorted(document["streams"].items())
            },
            topics={Topic(t): entry["stream"] for t, entry in sorted(document["topics"].items())},
            services={
                ServiceId(name): ServiceSpec(
                    produces=tuple(sorted(map(Topic, entry.get("produces", [])))),
                    consumes=tuple(
                        sorted(
                            Consumption(Topic(item["topic"]), item["durable"])
                            for item in entry.get("consumes", [])
                        )
                    ),
                    replicas=entry.get("replicas", DEFAULT_REPLICAS),
                )
                for name, entry in sorted(document["services"].items())
            },
            foreign={
                ServiceId(name): ForeignSpec(
                    reason=entry["reason"],
                    trust_reload_seconds=entry["trust_reload_seconds"],
                    publish=tuple(sorted(entry.get("publish", []))),
                    subscribe=tuple(sorted(entry.get("subscribe", []))),
                    replicas=entry.get("replicas", DEFAULT_REPLICAS),
                )
                for name, entry in sorted(document.get("foreign", {}).items())
            },
            dead_letter_seconds=document.get("dead_letters", {}).get(
                "max_age_seconds", DEFAULT_DEAD_LETTER_SECONDS
            ),
        )

    @classmethod
    def from_canonical(cls, data: bytes) -> Acl:
        """Read what :meth:`canonical` wrote, by the same rules as the file.

        Raises:
            ConfigError: Not JSON, a rule is broken, or the bytes are not the canonical form.
        """
        source = "acl document"
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ConfigError([f"{source}: not JSON that can be read: {error}"]) from error
        found = problems(document)
        if found:
            raise ConfigError([f"{source}: {dotted(path)}: {text}" for path, text in found])
        acl = cls.from_plain(document)
        if acl.canonical() != data:
            raise ConfigError([f"{source}: not in canonical form"])
        return acl

    def to_plain(self) -> dict[str, Any]:
        """Return the file's structure with every default spelled out, but for what came later.

        The age of dead letters and the replicas did: an ACL that says nothing of them keeps its
        canonical form, and so its signature and digest.
        """
        dead_letters = (
            {}
            if self.dead_letter_seconds == DEFAULT_DEAD_LETTER_SECONDS
            else {"dead_letters": {"max_age_seconds": self.dead_letter_seconds}}
        )
        return dead_letters | {
            "version": 1,
            "trust_domain": self.trust_domain,
            "streams": {
                name: {
                    "subjects": list(stream.subjects),
                    "max_age_seconds": stream.max_age_seconds,
                    "max_bytes": stream.max_bytes,
                    "max_message_bytes": stream.max_message_bytes,
                    "retention": stream.retention,
                }
                for name, stream in self.streams.items()
            },
            "topics": {topic: {"stream": stream} for topic, stream in self.topics.items()},
            "services": {
                name: {
                    "produces": list(spec.produces),
                    "consumes": [
                        {"topic": item.topic, "durable": item.durable} for item in spec.consumes
                    ],
                }
                | _replicas(spec.replicas)
                for name, spec in self.services.items()
            },
            "foreign": {
                name: {
                    "reason": spec.reason,
                    "trust_reload_seconds": spec.trust_reload_seconds,
                    "publish": list(spec.publish),
                    "subscribe": list(spec.subscribe),
                }
                | _replicas(spec.replicas)
                for name, spec in self.foreign.items()
            },
        }

    def canonical(self) -> bytes:
        """Return the bytes that an administrator signs: sorted JSON without spaces, UTF-8."""
        return _canonical(self.to_plain())

    def digest(self) -> str:
        """Return the SHA-256 of the canonical form, hex."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def service(self, name: str) -> ServiceSpec:
        """Return one service.

        Raises:
            NotFoundError: The ACL has no such service.
        """
        spec = self.services.get(ServiceId(name))
        if spec is None:
            known = ", ".join(self.services)
            raise NotFoundError(f"service {name!r} is not in the ACL; it has {known}")
        return spec


def _replicas(number: int) -> dict[str, int]:
    return {} if number == DEFAULT_REPLICAS else {"replicas": number}


def topic_rules(acl: Acl) -> dict[Topic, TopicRule]:
    """Return who may produce and consume each topic, with the digest that messages carry."""
    return {topic: _rule(acl, topic) for topic in acl.topics}


def bundle_rules(acl: Acl, service: ServiceId) -> tuple[TopicRule, ...]:
    """Return the rules of every topic that ``service`` produces or consumes, by topic.

    Raises:
        NotFoundError: The ACL has no such service.
    """
    spec = acl.service(service)
    topics = {*spec.produces, *(item.topic for item in spec.consumes)}
    return tuple(_rule(acl, topic) for topic in sorted(topics))


def _rule(acl: Acl, topic: Topic) -> TopicRule:
    stream = acl.topics[topic]
    producers = tuple(name for name, spec in acl.services.items() if topic in spec.produces)
    consumers = {
        name: item.durable
        for name, spec in acl.services.items()
        for item in spec.consumes
        if item.topic == topic
    }
    body = _canonical(
        {
            "kind": "topic-rule.v1",
            "topic": topic,
            "stream": stream,
            "producers": producers,
            "consumers": consumers,
        }
    )
    return TopicRule(
        topic=topic,
        stream=stream,
        producers=producers,
        consumers=consumers,
        digest=hashlib.sha256(body).hexdigest(),
    )


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

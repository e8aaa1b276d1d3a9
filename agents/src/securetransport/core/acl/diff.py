"""What a new ACL changes, and which services must hear of it.

A service is affected when a right of its own changes, or the rule of a topic that it uses: a new
producer of a topic changes what its consumers accept. Nobody else gets a new bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from securetransport.core.acl.compile.broker import bus_rights
from securetransport.core.acl.model import Acl, bundle_rules
from securetransport.core.base.names import ServiceId

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class AclDiff:
    """The difference of two ACLs.

    Attributes:
        affected: Services and foreign clients whose rights or topic rules change, sorted; removed
            ones too.
        lines: One per change, as people read it: ``+`` new, ``-`` gone, ``~`` changed.
    """

    affected: tuple[ServiceId, ...]
    lines: tuple[str, ...]

    def __bool__(self) -> bool:
        """Tell whether anything changes."""
        return bool(self.lines)


def diff(old: Acl, new: Acl) -> AclDiff:
    """Compare two ACLs; comments and order of the files do not matter."""
    lines: list[str] = []
    if old.trust_domain != new.trust_domain:
        lines.append(f"~ trust_domain: {old.trust_domain} -> {new.trust_domain}")
    if old.dead_letter_seconds != new.dead_letter_seconds:
        change = f"{old.dead_letter_seconds} -> {new.dead_letter_seconds}"
        lines.append(f"~ dead_letters.max_age_seconds: {change}")
    lines += _entries("stream", old.streams, new.streams)
    lines += _entries("topic", old.topics, new.topics)
    lines += _rights(old, new)
    lines += _entries("foreign", old.foreign, new.foreign)
    everyone = sorted({*old.services, *new.services, *old.foreign, *new.foreign})
    affected = tuple(name for name in everyone if _facts(old, name) != _facts(new, name))
    return AclDiff(affected=affected, lines=tuple(lines))


def _entries(
    kind: str, before: Mapping[Name, object], after: Mapping[Name, object]
) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"+ {kind} {name}"
        elif name not in after:
            yield f"- {kind} {name}"
        elif before[name] != after[name]:
            yield f"~ {kind} {name}: {before[name]} -> {after[name]}"


def _rights(old: Acl, new: Acl) -> Iterator[str]:
    for name in sorted({*old.services, *new.services}):
        before, after = old.services.get(name), new.services.get(name)
        if before is None:
            yield f"+ service {name}"
        elif after is None:
            yield f"- service {name}"
        had = {f"produces {topic}" for topic in before.produces} if before else set()
        has = {f"produces {topic}" for topic in after.produces} if after else set()
        for spec, into in ((before, had), (after, has)):
            items = spec.consumes if spec else ()
            into.update(f"consumes {item.topic} by durable {item.durable}" for item in items)
        if before and after and before.replicas != after.replicas:
            yield f"~ {name} replicas: {before.replicas} -> {after.replicas}"
        yield from (f"+ {name} {right}" for right in sorted(has - had))
        yield from (f"- {name} {right}" for right in sorted(had - has))


def _facts(acl: Acl, name: ServiceId) -> object:
    """Return everything about one identity that its bundle, user and policy are made of."""
    rights = bus_rights(acl).get(name)
    rules = bundle_rules(acl, name) if name in acl.services else ()
    return acl.trust_domain, rights, rules

"""What becomes of a running platform when an ACL follows another: carried out, refused, or asked.

The rules are JetStream's, and those of the layout that asks it before an ACL comes into force:

1. A stream keeps its subjects and messages until somebody deletes it, so another one cannot take
   them: a rename is refused.
2. Retention cannot change.
3. Less room or a shorter age is refused while messages would have to go for it.
4. A durable stays, too; on a work queue another one cannot read the same beside it.
5. Everything else is carried out, and no message is lost: a removed service's messages wait in
   their stream until their age ends, and a service that is added again reads on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from securetransport.core.acl.model import Acl
from securetransport.core.acl.subjects import overlaps


class Answer(StrEnum):
    """What becomes of a change."""

    CARRIED_OUT = "carried out"
    REFUSED = "refused"
    ASKED = "asked of the servers"


@dataclass(frozen=True, slots=True)
class Consequence:
    """One change and what becomes of it.

    Attributes:
        what: The change.
        answer: What becomes of it.
        why: In a sentence, with the way out where it is refused.
    """

    what: str
    answer: Answer
    why: str

    def __str__(self) -> str:
        """Return the line that people read."""
        return f"{self.what}: {self.answer}: {self.why}"


def consequences(old: Acl, new: Acl) -> tuple[Consequence, ...]:
    """Return what becomes of each change that streams, durables or services see, by these rules."""
    return (*_streams(old, new), *_durables(old, new), *_services(old, new))


def _streams(old: Acl, new: Acl) -> Iterator[Consequence]:
    for name, stream in sorted(new.streams.items()):
        what, before = f"stream {name}", old.streams.get(name)
        if before is None:
            former = [
                other
                for other, entry in sorted(old.streams.items())
                if other not in new.streams
                and any(overlaps(a, b) for a in stream.subjects for b in entry.subjects)
            ]
            if former:
                why = f"{former[0]} keeps these subjects; keep its name, or empty and delete it"
                yield Consequence(what, Answer.REFUSED, why)
            else:
                yield Consequence(what, Answer.CARRIED_OUT, "it is made")
            continue
        if stream.retention != before.retention:
            why = "JetStream changes no retention; use another stream with other subjects"
            yield Consequence(f"{what}: retention", Answer.REFUSED, why)
        for field in ("max_bytes", "max_age_seconds"):
            was, will = getattr(before, field), getattr(stream, field)
            if will < was:
                why = f"refused while it holds what {was} -> {will} would delete"
                yield Consequence(f"{what}: {field}", Answer.ASKED, why)
            elif will > was:
                yield Consequence(f"{what}: {field}", Answer.CARRIED_OUT, f"{was} -> {will}")
    for name in sorted(set(old.streams) - set(new.streams)):
        why = "it stays, with its messages, until somebody deletes it"
        yield Consequence(f"stream {name}", Answer.CARRIED_OUT, why)


def _durables(old: Acl, new: Acl) -> Iterator[Consequence]:
    had, has = _readers(old), _readers(new)
    for (stream, durable), topics in sorted(has.items()):
        if (stream, durable) in had:
            continue
        is_queue = stream in old.streams and new.streams[stream].retention == "workqueue"
        rivals = [
            other
            for (place, other), read in sorted(had.items())
            if place == stream and (place, other) not in has and read & topics
        ]
        what = f"durable {durable} of {stream}"
        if is_queue and rivals:
            why = f"durable {rivals[0]} reads the same of this work queue; keep it, or delete it"
            yield Consequence(what, Answer.REFUSED, why)
        else:
            yield Consequence(what, Answer.CARRIED_OUT, "it is made")


def _services(old: Acl, new: Acl) -> Iterator[Consequence]:
    for name in sorted(set(new.services) - set(old.services)):
        yield Consequence(f"service {name}", Answer.CARRIED_OUT, "others are not interrupted")
    for name in sorted(set(old.services) - set(new.services)):
        why = "its user goes, messages for it wait until their age ends"
        yield Consequence(f"service {name} removed", Answer.CARRIED_OUT, why)


def _readers(acl: Acl) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for spec in acl.services.values():
        for item in spec.consumes:
            found.setdefault((acl.topics[item.topic], item.durable), set()).add(item.topic)
    return found

"""Faults by kind: remove, corrupt, expire, stop, freeze, misaddress, over everything there is.

A fault is named by what a person would have to repair: a path relative to the state directory or a
process, and words of which one must be in the line. Seeded, so a score can be repeated.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from expired import expired_copy
from scene import Scene

Inject = Callable[[Scene], None]
_ADDRESS = re.compile(rb"127\.0\.0\.1:(\d{5})")
_FURTHER = 74  # within the platform's hundred ports, beyond those that are used


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: What is done, in words.
        subjects: What the first line has to name; one of them.
        words: What it has to say of it; one of them.
        inject: Does it.
        settle_seconds: From then until an observer may be expected to see it.
    """

    name: str
    subjects: tuple[str, ...]
    words: tuple[str, ...]
    inject: Inject
    settle_seconds: float = 3.0

    def is_named_by(self, line: str) -> bool:
        """Whether a line tells the true cause."""
        says = line.lower()
        has_subject = any(subject.lower() in says for subject in self.subjects)
        return has_subject and any(word in says for word in self.words)


def generated(scene: Scene, seed: int, count: int) -> list[Fault]:
    """Return ``count`` faults: of each kind as many as there are, in a seeded order."""
    chance = random.Random(seed)  # noqa: S311  # a repeatable choice, no secret
    kinds = [
        list(_removed(scene)),
        list(_corrupted(scene, chance)),
        list(_expired(scene)),
        list(_stopped(scene)),
        list(_frozen(scene)),
        list(_misaddressed(scene)),
    ]
    for kind in kinds:
        chance.shuffle(kind)
    found: list[Fault] = []
    while len(found) < count and any(kinds):
        found += [kind.pop() for kind in kinds if kind]
    return found[:count]


def _removed(scene: Scene) -> Iterator[Fault]:
    for name in scene.files():
        yield Fault(
            f"remove {name}", (name,), ("missing",), lambda held, name=name: held.remove(name)
        )


def _corrupted(scene: Scene, chance: random.Random) -> Iterator[Fault]:
    for name in scene.files():
        content = scene.read(name)
        kinds = {
            "emptied": b"",
            "cut off": content[: len(content) // 2],
            "overwritten": chance.randbytes(48) + content[48:],
        }
        kind = chance.choice(sorted(kinds))
        broken = kinds[kind]
        yield Fault(
            f"{name} is {kind}",
            (name,),
            ("is not", "no ", "empty", "cannot", "does not", "unknown", "differs", "error"),
            lambda held, name=name, broken=broken: held.write(name, broken),
        )


def _expired(scene: Scene) -> Iterator[Fault]:
    for name in scene.files():
        if name.endswith(".crt"):
            yield Fault(
                f"{name} has ended",
                (name,),
                ("ended", "is over", "expired"),
                lambda held, name=name: held.write(name, expired_copy(held.state_dir, name)),
            )


def _stopped(scene: Scene) -> Iterator[Fault]:
    for process in scene.processes():
        yield Fault(
            f"stop {process}",
            (process,),
            ("stopped", "does not run"),
            lambda held, process=process: held.stop(process),
        )


def _frozen(scene: Scene) -> Iterator[Fault]:
    for process in scene.processes():
        yield Fault(
            f"freeze {process}",
            (process,),
            ("frozen", "suspended"),
            lambda held, process=process: held.freeze(process),
        )


def _misaddressed(scene: Scene) -> Iterator[Fault]:
    """One address of one file leads to a port where nobody listens."""
    for name in scene.files():
        content = scene.read(name)
        for place in _ADDRESS.finditer(content):
            port = int(place[1])
            wrong = port + _FURTHER
            broken = content[: place.start(1)] + str(wrong).encode() + content[place.end(1) :]
            yield Fault(
                f"{name}: {port} became {wrong}",
                (name,),
                (str(wrong),),
                lambda held, name=name, broken=broken: held.write(name, broken),
            )

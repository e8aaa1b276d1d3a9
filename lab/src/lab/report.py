"""Progress: what is being done, and what each part took; safe for several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Report:
    """Lines for a person, one when a part begins and one with its seconds when it ends.

    Attributes:
        out: Where lines go.
        parts: Name and seconds of each finished part, in the order of their ends.
    """

    out: TextIO
    parts: list[tuple[str, float]] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, line: str) -> None:
        """Print one line with the seconds since the beginning."""
        with self._lock:
            print(f"{time.monotonic() - self._begun:7.1f} s  {line}", file=self.out, flush=True)

    @contextmanager
    def part(self, name: str, *, announce: bool = False) -> Iterator[None]:
        """Time a part; a failed one leaves no line, its error says what happened.

        Args:
            name: What is done, such as ``"c1: node ready"``.
            announce: Also print a line at its beginning; for parts of more than a few seconds.
        """
        if announce:
            self.say(f"{name} ...")
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        with self._lock:
            self.parts.append((name, took))
        self.say(f"{name}: {took:.1f} s")

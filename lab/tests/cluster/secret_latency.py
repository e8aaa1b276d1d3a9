"""How long a changed Secret takes to be in the file of a pod that has it.

The file is read in the node, past the API: it is the same file that the pod sees.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from scene import C2, Space, node_pid, space

LIMIT_SECONDS = 90.0
PHASES_SECONDS = (5.0, 25.0, 45.0)
"""When the Secrets of the baseline change, after their pods were ready.

A kubelet looks after a pod at least every 60 to 90 s; three phases of that are a fair sample.
"""
_STEP_SECONDS = 0.01


def start(here: Space, names: Sequence[str]) -> dict[str, Path]:
    """Start a pod with a Secret for each name, and return the files to look at."""
    for name in names:
        here.apply("mounted-secret", name=name)
    here.wait("Ready", *[f"pod/{name}" for name in names])
    pods = Path(f"/proc/{node_pid(here.cluster)}/root/var/lib/kubelet/pods")
    below = "volumes/kubernetes.io~secret/secret/value"
    return {name: pods / here.look(f"pod/{name}", "{.metadata.uid}") / below for name in names}


def change(
    here: Space, name: str, file: Path, *, annotated: bool, stop: threading.Event | None = None
) -> float:
    """Change a Secret and return the seconds until its file has it, at most ``LIMIT_SECONDS``.

    Args:
        here: Where.
        name: Of the Secret and of its pod.
        file: What the pod sees.
        annotated: Also annotate the pod, which makes the kubelet look at once.
        stop: Set from elsewhere, it ends the wait.
    """
    value = f"changed at {time.time()}"
    begun = time.monotonic()
    here.run("patch", "secret", name, f'--patch={{"stringData": {{"value": "{value}"}}}}')
    if annotated:
        here.run("annotate", "pod", name, f"lab/secret-changed={begun}", "--overwrite")
    while (took := time.monotonic() - begun) < LIMIT_SECONDS:
        # The file is replaced by way of a link, so for a moment it may not be there.
        with suppress(FileNotFoundError):
            if file.read_text(encoding="utf-8") == value:
                return took
        if stop and stop.wait(_STEP_SECONDS):
            break
        if not stop:
            time.sleep(_STEP_SECONDS)
    return LIMIT_SECONDS


class Baseline:
    """Secrets that change with nobody annotating their pods, in threads of their own."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._waiting: list[Future[float]] = []

    def __enter__(self) -> Self:
        here = self._stack.enter_context(space(C2, "unannotated"))
        files = start(here, [f"slow-{number}" for number in range(len(PHASES_SECONDS))])
        pool = self._stack.enter_context(ThreadPoolExecutor(len(files)))

        def one(name: str, file: Path, phase: float) -> float:
            self._stop.wait(phase)
            return change(here, name, file, annotated=False, stop=self._stop)

        self._waiting = [
            pool.submit(one, name, file, phase)
            for (name, file), phase in zip(files.items(), PHASES_SECONDS, strict=True)
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._stack.close()

    def seconds(self) -> list[float]:
        """Wait for the results; one that took longer counts as ``LIMIT_SECONDS``."""
        return [future.result() for future in self._waiting]


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Return the distribution, in seconds."""
    parts = statistics.quantiles(samples, n=100, method="inclusive")
    named = {
        "min": min(samples),
        "median": statistics.median(samples),
        "p90": parts[89],
        "p99": parts[98],
        "max": max(samples),
    }
    return {name: round(value, 3) for name, value in named.items()}


def histogram(samples: Sequence[float], step_seconds: float = 0.1) -> list[str]:
    """Return one line for each step that has a sample, and for the steps between."""
    places = [int(sample / step_seconds) for sample in samples]
    return [
        f"{place * step_seconds:5.1f}-{(place + 1) * step_seconds:.1f} s"
        f"{places.count(place):>4} {'#' * places.count(place)}"
        for place in range(min(places), max(places) + 1)
    ]

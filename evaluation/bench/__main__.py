"""``python -m evaluation.bench``: the table; with ``--against PATH`` two checkouts in pairs."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from evaluation.bench import product, table
from evaluation.bench.cluster import Cluster, LaneNames
from evaluation.bench.figures import Comparison, Sample, compare
from evaluation.bench.lane import FULL_SPEED, ROOT, Checkout, lanes
from evaluation.errors import EvaluationError

OUT = ROOT / "build" / "bench"
THIS, OTHER = LaneNames("this"), LaneNames("other")
LOW_RATE = 50.0
LEAST_RATIO = 0.95
_SIGNATURES = 300


def measure(seconds: float) -> list[Sample]:
    """Return both kinds of traffic at full speed, half of it, and 50/s, in one run."""
    with (
        tempfile.TemporaryDirectory(prefix="securetransport-bench-") as folder,
        running(Path(folder), [THIS]) as cluster,
        lanes(cluster, [(THIS, Checkout(ROOT))]) as [lane],
    ):
        found = [lane.measure(mode, FULL_SPEED, seconds) for mode in ("plain", "protected")]
        half = round(found[-1].per_second / 2)
        for rate in (float(half), LOW_RATE):
            found += [lane.measure(mode, rate, seconds) for mode in ("plain", "protected")]
    return found


def pairs(other: Checkout, count: int, seconds: float) -> list[tuple[Sample, Sample]]:
    """Return samples at full speed of this checkout and another, interleaved in pairs."""
    wanted = [(THIS, Checkout(ROOT)), (OTHER, other)]
    with (
        tempfile.TemporaryDirectory(prefix="securetransport-bench-") as folder,
        running(Path(folder), [THIS, OTHER]) as cluster,
        lanes(cluster, wanted) as [this, that],
    ):
        found = []
        for number in range(count):
            order = (this, that) if number % 2 else (that, this)
            taken = {lane: lane.measure("protected", FULL_SPEED, seconds) for lane in order}
            found.append((taken[this], taken[that]))
    return found


@contextmanager
def running(folder: Path, names: Sequence[LaneNames]) -> Iterator[Cluster]:
    """Run a cluster for a while."""
    cluster = Cluster(folder, names)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def signatures() -> tuple[float, float]:
    """Return the milliseconds of one signature and of its verification, alone."""
    signing = product.load().signing
    key, message = signing.generate_signing_key(), b"x" * 400
    began = time.process_time()
    made = [key.sign(message) for _ in range(_SIGNATURES)]
    signed = time.process_time()
    for signature in made:
        signing.verify(key.algorithm, key.public_key, message, signature)
    return (
        (signed - began) / _SIGNATURES * 1000,
        (time.process_time() - signed) / _SIGNATURES * 1000,
    )


def show_table(console: Console, seconds: float) -> int:
    """Measure this checkout and show it."""
    found = measure(seconds)
    sign_ms, verify_ms = signatures()
    console.print(table.samples(found))
    for line in table.ratios(found, sign_ms, verify_ms):
        console.print(line, highlight=False)
    _keep({"samples": [asdict(one) for one in found], "sign_ms": sign_ms, "verify_ms": verify_ms})
    return 0


def show_comparison(console: Console, other: Checkout, count: int, seconds: float) -> int:
    """Measure both checkouts; 1 when this one is slower than :data:`LEAST_RATIO`."""
    if not other.python.exists():
        raise EvaluationError(f"{other.root} has no environment; `make env` there makes it")
    found = pairs(other, count, seconds)
    speed = compare([(this.per_second, that.per_second) for this, that in found])
    cost = compare([(this.total_ms, that.total_ms) for this, that in found])
    console.print(f"this checkout against {other.root}", highlight=False)
    console.print(table.samples([one for pair in found[-1:] for one in pair]))
    for name, value in (("messages per second", speed), ("CPU per message", cost)):
        console.print(table.comparison(name, value), highlight=False)
    _keep({"pairs": [[asdict(this), asdict(that)] for this, that in found]})
    return _judge(console, speed)


def _judge(console: Console, speed: Comparison) -> int:
    if speed.middle >= LEAST_RATIO:
        return 0
    console.print(f"slower than {LEAST_RATIO:g} of the other checkout", style="bold red")
    return 1


def _keep(content: object) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def main() -> int:
    """Run; exit code 1 for a checkout that became slower, 2 for no figures."""
    parser = argparse.ArgumentParser(prog="evaluation.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of each window; 8, or 3 in pairs")
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="another checkout whose environment is made"
    )
    parser.add_argument("--pairs", type=int, default=10, help="pairs of runs with --against")
    told = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # nats-py's TLS streams make it warn
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        if told.against is None:
            return show_table(console, told.seconds or 8.0)
        other = Checkout(told.against.resolve())
        return show_comparison(console, other, told.pairs, told.seconds or 3.0)
    except (EvaluationError, ValueError) as error:
        console.print(f"bench: {error}", markup=False)
        return 2


if __name__ == "__main__":
    sys.exit(main())

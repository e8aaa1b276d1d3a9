"""``python -m demo``: run the demo; exit code 0 for a good verdict, 1 for a bad one, 2 for none."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from demo.run import DEFAULT_PORT_BASE, FAULTS, STANDARD, DemoRun, perform

_LOAD_LIMIT_SECONDS = 540.0


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--limit",
        type=float,
        default=_LOAD_LIMIT_SECONDS,
        help="longest time under load, in seconds",
    )
    parser.add_argument(
        "--kill",
        default="",
        metavar="NAMES",
        help="comma-separated processes to kill one after the other, instead of the standard two",
    )
    parser.add_argument(
        "--port-base",
        type=int,
        default=DEFAULT_PORT_BASE,
        help="first of the hundred ports that the platform uses",
    )
    parser.add_argument(
        "--only-first-rotation",
        action="store_true",
        help="end when the first rotation under load is proven",
    )
    parser.add_argument(
        "--picture",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="write the picture of the first rotation here, too",
    )
    arguments = parser.parse_args()
    kills = tuple(name for name in arguments.kill.split(",") if name)
    return perform(
        DemoRun(
            Console(),
            arguments.limit,
            FAULTS if kills else STANDARD,
            kills,
            arguments.port_base,
            only_first=arguments.only_first_rotation,
            pictures=tuple(path.resolve() for path in arguments.picture),
        )
    )


if __name__ == "__main__":
    sys.exit(main())

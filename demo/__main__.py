"""``python -m demo``: run the demo; exit code 0 for a good verdict, 1 for a bad one, 2 for none."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from rich.console import Console

from demo.evidence import end_order
from demo.platform import DemoError
from demo.run import DEFAULT_PORT_BASE, FAULTS, STANDARD, Story, tell
from securetransport.core.base.errors import SecureTransportError

_LOAD_LIMIT_SECONDS = 540.0


def main() -> int:
    """Run the story once."""
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
    arguments = parser.parse_args()
    kills = tuple(name for name in arguments.kill.split(",") if name)
    console = Console()
    began = time.monotonic()
    wanted = FAULTS if kills else STANDARD
    story = Story(console, arguments.limit, wanted, kills, arguments.port_base)
    try:
        story.build()
        watcher, run, before = asyncio.run(story.load())
        asyncio.run(story.arrive())
        story.seconds["all"] = time.monotonic() - began
        verdict, data = story.judge(watcher, run, before)
    except (DemoError, SecureTransportError) as err:
        console.print(f"demo: {err}", markup=False)
        return 2
    end_order()
    tell(console, verdict, data)
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())

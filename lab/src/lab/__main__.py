"""Run the command line; an error that a person can act on is one line, then the log for it."""

from __future__ import annotations

import os
import signal
import sys
import textwrap

import typer

from lab import paths
from lab.errors import LabError


def main() -> None:
    """Run ``python -m lab``."""
    # At once, with no wait for what other threads do: whatever is half made, `down` can remove.
    signal.signal(signal.SIGINT, _interrupted)
    from lab.cli import app  # noqa: PLC0415  the imports take long enough to be interrupted

    try:
        app(prog_name="python -m lab")
    except LabError as error:
        typer.echo(f"lab: {error}", err=True)
        if error.log:
            typer.echo(textwrap.indent(error.log.rstrip(), "  "), err=True)
        sys.exit(error.exit_code)


def _interrupted(*_: object) -> None:
    is_there = os.geteuid() == 0 and paths.state().root.exists()
    rest = "; `python -m lab down` removes what is there" if is_there else ""
    os.write(sys.stderr.fileno(), f"\nlab: interrupted{rest}\n".encode())
    os._exit(130)


if __name__ == "__main__":
    main()

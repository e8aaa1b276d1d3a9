"""Run a program and return what it said; a failure tells which program and why."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import LabError

_TAIL_LINES = 15


def run(
    command: Sequence[str | Path],
    *,
    given: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limit_seconds: float = 120.0,
    log: Path | None = None,
) -> str:
    """Run a program to its end.

    Args:
        command: Program and arguments; no shell is involved.
        given: What it reads from its standard input.
        cwd: Where it runs.
        env: Variables to add to those of this process.
        limit_seconds: It is killed after that.
        log: File that gets its output, standard error included, instead of the return value.

    Returns:
        Its standard output; empty with ``log``.

    Raises:
        LabError: It is missing, failed, or took longer; ``log`` has the last lines it wrote.
    """
    words = [str(word) for word in command]
    try:
        if log is None:
            done = _captured(words, given, cwd, env, limit_seconds)
            output, errors = done.stdout, done.stderr
        else:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                done = subprocess.run(  # noqa: S603  the lab's own programs, no shell
                    words,
                    input=given,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=limit_seconds,
                    check=False,
                )
            output, errors = "", tail(log)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not on this machine", "install it") from error
    except subprocess.TimeoutExpired as error:
        what = f"{_name(words)} was not done after {limit_seconds:.0f} s"
        raise LabError(what, log=tail(log) if log else "") from error
    if done.returncode:
        lines = (errors or output).strip().splitlines()
        raise LabError(
            f"{_name(words)} failed with {done.returncode}: {lines[-1] if lines else 'no output'}",
            log="\n".join(lines[-_TAIL_LINES:]),
        )
    return output


def _captured(
    words: list[str],
    given: str | None,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    limit_seconds: float,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  the lab's own programs, no shell
        words,
        input=given,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=limit_seconds,
        check=False,
    )


def tail(file: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log; a missing one has none."""
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _name(words: list[str]) -> str:
    told = [Path(words[0]).name, *[word for word in words[1:] if not word.startswith("-")][:3]]
    return " ".join(told)

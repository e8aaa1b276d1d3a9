"""``securetransport acl``: check the ACL file, compare two, explain a right, print the matrix.

Works on files alone; nothing is sent anywhere. Exit codes: 0 fine or allowed, 1 denied or the file
cannot be read, 78 the file is wrong.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from securetransport.core.acl import (
    Acl,
    Answer,
    compile_consumers,
    compile_streams,
    consequences,
    diff,
    explain,
    load_acl,
    matrix,
)
from securetransport.core.base.errors import ConfigError, SecureTransportError
from securetransport.core.base.profile import PROFILES

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The ACL file: who may publish and consume what.",
)

FileArgument = Annotated[Path, typer.Argument(help="ACL file.", show_default=False)]


class Format(StrEnum):
    """How the matrix is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command()
def check(
    file: FileArgument,
    profile: Annotated[str, typer.Option(help="Check the streams against this profile too.")] = "",
) -> None:
    """Check the file; print one line per problem, or what it defines."""
    acl = _load(file)
    if profile:
        _check_streams(acl, profile)
    _say(
        f"{file}: ok, {len(acl.services)} services, {len(acl.topics)} topics, "
        f"{len(acl.streams)} streams, {len(compile_consumers(acl))} durables, "
        f"{len(acl.foreign)} foreign clients, digest {acl.digest()[:16]}"
    )


@app.command("diff")
def compare(
    old: Annotated[Path, typer.Argument(help="The ACL in force.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The ACL to come.", show_default=False)],
) -> None:
    """Print what changes, what becomes of it on a running platform, and who gets a new bundle.

    Exit 1 when something would be refused.
    """
    before, after = _load(old), _load(new)
    found = diff(before, after)
    for line in found.lines:
        _say(line)
    expected = consequences(before, after)
    for entry in expected:
        _say(f"= {entry}")
    _say(f"affected: {', '.join(found.affected) or 'nobody'}")
    if any(entry.answer is Answer.REFUSED for entry in expected):
        raise typer.Exit(1)


@app.command("explain")
def say_why(
    file: FileArgument,
    service: Annotated[str, typer.Argument(help="Service, client or platform identity.")],
    action: Annotated[
        str, typer.Argument(help="publish, subscribe; or create, read, update, delete, list.")
    ],
    subject: Annotated[str, typer.Argument(help="Subject on the bus, or path in OpenBao.")],
) -> None:
    """Say whether somebody may do something, and why; exit 1 when denied."""
    answer = explain(_load(file), service, action, subject)
    _say(answer)
    if answer.startswith("denied"):
        raise typer.Exit(1)


@app.command("matrix")
def print_matrix(
    file: FileArgument,
    as_format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    everything: Annotated[
        bool, typer.Option("--all", help="Denied rows too; the table shows allowed ones.")
    ] = False,
) -> None:
    """Print who may publish and subscribe to what."""
    rows = [row for row in matrix(_load(file)) if row.is_allowed or everything]
    if as_format is Format.JSON:
        _say(json.dumps([asdict(row) for row in rows], indent=2))
    elif as_format is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("service", "action", "subject", "allowed"))
        writer.writerows((r.service, r.action, r.subject, int(r.is_allowed)) for r in rows)
    else:
        width = max((len(row.service) for row in rows), default=0)
        for row in rows:
            mark = "" if not everything else "allow " if row.is_allowed else "deny  "
            _say(f"{mark}{row.service:<{width}}  {row.action:<9}  {row.subject}")


def _load(file: Path) -> Acl:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SecureTransportError(f"cannot read {file}: {reason}") from error
    return load_acl(text, source=str(file))


def _check_streams(acl: Acl, profile: str) -> None:
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise ConfigError([f"--profile: {profile!r} is unknown; known: {known}"])
    compile_streams(acl, PROFILES[profile])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")

"""``securetransport dlq``: messages that no delivery could settle.

What is replayed or dropped is written first to ``dlq.log`` beside the configuration, one JSON line
each, readable by its owner only. Exit codes: 0 done, 1 refused or not there, 78 the configuration
is wrong.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from securetransport.cli import letters
from securetransport.cli.letters import Letter
from securetransport.cli.session import clock, connection, read_deny_list, visit
from securetransport.cli.settings import DEFAULT_CONFIG, load_settings
from securetransport.core.base.errors import RejectedMessageError, SecureTransportError
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports import Connection

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Dead letters: messages that no delivery could settle.",
)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", envvar="SECURETRANSPORT_CONFIG", help="TOML file that says where things are."
    ),
]
Ids = Annotated[list[str], typer.Argument(help="As list prints them.", show_default=False)]
_Work = Callable[[Connection, DenyList], Awaitable[None]]
_PRIVATE = 0o600
_UNREADABLE = "unreadable"


@app.command("list")
def print_list(
    config: ConfigOption = DEFAULT_CONFIG,
    code: Annotated[str, typer.Option(help="Only those parked for this.")] = "",
    signer: Annotated[str, typer.Option(help="Only those of this service or account.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print dead letters, oldest first."""

    async def work(bus: Connection, _deny: DenyList) -> None:
        count = 0
        async for letter in letters.every_letter(bus):
            notes = letter.notes
            of = (notes.code, notes.signer) if notes is not None else (_UNREADABLE, "")
            if code not in {"", of[0]} or signer not in {"", of[1]}:
                continue
            _say(json.dumps(_facts(letter)) if as_json else _line(letter))
            count += 1
            if count == limit:
                break
        if not count and not as_json:
            _say("no dead letters")

    _run(config, work)


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As list prints it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Print what is known of one, its payload left out."""

    async def work(bus: Connection, _deny: DenyList) -> None:
        letter = await letters.one_letter(bus, letter_id)
        for name, value in _facts(letter).items():
            _say(f"{name:<12} {value}")
        try:
            header = letter.header()
        except RejectedMessageError as error:
            _say(f"{'message':<12} {error}")
            return
        for name in ("instance", "schema", "sequence", "key_id", "key_epoch", "sent_at", "suite"):
            _say(f"{name:<12} {getattr(header, name)}")

    _run(config, work)


@app.command()
def replay(
    ids: Ids,
    config: ConfigOption = DEFAULT_CONFIG,
    then_drop: Annotated[
        bool, typer.Option("--drop", help="Drop each when its stream has it.")
    ] = False,
) -> None:
    """Give letters out again; receivers make every check but that of their age."""

    async def work(bus: Connection, deny: DenyList) -> None:
        for text in ids:
            letter = await letters.one_letter(bus, text)
            material = letters.check_replay(letter, deny)
            _record(config, "replay", letter)
            is_new = await letters.give_out(bus, letter)
            _say(f"{letter.name}: " + ("replayed" if is_new else "was replayed a moment ago"))
            for name, value in material.items():
                _say(f"  {name:<12} {value}")
            if then_drop:
                _record(config, "drop", letter)
                await letters.drop(bus, letter)
                _say(f"{letter.name}: dropped")

    _run(config, work)


@app.command()
def drop(ids: Ids, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Remove letters for good."""

    async def work(bus: Connection, _deny: DenyList) -> None:
        for text in ids:
            letter = await letters.one_letter(bus, text)
            _record(config, "drop", letter)
            await letters.drop(bus, letter)
            _say(f"{letter.name}: dropped")

    _run(config, work)


def _run(config: Path, work: _Work) -> None:
    async def whole() -> None:
        settings = load_settings(config)
        async with visit(settings) as held:
            deny = await read_deny_list(settings, held.store)
            async with connection(settings, held) as bus:
                await work(bus, deny)

    asyncio.run(whole())


def _facts(letter: Letter) -> dict[str, str | int]:
    notes = letter.notes
    own: dict[str, str | int] = {"id": letter.name, "parked_at": letter.parked_at.isoformat()}
    if notes is None:
        return {**own, "code": _UNREADABLE, "bytes": len(letter.data)}
    return {
        **own,
        "code": notes.code,
        "reason": notes.reason,
        "signer": notes.signer,
        "subject": notes.subject,
        "stream": notes.stream,
        "durable": notes.durable,
        "number": notes.sequence,
        "stored_at": notes.stored_at.isoformat(),
        "deliveries": notes.deliveries,
        "message_id": notes.message_id,
        "bytes": len(letter.data),
    }


def _line(letter: Letter) -> str:
    notes, size = letter.notes, len(letter.data)
    at = letter.parked_at.strftime("%Y-%m-%d %H:%M:%S")
    if notes is None:
        return f"{letter.name:<9} {at}  {_UNREADABLE:<12} headers cannot be read, {size} bytes"
    return (
        f"{letter.name:<9} {at}  {notes.code:<12} {notes.signer:<20} "
        f"{notes.subject} for {notes.durable}, {size} bytes"
    )


def _record(config: Path, action: str, letter: Letter) -> None:
    """Write down what is about to be done.

    Raises:
        SecureTransportError: It could not be written; then it must not be done.
    """
    facts = {"at": clock().now().isoformat(), "by": getpass.getuser(), "action": action}
    line = json.dumps({**facts, **_facts(letter)}) + "\n"
    path = config.parent / "dlq.log"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
        with os.fdopen(handle, "a", encoding="utf-8") as log:
            log.write(line)
    except OSError as error:
        raise SecureTransportError(
            "cannot write down what would be done, so nothing is done",
            file=str(path),
            reason=error.strerror,
        ) from error


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")

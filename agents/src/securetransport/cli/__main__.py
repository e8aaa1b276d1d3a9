"""``securetransport``: status of the platform, its ACL, and an administrator's leaf."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from securetransport.cli import acl, dlq, view
from securetransport.cli.check import look, write
from securetransport.cli.explain import explain
from securetransport.cli.recovery import asked_shares, recovery_shares
from securetransport.cli.session import ask, connection, files, root_token, tls_probe, visit
from securetransport.cli.settings import DEFAULT_CONFIG, CliSettings, load_settings
from securetransport.core.base import names
from securetransport.core.base.errors import ConfigError, SecureTransportError
from securetransport.core.base.values import split_address
from securetransport.core.crypto.x509 import der_to_pem
from securetransport.core.ports import PortKind
from securetransport.core.trust import bundle as trust

_WATCH_SECONDS = 1.0
_ROUNDS_PER_CONNECTION = 6  # the connection does not attest, so it must be short

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
admin = typer.Typer(no_args_is_help=True, help="What only an administrator needs.")
app.add_typer(acl.app, name="acl")
app.add_typer(dlq.app, name="dlq")
app.add_typer(admin, name="admin")

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", envvar="SECURETRANSPORT_CONFIG", help="TOML file that says where things are."
    ),
]


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", help="Keep looking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show epochs and their gates, servers, members and keys."""
    settings = load_settings(config)
    if watch:
        asyncio.run(_watch(settings))
        return
    picture = asyncio.run(fetch_status(settings))
    if as_json:
        sys.stdout.write(json.dumps(picture, indent=2) + "\n")
    else:
        Console().print(view.render(picture))


@app.command()
def probe(
    address: Annotated[str, typer.Argument(help="host:port of a server.")],
    route: Annotated[bool, typer.Option("--route", help="It is a route port.")] = False,
) -> None:
    """Show which CA names a server lists to anybody; needs no credential and no platform."""
    try:
        host, port = split_address(address)
    except ValueError as err:
        raise ConfigError([f"address: {err}"]) from err
    kind: PortKind = "route" if route else "client"
    found = asyncio.run(tls_probe().probe(host, port, kind=kind, timeout_seconds=5.0))
    if found.error is not None:
        raise SecureTransportError("the probe failed", address=address, reason=found.error)
    sys.stdout.write(f"serves a leaf of  {found.issuer_common_name}\n")
    for name in sorted(found.ca_names):
        sys.stdout.write(f"lists             {name}\n")


@app.command()
def check(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is wrong with the platform, the cause first, and what to do; exit 1 if anything."""
    findings = look(config)
    write(findings, config, as_json=as_json)
    if findings:
        raise typer.Exit(1)


@app.command("explain")
def explain_reason(
    reason: Annotated[str, typer.Argument(help="A line or code as it was printed.")],
) -> None:
    """Say what a reason means: of /readyz, of status, of a refused message, of a check."""
    for entry in explain(reason):
        sys.stdout.write("\n".join(entry.lines()) + "\n")


@admin.command()
def leaf(
    out: Annotated[Path, typer.Option(help="Directory for admin.crt, admin.key and ca.crt.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write a short-lived leaf of ``admin`` and the trust set, for tools that manage streams."""
    asyncio.run(_write_leaf(load_settings(config), out))


@admin.command("root-token")
def make_root_token(
    socket: Annotated[Path, typer.Option(help="Socket of an OpenBao node, openbao-1.sock.")],
    out: Annotated[Path, typer.Option(help="File for the token; only you may read it.")],
    shares: Annotated[
        Path | None, typer.Option(help="recovery-keys.json; without it each share is asked for.")
    ] = None,
) -> None:
    """Make a root token of the recovery keys, when every other identity is lost."""
    keys = recovery_shares(shares) if shares is not None else asked_shares()
    files().write(out, root_token(socket, keys) + "\n")


async def fetch_status(settings: CliSettings) -> dict[str, Any]:
    """Return the authority's status."""
    async with visit(settings) as held, connection(settings, held) as bus:
        return await ask(bus, names.SUBJECT_STATUS)


async def _watch(settings: CliSettings) -> None:
    with Live(console=Console(), screen=False, auto_refresh=False) as live:
        while True:
            try:
                async with visit(settings) as held, connection(settings, held) as bus:
                    for _ in range(_ROUNDS_PER_CONNECTION):
                        live.update(view.render(await ask(bus, names.SUBJECT_STATUS)), refresh=True)
                        await asyncio.sleep(_WATCH_SECONDS)
            except SecureTransportError as err:
                at = datetime.now(UTC).strftime("%H:%M:%S")
                live.console.print(f"{at} {err}")
                await asyncio.sleep(_WATCH_SECONDS)


async def _write_leaf(settings: CliSettings, out: Path) -> None:
    async with visit(settings) as held:
        disk = files()
        disk.private_dir(out)
        anchors = "".join(der_to_pem(der) for der in trust.anchors(held.trust.body))
        disk.write(out / "admin.key", held.identity.private_key)
        disk.write(out / "admin.crt", held.identity.certificate)
        disk.write(out / "ca.crt", anchors)


def main() -> None:
    """Run the command; a known error is one line and exit code 1, wrong configuration 78."""
    # A terminal without a letter shows another one; it is no reason to fail half way.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ConfigError as err:
        for problem in err.problems:
            sys.stderr.write(f"securetransport: {problem}\n")
        sys.exit(ConfigError.EXIT_CODE)
    except SecureTransportError as err:
        sys.stderr.write(f"securetransport: {err}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

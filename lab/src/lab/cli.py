"""The lab's command line: ``python -m lab COMMAND``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from lab import down as take_down
from lab import events as event_log
from lab import faults, lock, paths, plan, preflight
from lab import status as state_of_things
from lab.errors import LabError
from lab.inside import enter
from lab.paths import State
from lab.plan import Cluster, clusters
from lab.report import Report

app = typer.Typer(
    help="Three real Kubernetes clusters on one Linux machine, for tests.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
image = typer.Typer(help="Container images.", no_args_is_help=True)
app.add_typer(image, name="image")

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[N]...", help="Numbers of clusters, 1 to 9.")
]
Number = Annotated[int, typer.Argument(metavar="N", help="Number of a cluster, 1 to 9.")]
Name = Annotated[str, typer.Argument(metavar="COMPONENT", help="Such as kubelet or etcd.")]


def _report() -> Report:
    return Report(sys.stderr)


def _state() -> State:
    preflight.require_root()  # the state is nobody else's to see
    return paths.state()


def _some(numbers: list[int] | None) -> tuple[Cluster, ...]:
    return clusters(numbers or plan.DEFAULT)


def _there(numbers: list[int] | None) -> tuple[Cluster, ...]:
    """Return the clusters named, or those of which something is there."""
    return clusters(numbers) if numbers else tuple(take_down.traces(_state()))


def _up(number: int) -> Cluster:
    """Return a cluster of which at least something is up."""
    cluster = Cluster(number)
    if not _state().of(cluster).root.is_dir():
        raise LabError(f"{cluster.name} is not up", f"`python -m lab up {number}`")
    return cluster


@app.command()
def check() -> None:
    """Tell whether this machine can carry the lab; exit code 3 if it is of a kind that cannot."""
    preflight.check(plan.clusters(), paths.state(), paths.cache())


@app.command()
def build(
    families: Annotated[
        list[str] | None, typer.Argument(metavar="[FAMILY]...", help="All that `up` needs if none.")
    ] = None,
) -> None:
    """Build programs, and without a name the images too, into the cache."""
    from lab import toolchain  # noqa: PLC0415  other commands do without the builders
    from lab.provision import provision  # noqa: PLC0415  as in build

    cache, report = paths.cache(), _report()
    if families:
        toolchain.ensure(cache, families, report)
    else:
        provision(cache, report)
    _print_times(report)


@app.command()
def up(numbers: Numbers = None) -> None:
    """Bring clusters up, 1 to 3 if none is named; those that are up stay as they are."""
    from lab.cluster import up as bring_up  # noqa: PLC0415  as in build
    from lab.cluster.site import Site  # noqa: PLC0415  as in build
    from lab.provision import provision  # noqa: PLC0415  as in build

    wanted, state, cache, report = _some(numbers), _state(), paths.cache(), _report()
    with lock.held(state):
        preflight.check(wanted, state, cache)
        try:
            bring_up.up(wanted, Site(provision(cache, report), state, cache, report))
        except LabError as error:
            if not state.root.exists():
                raise
            rest = "what is there stays for a look; `python -m lab down` removes it"
            remedy = f"{error.remedy}; {rest}" if error.remedy else rest
            raise LabError(error.what, remedy, error.log) from error
    _print_times(report)


@app.command()
def down(numbers: Numbers = None) -> None:
    """Take clusters away, all if none is named; nothing of them stays."""
    state, report = _state(), _report()
    with lock.held(state):
        take_down.down(state, _there(numbers), report)


@app.command()
def status(
    numbers: Numbers = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell how clusters are."""
    there = {cluster.number for cluster in _there(None)}
    wanted = clusters(numbers or sorted({*plan.DEFAULT, *there}))
    rows = state_of_things.status(_state(), wanted)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1, default=str))
        return
    _console().print(state_of_things.table(rows))
    for row in rows:
        if row.pods_not_ready:
            typer.echo(f"{row.name}, pods not ready: {', '.join(row.pods_not_ready)}")


@app.command()
def kubeconfig(
    numbers: Numbers = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Print one kubeconfig with a context for each.")
    ] = False,
) -> None:
    """Print the path of a cluster's kubeconfig: export KUBECONFIG=$(python -m lab kubeconfig 1)."""
    files = [_state().of(_up(each.number)).kubeconfig for each in _there(numbers)]
    if not files:
        raise LabError("nothing is up", "`python -m lab up`")
    typer.echo(merged(files) if merge else ":".join(map(str, files)))


def merged(files: list[Path]) -> str:
    """Return one kubeconfig made of several; its current context is the first one's."""
    parts = [yaml.safe_load(file.read_text()) for file in files]
    lists = ("clusters", "users", "contexts")
    return yaml.safe_dump(
        parts[0] | {name: [row for part in parts for row in part[name]] for name in lists},
        sort_keys=False,
    )


@app.command(
    "exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True}
)
def execute(
    number: Number, command: Annotated[list[str], typer.Argument(metavar="CMD...")]
) -> None:
    """Run a program in a node, with this terminal."""
    terminal = f"TERM={os.environ.get('TERM', 'dumb')}"
    program = command[1:] if command[0] == "--" else command
    words = enter(_state(), _up(number), ["/usr/bin/env", terminal, *program])
    os.execvp(words[0], words)  # noqa: S606  no shell: the words are the command


@app.command()
def logs(
    number: Number,
    component: Annotated[str, typer.Argument(help="Such as kubelet; `node` for all of it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n")] = 50,
) -> None:
    """Print the end of a component's log."""
    cluster = _up(number)
    folder = _state().of(cluster).log
    known = sorted(file.stem for file in folder.glob("*.log"))
    if component not in known:
        raise LabError(
            f"{cluster.name} has no log of {component}", f"there are {', '.join(known) or 'none'}"
        )
    words = ["tail", f"--lines={lines}", *(["--follow=name"] if follow else [])]
    os.execvp(words[0], [*words, "--", str(folder / f"{component}.log")])  # noqa: S606  as above


@app.command()
def partition(number: Number) -> None:
    """Pull a cluster's cable: nothing outside reaches it, nor it anything outside."""
    faults.partition(_state(), _up(number))


@app.command()
def heal(number: Number) -> None:
    """Plug a cluster's cable in again."""
    faults.heal(_state(), _up(number))


@app.command()
def kill(
    number: Number,
    component: Name,
    signal: Annotated[int, typer.Option(help="Number of the signal.")] = 9,
) -> None:
    """Kill a component; it is started again."""
    faults.kill(_state(), _up(number), component, signal)


@app.command()
def stop(number: Number, component: Name) -> None:
    """Stop a component until `start`."""
    faults.stop(_state(), _up(number), component)


@app.command()
def start(number: Number, component: Name) -> None:
    """Start a component that was stopped."""
    faults.start(_state(), _up(number), component)


@app.command()
def events(number: Number) -> None:
    """Tell what the lab did to a cluster, one JSON object a line."""
    for event in event_log.read(_state(), _up(number)):
        row = {"at": event.at.isoformat(timespec="milliseconds"), "what": event.what}
        typer.echo(json.dumps(row | event.detail))


@image.command("load")
def image_load(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE")],
    numbers: Numbers = None,
) -> None:
    """Import an image archive into running clusters, all if none is named."""
    from lab import images  # noqa: PLC0415  as in build

    wanted = _there(numbers)
    if not wanted:
        raise LabError("nothing is up", "`python -m lab up`")
    for cluster in wanted:
        for reference in images.load(_up(cluster.number), _state(), file):
            typer.echo(f"{cluster.name}: {reference}")


@image.command("list")
def image_list() -> None:
    """List the images with their digests; one that is missing is made if its programs are there."""
    from lab import images, toolchain  # noqa: PLC0415  as in build

    cache, report = paths.cache(), _report()
    if missing := toolchain.missing(cache, toolchain.REQUIRED):
        raise LabError(f"not built yet: {', '.join(missing)}", "`python -m lab build` does it")
    tools = toolchain.ensure(cache, toolchain.REQUIRED, report)
    made = images.ensure(cache, tools, images.REQUIRED, report)
    for name, digest in sorted(made.digests.items()):
        typer.echo(f"{images.REFERENCE.format(name=name)}  {digest}")


@app.command("cache")
def show_cache() -> None:
    """List what is in the cache and how large it is."""
    root = paths.cache()
    made = Table("entry", box=None, pad_edge=False)
    made.add_column("MiB", justify="right")
    for folder in (root.tools, root.roots, root.images, root.work):
        for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
            made.add_row(str(entry.relative_to(root.root)), f"{_size_bytes(entry) / 2**20:.1f}")
    _console().print(root.root)
    _console().print(made)


def _size_bytes(entry: Path) -> int:
    files = [entry] if entry.is_file() else entry.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _console(*, to_errors: bool = False) -> Console:
    """Return a console; in a file or a pipe a table has all the room it wants."""
    console = Console(stderr=to_errors, highlight=False)
    return console if console.is_terminal else Console(stderr=to_errors, width=200)


def _print_times(report: Report) -> None:
    made = Table("part", title="times", title_justify="left", box=None, pad_edge=False)
    made.add_column("s", justify="right")
    for name, took in report.parts:
        made.add_row(name, f"{took:.1f}")
    _console(to_errors=True).print(made)

"""How the status is drawn on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from securetransport.core.base.errors import SecureTransportError

_COLOURS = {
    "active": "bold green",
    "legacy": "cyan",
    "distributed": "yellow",
    "confirmed": "yellow",
    "prepared": "yellow",
    "planned": "yellow",
    "retired": "dim",
    "destroyed": "dim",
    "abandoned": "red",
}
_SHOWN_EPOCHS = 9


def render(status: dict[str, Any]) -> RenderableType:
    """Return the whole status as one renderable.

    Raises:
        SecureTransportError: It is not a status as this command knows it.
    """
    try:
        return Group(_headline(status), _epochs(status), _servers(status), _members(status))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as err:
        raise SecureTransportError(
            "the authority's status has another form than this command knows; use the command of"
            " the authority's version, or --json"
        ) from err


def _headline(status: dict[str, Any]) -> Panel:
    ca, keys, census = status["ca"], status["keys"], status["census"]
    following = ca["next"]
    text = Text()
    text.append(f"profile {status['profile']}   holder {status['holder']}   ")
    text.append(f"CA epoch {ca['active']}   rotations {ca['rotations_completed']}   ")
    text.append(f"key epoch {keys['epoch']}   connections {sum(census['by_epoch'].values())}")
    if census["unknown"]:
        text.append(f" + {census['unknown']} not attested", style="yellow")
    text.append(f"\nnext: {following['step']}")
    if following.get("epoch") is not None:
        text.append(f" of epoch {following['epoch']}")
    if following.get("until"):
        text.append(f", at the latest {_clock(following['until'])}")
    for line in following["waits_for"]:
        text.append(f"\n  waits for {line}", style="yellow")
    for server in status["servers"]:
        for peer in server.get("refused_routes", ()):
            text.append(
                f"\n  {server['server']} refused as a server: {peer['host']}, which calls itself"
                f" {peer['name'] or 'nothing'}, {peer['count']} times",
                style="red",
            )
    # An authority of an earlier version says nothing of them.
    for instance, reasons in status.get("secret_ids", {}).get("waiting", {}).items():
        text.append(f"\n  secret-id of {instance}: {'; '.join(reasons)}", style="yellow")
    return Panel(text, title=f"SecureTransport at {_clock(status['at'])}", title_align="left")


def _epochs(status: dict[str, Any]) -> Table:
    table = Table(title="CA epochs", title_justify="left", expand=True)
    for column in ("epoch", "state", "since", "issuer", "expires", "connections"):
        table.add_column(column)
    for entry in status["ca"]["epochs"][-_SHOWN_EPOCHS:]:
        state = entry["state"]
        table.add_row(
            str(entry["epoch"]),
            Text(state, style=_COLOURS.get(state, "")),
            _clock(entry["history"][-1]["at"]),
            entry["issuer"] or "",
            _clock(entry["not_after"]) if entry["not_after"] else "",
            str(entry["connections"]),
        )
    return table


def _servers(status: dict[str, Any]) -> Table:
    table = Table(title="Servers", title_justify="left", expand=True)
    for column in ("server", "trust set", "served leaf", "leaf until", "probed", "connections"):
        table.add_column(column)
    wanted = (status["ca"]["bundle"] or {}).get("digest")
    for entry in status["servers"]:
        digest = entry["digest"]
        style = "green" if digest == wanted else "yellow"
        names = entry["client_names"]
        table.add_row(
            entry["server"],
            Text((digest or "nothing")[:12], style=style),
            f"e{entry['leaf_epoch']}" if entry["leaf_epoch"] is not None else "none",
            _clock(entry["leaf_not_after"]) if entry["leaf_not_after"] else "",
            f"{len(names)} CA names" if names is not None else "unknown",
            str(entry["connections"]) if entry["connections"] is not None else "unknown",
        )
    return table


def _members(status: dict[str, Any]) -> Table:
    table = Table(title="Members", title_justify="left", expand=True)
    for column in ("instance", "trust set", "bundle", "leaf epochs", "attested"):
        table.add_column(column)
    wanted = (status["ca"]["bundle"] or {}).get("digest")
    for entry in status["members"]:
        style = "green" if entry["digest"] == wanted else "yellow"
        table.add_row(
            entry["instance"],
            Text(entry["digest"][:12], style=style),
            entry["bundle_version"],
            ", ".join(f"e{epoch}" for epoch in entry["leaf_epochs"]) or "unknown",
            f"{entry['attested_seconds_ago']:.0f} s ago",
        )
    return table


def _clock(instant: str) -> str:
    return instant[11:19]

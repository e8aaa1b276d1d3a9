"""Read and change network links by ``ip``; only links with the lab's mark are ever changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.names import MARK
from lab.run import run


@dataclass(frozen=True)
class Link:
    """One network link of the machine.

    Attributes:
        name: Its name.
        hardware: Its hardware address; empty where it has none.
        is_up: Whether it is set up, whatever the other end is.
        master: The bridge it is plugged into; empty for none.
        alias: What was written on it; empty for nothing.
    """

    name: str
    hardware: str
    is_up: bool
    master: str
    alias: str

    @property
    def is_ours(self) -> bool:
        """Whether the lab made it."""
        return self.hardware.startswith(MARK)


def links() -> dict[str, Link]:
    """Return the links of this network namespace by name."""
    return {link.name: link for link in map(_link, json.loads(run(["ip", "-json", "link"])))}


def _link(told: dict[str, Any]) -> Link:
    return Link(
        name=told["ifname"],
        hardware=told.get("address", ""),
        is_up="UP" in told.get("flags", []),
        master=told.get("master", ""),
        alias=told.get("ifalias", ""),
    )


def ip(lines: Sequence[str], *, pid: int | None = None) -> None:
    """Give ``ip`` several commands in one process.

    Args:
        lines: Commands without the leading ``ip``.
        pid: Work in the network namespace of this process instead of the machine's.

    Raises:
        LabError: One failed; those before it are done.
    """
    enter = ["nsenter", "--target", str(pid), "--net"] if pid is not None else []
    try:
        run([*enter, "ip", "-batch", "-"], given="\n".join(lines) + "\n")
    except LabError as error:
        said = error.log.splitlines()
        reason = said[0] if said else error.what
        raise LabError(f"the network of the lab cannot be set: {reason}", log=error.log) from error


def remove(name: str) -> bool:
    """Remove a link if it is there and the lab's.

    Returns:
        Whether it was there.

    Raises:
        LabError: A link of this name is not the lab's.
    """
    link = links().get(name)
    if link is None:
        return False
    if not link.is_ours:
        raise LabError(
            f"the link {name} was not made by the lab", f"see `ip link show {name}`, then rename it"
        )
    try:
        run(["ip", "link", "delete", name])
    except LabError:
        # A cable vanishes with the node's network namespace, perhaps just now.
        if name in links():
            raise
    return True

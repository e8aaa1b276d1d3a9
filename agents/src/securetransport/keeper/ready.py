"""``ready.json``: the keeper's word to ``exec-server`` that a server may start with the files."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, ValidationError

from securetransport.adapters.files import read_optional, write_atomic
from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.body import Document, Version
from securetransport.keeper.generations import READY, Generation, Generations

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Ready(Document):
    """What the keeper last verified.

    Attributes:
        server: Whose files.
        content: Digest of the verified files.
        leaf: SHA-256 of the leaf, hex.
        leaf_not_after: When it ends.
        bundle_version: Version of the trust bundle they were verified against.
        policy_version: Version of the broker policy they were verified against.
        machine_boot: The machine's boot id at that time, empty where there is none.
        verified_at: When.
    """

    server: str
    content: str
    leaf: Fingerprint
    leaf_not_after: AwareDatetime
    bundle_version: Version
    policy_version: Version
    machine_boot: str
    verified_at: AwareDatetime


def machine_boot() -> str:
    """Return an id that differs after each start of the machine; empty where there is none."""
    data = read_optional(_BOOT_ID)
    return data.decode().strip() if data else ""


def write_ready(managed: Path, server: str, generation: Generation, at: datetime) -> None:
    """State that ``generation`` was verified at ``at``."""
    facts = generation.facts
    ready = Ready(
        server=server,
        content=facts.content,
        leaf=facts.leaf.fingerprint,
        leaf_not_after=facts.leaf.not_after,
        bundle_version=facts.bundle_version,
        policy_version=facts.policy_version,
        machine_boot=machine_boot(),
        verified_at=at,
    )
    write_atomic(managed / READY, ready.to_bytes())


def missing_for_start(
    managed: Path, server: str, *, at: datetime, max_age: timedelta
) -> str | None:
    """Return what a server start must still wait for; ``None`` when it may start.

    Args:
        managed: The keeper's folder.
        server: Name of the server that wants to start.
        at: Now.
        max_age: How old a verification from before the machine's start may be.
    """
    data = read_optional(managed / READY)
    if data is None:
        return "the keeper's first verified files (no ready.json)"
    try:
        ready = Ready.from_bytes(data)
    except ValidationError:
        return "a readable ready.json from the keeper"
    if ready.server != server:
        return f"files of server {server}; these are of {ready.server}"
    return _missing_time(ready, at, max_age) or _missing_files(ready, managed)


def _missing_time(ready: Ready, at: datetime, max_age: timedelta) -> str | None:
    if at >= ready.leaf_not_after:
        return f"a new server leaf; the last one ended at {ready.leaf_not_after.isoformat()}"
    is_this_boot = bool(ready.machine_boot) and ready.machine_boot == machine_boot()
    if not is_this_boot and not timedelta(0) <= at - ready.verified_at <= max_age:
        return f"the keeper to verify the files again (last at {ready.verified_at.isoformat()})"
    return None


def _missing_files(ready: Ready, managed: Path) -> str | None:
    current = Generations(managed).current()
    if current is None or current.facts.content != ready.content:
        return "the keeper to verify the files now on disk"
    return None

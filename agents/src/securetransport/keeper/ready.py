"""``ready.json``: the keeper's word to ``exec-server`` that a server may start with the files."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, ValidationError

from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.body import Document, Version
from securetransport.core.ports import Clock, Files
from securetransport.keeper.generations import READY, Generation, Generations

_EVERY_SECONDS: Final = 10.0
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


def machine_boot(files: Files) -> str:
    """Return an id that differs after each start of the machine; empty where there is none."""
    data = files.read(_BOOT_ID)
    return data.decode("ascii", errors="replace").strip() if data else ""


class ReadyFile:
    """Writes ``ready.json``: when the files changed, and again every ten seconds."""

    def __init__(self, files: Files, managed: Path, server: str, clock: Clock) -> None:
        self._files = files
        self._path = managed / READY
        self._server = server
        self._clock = clock
        self._content = ""
        self._written_at = 0.0

    def state(self, generation: Generation) -> None:
        """State that ``generation`` is verified now, unless that was stated a moment ago.

        Raises:
            SecureTransportError: The file cannot be written.
        """
        facts, now = generation.facts, self._clock.monotonic()
        if self._content == facts.content and now - self._written_at < _EVERY_SECONDS:
            return
        ready = Ready(
            server=self._server,
            content=facts.content,
            leaf=facts.leaf.fingerprint,
            leaf_not_after=facts.leaf.not_after,
            bundle_version=facts.bundle_version,
            policy_version=facts.policy_version,
            machine_boot=machine_boot(self._files),
            verified_at=self._clock.now(),
        )
        self._files.write(self._path, ready.to_bytes())
        self._content, self._written_at = facts.content, now


def missing_for_start(
    files: Files, managed: Path, server: str, *, at: datetime, max_age: timedelta
) -> str | None:
    """Return what a server start must still wait for; ``None`` when it may start.

    Args:
        files: Where the folder is.
        managed: The keeper's folder.
        server: Name of the server that wants to start.
        at: Now.
        max_age: How old a verification from before the machine's start may be.
    """
    data = files.read(managed / READY)
    if data is None:
        return "the keeper's first verified files (no ready.json)"
    try:
        ready = Ready.from_bytes(data)
    except ValidationError:
        return "a readable ready.json from the keeper"
    if ready.server != server:
        return f"files of server {server}; these are of {ready.server}"
    boot = machine_boot(files)
    return _missing_time(ready, boot, at, max_age) or _missing_files(ready, files, managed)


def _missing_time(ready: Ready, boot: str, at: datetime, max_age: timedelta) -> str | None:
    if at >= ready.leaf_not_after:
        return f"a new server leaf; the last one ended at {ready.leaf_not_after.isoformat()}"
    is_this_boot = bool(boot) and ready.machine_boot == boot
    if not is_this_boot and not timedelta(0) <= at - ready.verified_at <= max_age:
        return f"the keeper to verify the files again (last at {ready.verified_at.isoformat()})"
    return None


def _missing_files(ready: Ready, files: Files, managed: Path) -> str | None:
    current = Generations(managed, files).current()
    if current is None or current.facts.content != ready.content:
        return "the keeper to verify the files now on disk"
    return None

"""Make an entry of the cache: one maker at a time, and nothing half-made is ever seen."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.lock import in_turn
from lab.paths import Cache
from lab.report import Report

ALONE = (
    *("setpriv", "--pdeathsig=KILL"),
    *("unshare", "--fork", "--kill-child", "--mount", "--pid", "--propagation=private"),
)
"""Before a command: it ends with this process, even a killed one, and its mounts end with it."""
_KEY_DIGITS = 16


def key(parts: Iterable[str | bytes]) -> str:
    """Return the digest of what an entry is made from; where a part ends counts."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()[:_KEY_DIGITS]


@contextmanager
def making(cache: Cache, name: str, report: Report) -> Iterator[Path]:
    """Hold the right to make something, and an empty folder on the cache's own disk for it.

    Another process that makes the same is waited for; look again into the cache inside the block.
    What an earlier, killed maker left in the folder is removed.

    Args:
        cache: Where the folder is.
        name: What is made, such as ``"tree-node"``.
        report: Told when somebody else is waited for.

    Raises:
        LabError: This process is not root, which device nodes and owners need.
    """
    if os.geteuid() != 0:
        raise LabError(f"only root can make {name}", "run `python -m lab build` as root")
    waits = f"{name}: another process makes it, waiting"
    with in_turn(cache.work / f"{name}.lock", lambda: report.say(waits)):
        # What cannot be removed now is in nobody's way; the next maker tries again.
        for left in cache.work.glob(f"{name}.making-*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=cache.work, prefix=f"{name}.making-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

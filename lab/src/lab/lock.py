"""One command at a time changes the lab; the lock dies with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.paths import State


@contextmanager
def held(state: State) -> Iterator[None]:
    """Hold the lab's lock; the file goes with the state, so nothing is left behind.

    Raises:
        LabError: Another command holds it; the message has its pid.
    """
    descriptor = _acquired(state)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        if not state.root.exists():
            state.lock.unlink(missing_ok=True)
        os.close(descriptor)


def _acquired(state: State) -> int:
    """Return a descriptor with the lock, on the file that the path names now."""
    while True:
        try:
            state.lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            what = f"{state.lock} cannot be opened: {error.strerror}"
            raise LabError(what, "run it as root") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise LabError(
                f"another lab command is at work (pid {holder})", "wait until it is done"
            ) from error
        # The holder before us may have removed the file while we opened it.
        if state.lock.exists() and os.path.samestat(os.fstat(descriptor), state.lock.stat()):
            return descriptor
        os.close(descriptor)


@contextmanager
def in_turn(file: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file; somebody else who holds it is waited for, a killed one lets go by itself.

    Args:
        file: It stays; its folder is made.
        waits: Called before the wait, where there is one.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield

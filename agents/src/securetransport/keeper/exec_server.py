"""``exec-server``: becomes the server once the keeper says that its files are right.

::

    securetransport-keeper exec-server --config keeper.toml -- nats-server -c nats.conf

With everything expired a server that starts at once would only fail, and with yesterday's files it
would serve yesterday's trust; so it waits for the keeper, which needs no server to get new ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, NoReturn

from securetransport.core.base.errors import ConfigError
from securetransport.core.ports import Clock, Files
from securetransport.keeper.ready import missing_for_start
from securetransport.keeper.settings import KeeperSettings
from securetransport.runtime import logs

COMMAND: Final = "exec-server"
_POLL_SECONDS: Final = 0.1
_REPEAT_LOG_SECONDS: Final = 30.0


def split_arguments(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before ``--`` and the server's command after it.

    Raises:
        ConfigError: There is no command.
    """
    own, _, command = (list(part) for part in _partition(argv))
    if not command:
        raise ConfigError([f"{COMMAND}: give the server's command after --"])
    return own, command


Become = Callable[[str, list[str]], NoReturn]
"""Replaces this process by a program, given with its arguments; raises ``OSError``."""


def exec_server(
    argv: Sequence[str], files: Files, clock: Clock, become: Become = os.execvp
) -> NoReturn:
    """Wait for the files, then become the server; the process id stays.

    Args:
        argv: What follows the word ``exec-server``.
        files: Where the keeper writes.
        clock: Judges how old the keeper's word is.
        become: Starts the server in this process.

    Raises:
        ConfigError: Wrong arguments, or the server's program cannot be run.
        SecureTransportError: The files cannot be read.
    """
    own, command = split_arguments(argv)
    settings = KeeperSettings.load(own)
    logs.configure(settings.logs.level, settings.logs.format)
    wait_for_files(settings, files, clock)
    # A process id of an earlier life may be ours by now; nobody may signal it before the server
    # has written the file anew and handles the signal.
    files.remove(settings.server.pid_file)
    try:
        become(command[0], command)
    except (OSError, ValueError) as err:  # ValueError: a NUL in an argument
        reason = err.strerror if isinstance(err, OSError) else err
        raise ConfigError([f"{COMMAND}: cannot run {command[0]!r}: {reason}"]) from err


def wait_for_files(
    settings: KeeperSettings,
    files: Files,
    clock: Clock,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the files may be used; logs what it waits for when that changes.

    Raises:
        SecureTransportError: The files cannot be read.
    """
    log = logs.get_logger(server=settings.server.name)
    max_age = timedelta(seconds=settings.timing.ready_max_age_seconds)
    began = clock.monotonic()
    said, said_at = "", began
    while True:
        missing = missing_for_start(
            files,
            settings.server.managed_dir,
            settings.server.name,
            at=clock.now(),
            max_age=max_age,
        )
        elapsed = clock.monotonic() - began
        if missing is None:
            log.info("server_starting", seconds=round(elapsed, 1))
            return
        if missing != said or clock.monotonic() - said_at >= _REPEAT_LOG_SECONDS:
            log.info("server_waits", reason=missing, seconds=round(elapsed, 1))
            said, said_at = missing, clock.monotonic()
        sleep(_POLL_SECONDS)


def _partition(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    if "--" not in argv:
        return argv, (), ()
    at = list(argv).index("--")
    return argv[:at], argv[at : at + 1], argv[at + 1 :]

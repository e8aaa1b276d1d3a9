# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which process holds a TCP port of this host, read from /proc."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .._errors import PlatformError
from .._outcome import Outcome
from .._values import within

_PROC: Final = Path("/proc")
_LISTENING: Final = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class PortsSpec:
    """Ports that must be ours to use.

    Attributes:
        ports: The ports.
        host: Address that is listened on.
        own_pids: Processes whose ports, and whose descendants' ports, are ours; ``None`` for none.
    """

    ports: Sequence[int]
    host: str = "127.0.0.1"
    own_pids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens on a port.

    Attributes:
        pid: Its process id; 0 when it belongs to somebody whose files we may not read.
        command: Name of its program, without arguments, which could be secret.
    """

    pid: int
    command: str


def check_ports(spec: PortsSpec, check_mode: bool) -> Outcome:  # noqa: ARG001  # changes nothing
    """Check that each port is free, or held by one of our own processes or its descendants.

    Raises:
        PlatformError: A port is held by somebody else; the text names port and process.
    """
    for port in spec.ports:
        within(port, 1, _HIGHEST_PORT, option="ports")
    own = set(spec.own_pids or ())
    ports: list[dict[str, Any]] = []
    foreign: list[str] = []
    for port in spec.ports:
        if is_free(spec.host, port):
            ports.append({"port": port, "is_free": True, "is_own": False, "pid": None})
            continue
        holder = holder_of(port)
        is_own = bool(own & set(_ancestry(holder.pid)))
        ports.append({"port": port, "is_free": False, "is_own": is_own, "pid": holder.pid or None})
        if not is_own:
            foreign.append(f"{port} is held by {holder.command} (pid {holder.pid or 'unknown'})")
    if foreign:
        raise PlatformError(
            f"ports of {spec.host} are in use: {'; '.join(foreign)}; stop that or choose "
            "other ports",
            ports=ports,
        )
    return Outcome(changed=False, facts={"ports": ports})


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on this port now.

    Raises:
        PlatformError: The host is not an address of this machine, or the port is privileged.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: connections that are still ending do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as err:
            if err.errno == errno.EADDRINUSE:
                return False
            raise PlatformError(f"cannot listen on {host} port {port}: {err.strerror}") from err
        except (TypeError, UnicodeError) as err:
            raise PlatformError(f"host: {host!r} is not a name or an address") from err
    return True


def holder_of(port: int) -> Holder:
    """Return who listens on a port."""
    inodes = set(_listening_inodes(port))
    for pid in _pids():
        if inodes & set(_socket_inodes(pid)):
            return Holder(pid, _command(pid))
    return Holder(0, "a process of another user")


def _listening_inodes(port: int) -> Iterator[str]:
    wanted = f"{port:04X}"
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1].rpartition(":")[2] == wanted and fields[3] == _LISTENING:
                yield fields[9]


def _pids() -> Iterable[int]:
    try:
        return sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    except OSError:
        return ()


def _socket_inodes(pid: int) -> Iterator[str]:
    try:
        descriptors = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _ancestry(pid: int) -> Iterator[int]:
    """Yield a process and its ancestors; nothing for an unknown one."""
    while pid > 0:
        yield pid
        try:
            status = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        # The command in parentheses may hold anything, so the fields are counted after it.
        pid = int(status.rpartition(")")[2].split()[1])


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "a process that just ended"

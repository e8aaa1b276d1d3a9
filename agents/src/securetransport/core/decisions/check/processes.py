"""Supervisors and their processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from securetransport.core.decisions.check.finding import Finding, words
from securetransport.core.decisions.check.observation import Observation, ProcessSeen

_CONFIG_EXIT: Final = 78
_NOT_LONG_SECONDS: Final = 20.0
_TAKEN: Final = re.compile(r"(?:address already in use|Address in use)", re.IGNORECASE)
_AT: Final = re.compile(r"((?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]|localhost):\d{1,5})")


def supervisors(seen: Observation) -> Iterator[Finding]:
    """Daemons that do not answer."""
    for cluster, daemon in seen.daemons.items():
        if daemon.problem:
            broken = {f"supervisor {cluster}", *_parts(f"{cluster}/")}
            broken |= {f"process {name}" for name in seen.programs if name.startswith(cluster)}
            broken |= {f"member {name}" for name in seen.programs if name.startswith(cluster)}
            subject = f"supervisord of {cluster}"
            what = f"does not answer: {daemon.problem}"
            yield Finding("supervisor", subject, what, frozenset(broken), words("supervisors"))


def processes(seen: Observation) -> Iterator[Finding]:
    """Processes that do not do their work; those first that others need."""
    for name in seen.programs:
        if name not in seen.processes:
            needs = words(f"supervisor {name.partition('/')[0]}")
            yield Finding(
                "process-missing", name, "is unknown to its supervisor", _broken(name), needs
            )
    order = sorted(seen.processes.items(), key=lambda item: (_rank(item[0]), item[0]))
    for name, process in order:
        yield from _one(name, process)


def _one(name: str, process: ProcessSeen) -> Iterator[Finding]:
    broken, state = _broken(name), process.state
    needs = words(f"process {name}")
    if process.is_frozen:
        yield Finding("process-frozen", name, "is frozen: a signal suspended it", broken)
    elif state == "STOPPED":
        yield Finding("process-stopped", name, "is stopped", broken)
    elif state in ("STARTING", "RUNNING") and 0 < process.uptime_seconds < _NOT_LONG_SECONDS:
        # One whose port is taken needs a second or two to find that out, again and again.
        yield from _taken(name, process, broken)
    elif state in ("EXITED", "FATAL", "BACKOFF", "UNKNOWN"):
        yield _ended(name, process, broken, needs)


def _taken(name: str, process: ProcessSeen, broken: frozenset[str]) -> Iterator[Finding]:
    last = next((line for line in reversed(process.last_words) if _TAKEN.search(line)), "")
    if last:
        at = _AT.search(last)
        what = f"its port {at[1]} is held by somebody else" if at else "its port is held"
        yield Finding("process-port", name, what, broken)


def _ended(
    name: str, process: ProcessSeen, broken: frozenset[str], needs: frozenset[str]
) -> Finding:
    for finding in _taken(name, process, broken):
        return finding
    reason = process.last_words[-1][-160:] if process.last_words else "it said nothing"
    if process.exit_code == _CONFIG_EXIT:
        return Finding("process-config", name, f"does not run: {reason}", broken, needs)
    check = "process-ended" if process.state == "EXITED" else "process-failing"
    return Finding(check, name, f"does not run ({process.state}): {reason}", broken, needs)


def _rank(name: str) -> int:
    """Who is needed by others comes first."""
    for rank, part in enumerate(("openbao-", "metadata-", "keeper-", "nats-", "watcher-")):
        if part in name and not name.endswith("-bao"):
            return rank
    return 9


def _parts(name: str) -> frozenset[str]:
    """Return which part of the platform a process is."""
    parts = set()
    if name.startswith("authority/"):
        parts |= {"openbao"} if "openbao-" in name or name == "authority/" else set()
        parts |= {"authority"} if "metadata-" in name or name == "authority/" else set()
    if name.startswith("servers/"):
        parts |= {"bus", "servers"} if "nats-" in name or name == "servers/" else set()
        parts |= {"watcher"} if "watcher-" in name or name == "servers/" else set()
    return frozenset(parts)


def _broken(name: str) -> frozenset[str]:
    broken = {f"process {name}", f"member {name.removesuffix('-bao')}", *_parts(name)}
    cluster, _, program = name.partition("/")
    if program.startswith("keeper-"):
        number = program.removesuffix("-bao").rpartition("-")[2]
        broken |= {f"server nats-{number}", f"member {cluster}/{program.removesuffix('-bao')}"}
    if program.startswith("nats-"):
        broken |= {f"server {program}", f"member {cluster}/keeper-{program.rpartition('-')[2]}"}
    if program.startswith("openbao-"):
        broken |= {f"node {program}"}
    return frozenset(broken)

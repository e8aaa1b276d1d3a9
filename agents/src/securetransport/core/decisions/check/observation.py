"""What was seen of a platform on one machine. ``None`` is "not known", never "not there"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from securetransport.core.ports.servers import ProbeResult

_SETTING: Final = re.compile(r"^(\w+)\s*=\s*(.*)$", re.MULTILINE)
_DIGEST: Final = re.compile(r'CONFIGURATION_DIGEST="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class FileSeen:
    """One file.

    Attributes:
        content: Its bytes; ``None`` when it is not there or cannot be read.
        mode: Permission bits; ``None`` when it is not there.
        is_own: Whether it belongs to the user who looks.
        problem: Why it cannot be read, empty when it can or is not there.
    """

    content: bytes | None = None
    mode: int | None = None
    is_own: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class MachineSeen:
    """What all processes share.

    Attributes:
        free_bytes: Where the state directory lies.
        free_files: How many files may still be made there.
        open_files: How many a process may open at most.
        run_dir_mode: Permission bits of the directory in memory; ``None`` when it is not there.
        run_dir: Its path.
        is_run_dir_own: Whether it belongs to the user who looks.
    """

    free_bytes: int
    free_files: int
    open_files: int
    run_dir: str
    run_dir_mode: int | None
    is_run_dir_own: bool = True


@dataclass(frozen=True, slots=True)
class DaemonSeen:
    """The supervisord of one cluster.

    Attributes:
        problem: Why it does not answer, empty when it does.
    """

    problem: str = ""


@dataclass(frozen=True, slots=True)
class HealthSeen:
    """What a process says of itself.

    Attributes:
        is_live: Its ``/livez``.
        reasons: Lines of its ``/readyz``; empty when it is ready.
        problem: Why it did not answer, empty when it did.
    """

    is_live: bool = True
    reasons: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """One supervised process.

    Attributes:
        state: The supervisor's word: ``RUNNING``, ``STOPPED``, ``BACKOFF``, ``FATAL``, …;
            empty when the supervisor did not answer.
        exit_code: Of the last end; ``None`` when it never ended.
        uptime_seconds: Since its last start.
        is_frozen: Whether the system keeps it from running.
        last_words: The last lines of its log; read only when it does not run, or not for long.
        health: What it says of itself; ``None`` when it has no such port.
    """

    state: str
    exit_code: int | None = None
    uptime_seconds: float = 0.0
    is_frozen: bool = False
    last_words: tuple[str, ...] = ()
    health: HealthSeen | None = None


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """One node of OpenBao, asked without any credential.

    Attributes:
        problem: Why it did not answer, empty when it did.
        is_initialized: Whether it has data.
        is_sealed: Whether it can read them.
        is_standby: Whether another one acts.
        version: Of its program.
        clock: Its time; ``None`` when it did not say.
    """

    problem: str = ""
    is_initialized: bool = True
    is_sealed: bool = False
    is_standby: bool = False
    version: str = ""
    clock: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """One message server, looked at from outside; ``problem_of`` is its own program's word."""

    client: ProbeResult
    route: ProbeResult | None
    configuration_problem: str = ""


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """What OpenBao shows to the people's identity.

    Attributes:
        login_problem: Why the login failed, empty when it worked.
        documents: Path to the document's bytes, ``None`` for one that is not there.
        trust_problem: Why the trust bundle is not believed, empty when it is.
        is_signer_unknown: Whether that is because no pinned key signed it.
        anchors: Common names of the trusted issuers.
        leaf_problem: Why no certificate was issued to the command.
    """

    login_problem: str = ""
    documents: Mapping[str, bytes | None] = field(default_factory=dict)
    trust_problem: str = ""
    is_signer_unknown: bool = False
    anchors: frozenset[str] = frozenset()
    leaf_problem: str = ""


@dataclass(frozen=True, slots=True)
class BusSeen:
    """What the bus and the authority answer.

    Attributes:
        problem: Why the command could not connect, empty when it could.
        status: The authority's status; ``None`` when it did not answer.
        status_problem: Why not.
        streams: Name to what JetStream says of it; ``None`` when it did not answer.
        durables: Stream to its durables.
        streams_problem: Why JetStream did not answer.
        expected: Stream to its durables, of the ACL in force.
    """

    problem: str = ""
    status: Mapping[str, Any] | None = None
    status_problem: str = ""
    streams: Mapping[str, Mapping[str, Any]] | None = None
    durables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streams_problem: str = ""
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """All of it.

    Attributes:
        now: When.
        config: The command's configuration, relative to the state directory.
        config_problems: What is wrong with it.
        files: By path relative to the state directory; those of ``expected`` are all there.
        tokens: The token files in memory by process.
        machine: What all share.
        daemons: By cluster.
        processes: By ``<cluster>/<name>``.
        nodes: By name; ``None`` when nobody looked.
        servers: By name.
        store: ``None`` when nobody looked.
        bus: ``None`` when nobody looked.
        agent_problems: What is wrong with the values of an agent's configuration, by its path.
    """

    now: datetime
    config: str
    config_problems: tuple[str, ...]
    files: Mapping[str, FileSeen]
    tokens: Mapping[str, FileSeen]
    machine: MachineSeen
    daemons: Mapping[str, DaemonSeen]
    processes: Mapping[str, ProcessSeen]
    nodes: Mapping[str, NodeSeen] = field(default_factory=dict)
    servers: Mapping[str, ServerSeen] = field(default_factory=dict)
    store: StoreSeen | None = None
    bus: BusSeen | None = None
    agent_problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, path: str) -> str | None:
        """Return a file as text; ``None`` when it is not there or no text."""
        seen = self.files.get(path)
        if seen is None or seen.content is None:
            return None
        try:
            return seen.content.decode("utf-8")
        except UnicodeDecodeError:
            return None

    @cached_property
    def programs(self) -> dict[str, dict[str, str]]:
        """The settings in each process's file for its supervisor, by ``<cluster>/<name>``."""
        found = {}
        for path in self.files:
            cluster, _, rest = path.partition("/conf.d/")
            text = self.text(path) if rest.endswith(".conf") else None
            if text is not None:
                found[f"{cluster}/{rest.removesuffix('.conf')}"] = dict(_SETTING.findall(text))
        return found

    def configuration_digest(self, process: str) -> str:
        """Return the digest of the configuration that a process was given; empty for none."""
        found = _DIGEST.search(self.programs.get(process, {}).get("environment", ""))
        return found[1] if found else ""

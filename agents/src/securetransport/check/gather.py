"""From a machine to an observation; nothing is decided here."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from securetransport.check.layout import CLUSTERS, expected_files
from securetransport.core.base.errors import SecureTransportError, TransientError
from securetransport.core.base.values import split_address
from securetransport.core.decisions.check.observation import (
    BusSeen,
    DaemonSeen,
    FileSeen,
    HealthSeen,
    MachineSeen,
    NodeSeen,
    Observation,
    ProcessSeen,
    ServerSeen,
    StoreSeen,
)
from securetransport.core.ports import Clock, Files, PortKind, ProbeResult, ServerControl, TlsProbe
from securetransport.core.ports.machine import Machine, Supervised

_API: Final = re.compile(r'^\s*api_addr\s*=\s*"(https://[^"\s]+)"', re.MULTILINE)
_HEALTH_QUERY: Final = "/v1/sys/health?standbyok=true&sealedcode=200&uninitcode=200"
_OK: Final = 200
_TAIL_BYTES: Final = 4000
_TAIL_LINES: Final = 6
_SOON_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 2.0
_VISIT_SECONDS: Final = 6.0


class Visitor(Protocol):
    """Looks at OpenBao and at the bus as the people's identity."""

    async def __call__(self, addresses: Sequence[str]) -> tuple[StoreSeen, BusSeen | None]:
        """Return what was seen; raises nothing of our tree.

        Args:
            addresses: Nodes of OpenBao that answer, the acting one first.
        """
        ...


@dataclass(frozen=True, slots=True)
class Eyes:
    """What the gatherer sees with.

    Attributes:
        files: The file system.
        machine: The machine.
        probe: Ports from outside.
        server: The message server of a process id file, for its program's word.
        clock: This machine's.
    """

    files: Files
    machine: Machine
    probe: TlsProbe
    server: Callable[[Path], ServerControl]
    clock: Clock


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked at.

    Attributes:
        state_dir: The state directory.
        config: The command's configuration, relative to it.
        config_problems: What is wrong with it.
        check_agent: Says what is wrong with an agent's configuration, one line each.
        visitor: ``None`` when the configuration is of no use.
    """

    state_dir: Path
    config: str
    config_problems: tuple[str, ...]
    check_agent: Callable[[Mapping[str, Any]], list[str]]
    visitor: Visitor | None


async def gather(eyes: Eyes, target: Target) -> Observation:
    """Look at everything, each thing within its deadline."""
    files = {
        path: _file(eyes, target.state_dir / path)
        for path in expected_files(eyes.files, target.state_dir)
    }
    agents = _agents(files)
    supervised = {cluster: _supervised(eyes, target.state_dir, cluster) for cluster in CLUSTERS}
    seen = Observation(
        now=eyes.clock.now(),
        config=target.config,
        config_problems=target.config_problems,
        files=files,
        tokens=_tokens(eyes, agents),
        machine=_machine(eyes, target.state_dir, agents),
        daemons={name: DaemonSeen(told) for name, (told, _) in supervised.items()},
        processes={
            f"{cluster}/{told.name}": _process(eyes, target.state_dir, cluster, told)
            for cluster, (_, listed) in supervised.items()
            for told in listed
        },
        agent_problems={
            path: tuple(target.check_agent(values))
            for path, values in agents.items()
            if "identity" in values
        },
    )
    addresses = _node_addresses(seen)
    nodes, servers, health = await asyncio.gather(
        _nodes(eyes, target.state_dir, addresses),
        _servers(eyes, target.state_dir, agents),
        _healths(eyes, agents, seen),
    )
    processes = {
        name: replace(process, health=health.get(name)) for name, process in seen.processes.items()
    }
    store, bus = await _visit(target.visitor, nodes, addresses)
    return replace(seen, nodes=nodes, servers=servers, processes=processes, store=store, bus=bus)


# --- files and processes ------------------------------------------------------------------------


def _file(eyes: Eyes, path: Path) -> FileSeen:
    try:
        facts = eyes.machine.facts(path)
        content = eyes.files.read(path)
    except SecureTransportError as error:
        return FileSeen(problem=str(error.fields.get("reason", error)))
    if facts is None:
        return FileSeen()
    return FileSeen(content, facts.mode, facts.is_own)


def _agents(files: Mapping[str, FileSeen]) -> dict[str, dict[str, Any]]:
    found = {}
    for path, seen in files.items():
        if path.endswith("/config.toml") and seen.content is not None:
            try:
                found[path] = tomllib.loads(seen.content.decode("utf-8"))
            except (ValueError, RecursionError):
                continue
    return found


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _token_file(values: Mapping[str, Any]) -> Path | None:
    told = _section(values, "openbao").get("token_file")
    return Path(told) if isinstance(told, str) else None


def _tokens(eyes: Eyes, agents: Mapping[str, Mapping[str, Any]]) -> dict[str, FileSeen]:
    found = {}
    for path, values in agents.items():
        token = _token_file(values)
        if token is not None:
            found[path.removesuffix("/config.toml")] = _file(eyes, token)
    return found


def _machine(eyes: Eyes, state_dir: Path, agents: Mapping[str, Mapping[str, Any]]) -> MachineSeen:
    places = {token.parents[1] for values in agents.values() if (token := _token_file(values))}
    run_dir = next(iter(sorted(places)), state_dir)
    try:
        facts = eyes.machine.facts(run_dir)
        free_bytes, free_files = eyes.machine.free(state_dir)
    except SecureTransportError:
        facts, free_bytes, free_files = None, 0, 0
    return MachineSeen(
        free_bytes=free_bytes,
        free_files=free_files,
        open_files=eyes.machine.open_files(),
        run_dir=str(run_dir),
        run_dir_mode=facts.mode if facts else None,
        is_run_dir_own=facts.is_own if facts else True,
    )


def _supervised(eyes: Eyes, state_dir: Path, cluster: str) -> tuple[str, list[Supervised]]:
    try:
        return "", eyes.machine.supervised(state_dir / cluster)
    except SecureTransportError as error:
        return error.message, []


def _process(eyes: Eyes, state_dir: Path, cluster: str, told: Supervised) -> ProcessSeen:
    last_words: tuple[str, ...] = ()
    if told.state != "RUNNING" or told.uptime_seconds < _SOON_SECONDS:
        log = state_dir / cluster / "log" / f"{told.name}.log"
        try:
            text = eyes.machine.tail(log, _TAIL_BYTES).decode("utf-8", errors="replace")
        except SecureTransportError:
            text = ""
        last_words = tuple(line.strip() for line in text.splitlines() if line.strip())
    return ProcessSeen(
        state=told.state,
        exit_code=told.exit_code,
        uptime_seconds=told.uptime_seconds,
        is_frozen=told.pid > 0 and eyes.machine.is_frozen(told.pid),
        last_words=last_words[-_TAIL_LINES:],
    )


# --- what answers -------------------------------------------------------------------------------


def _node_addresses(seen: Observation) -> dict[str, str]:
    addresses = {}
    for path in seen.files:
        if path.endswith("/config.hcl"):
            told = _API.search(seen.text(path) or "")
            if told:
                addresses[path.split("/")[1]] = told[1]
    return addresses


async def _nodes(eyes: Eyes, state_dir: Path, addresses: Mapping[str, str]) -> dict[str, NodeSeen]:
    ca_file = state_dir / "authority" / "tls" / "ca.crt"
    answers = await asyncio.gather(*(_node(eyes, url, ca_file) for url in addresses.values()))
    return dict(zip(addresses, answers, strict=True))


async def _node(eyes: Eyes, url: str, ca_file: Path) -> NodeSeen:
    try:
        answer = await eyes.machine.get(
            url + _HEALTH_QUERY, ca_file=ca_file, timeout_seconds=_LOOK_SECONDS
        )
        told = json.loads(answer.body)
    except TransientError as error:
        return NodeSeen(problem=error.message)
    except (ValueError, RecursionError):
        return NodeSeen(problem="its answer is not JSON")
    if not isinstance(told, dict):
        return NodeSeen(problem="its answer is no JSON object")
    return NodeSeen(
        is_initialized=told.get("initialized") is True,
        is_sealed=told.get("sealed") is not False,
        is_standby=told.get("standby") is True,
        version=str(told.get("version", "")),
        clock=answer.date,
    )


async def _servers(
    eyes: Eyes, state_dir: Path, agents: Mapping[str, Mapping[str, Any]]
) -> dict[str, ServerSeen]:
    told = [
        server
        for values in agents.values()
        if isinstance((server := _section(values, "server")).get("name"), str)
    ]
    answers = await asyncio.gather(*(_server(eyes, state_dir, server) for server in told))
    return {str(server["name"]): seen for server, seen in zip(told, answers, strict=True)}


async def _server(eyes: Eyes, state_dir: Path, told: Mapping[str, Any]) -> ServerSeen:
    name = str(told["name"])
    client = await _probe(eyes, told.get("client_address"), "client")
    route = await _probe(eyes, told.get("route_address"), "route")
    folder = state_dir / "servers" / name
    problem = ""
    try:
        problem = await eyes.server(folder / "nats.pid").problem_of(folder / "nats.conf") or ""
    except SecureTransportError:
        problem = ""
    return ServerSeen(client, route, " ".join(problem.split())[:200])


async def _probe(eyes: Eyes, address: object, kind: PortKind) -> ProbeResult:
    try:
        host, port = split_address(str(address))
    except ValueError as error:
        return ProbeResult(error=str(error))
    return await eyes.probe.probe(host, port, kind=kind, timeout_seconds=_LOOK_SECONDS)


async def _healths(
    eyes: Eyes, agents: Mapping[str, Mapping[str, Any]], seen: Observation
) -> dict[str, HealthSeen]:
    places = {}
    for path, values in agents.items():
        process, health = path.removesuffix("/config.toml"), _section(values, "health")
        state = seen.processes.get(process)
        if state is not None and state.state == "RUNNING" and not state.is_frozen:
            places[process] = f"http://{health.get('host', '127.0.0.1')}:{health.get('port')}"
    answers = await asyncio.gather(*(_health(eyes, url) for url in places.values()))
    return dict(zip(places, answers, strict=True))


async def _health(eyes: Eyes, url: str) -> HealthSeen:
    try:
        live = await eyes.machine.get(f"{url}/livez", timeout_seconds=_LOOK_SECONDS)
        ready = await eyes.machine.get(f"{url}/readyz", timeout_seconds=_LOOK_SECONDS)
    except TransientError as error:
        return HealthSeen(problem=error.message)
    lines = ready.body.decode("utf-8", errors="replace").splitlines()
    said = tuple(line.strip() for line in lines if line.strip())
    return HealthSeen(live.status == _OK, said if ready.status != _OK else ())


async def _visit(
    visitor: Visitor | None, nodes: Mapping[str, NodeSeen], addresses: Mapping[str, str]
) -> tuple[StoreSeen | None, BusSeen | None]:
    """Look at OpenBao and the bus, if a node acts; else every call would only wait."""
    answering = [name for name, node in nodes.items() if not (node.problem or node.is_sealed)]
    answering.sort(key=lambda name: nodes[name].is_standby)
    if visitor is None or not answering or nodes[answering[0]].is_standby:
        return None, None
    try:
        async with asyncio.timeout(_VISIT_SECONDS):
            return await visitor([addresses[name] for name in answering])
    except TimeoutError:
        return None, BusSeen(problem=f"no answer within {_VISIT_SECONDS:.0f} s")

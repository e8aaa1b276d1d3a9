"""What the configurations say, compared with each other: one deployment, one answer."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from securetransport.core.decisions.check.finding import Finding, words
from securetransport.core.decisions.check.observation import Observation

_AGENT: Final = re.compile(r"(authority|servers|services)/([^/]+)/config\.toml")
_NAMED: Final = re.compile(r"(?:[a-z]+://)?((?:127\.0\.0\.1|localhost|\[::1\]):\d{1,5})")
_AGENTS: Final = ("metadata", "keeper", "watcher")
_INCLUDES: Final = ("include ./managed/broker.conf", "include ./managed/tls.conf")


def across(seen: Observation) -> Iterator[Finding]:
    """Everything of this module."""
    agents = dict(_agents(seen))
    for path, values in agents.items():
        yield from _identity(path, values)
    for path, problems in seen.agent_problems.items():
        if problems:
            yield Finding("agent-config-value", path, problems[0], _broken(path))
    yield from _alike(agents, "profile", "profile", lambda held: _plain(held.get("profile")))
    yield from _alike(agents, "trust-domain", "identity.trust_domain", _trust_domain)
    yield from _instances(agents)
    yield from _health_ports(agents)
    yield from _addresses(seen)
    yield from _includes(seen)
    yield from _problems(seen)


def _agents(seen: Observation) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in seen.files:
        text = seen.text(path) if _AGENT.fullmatch(path) else None
        if text is None:
            continue
        try:
            values = tomllib.loads(text)
            # What is no member of the bus has tables of its own.
            if "identity" in values:
                yield path, values
        except (ValueError, RecursionError):
            continue


def _broken(path: str) -> frozenset[str]:
    folder = path.removesuffix("/config.toml")
    return words(f"file {path}", f"process {folder}", f"member {folder}")


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _plain(value: object) -> str:
    return str(value)


def _trust_domain(values: Mapping[str, Any]) -> str:
    return str(_section(values, "identity").get("trust_domain", "securetransport.local"))


def _identity(path: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    """A process whose name is that of another service."""
    match = _AGENT.fullmatch(path)
    process = match[2] if match else ""
    identity = _section(values, "identity")
    service, instance = str(identity.get("service")), str(identity.get("instance"))
    told = process.removesuffix(f"-{instance}")
    if told not in (process, service) and told in _AGENTS:
        what = f"identity.service is {service}, and the process is called {process}"
        yield Finding("identity", path, what, _broken(path))


def _alike(
    agents: Mapping[str, Mapping[str, Any]], check: str, name: str, value: Any
) -> Iterator[Finding]:
    """What most say is right; who says something else is named."""
    told = {path: value(held) for path, held in agents.items()}
    if not told:
        return
    usual, _ = Counter(told.values()).most_common(1)[0]
    for path, found in told.items():
        if found != usual:
            what = f"{name} is {found}, all others have {usual}"
            yield Finding(check, path, what, _broken(path))


def _instances(agents: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    known: dict[str, str] = {}
    twice: list[tuple[str, str, str]] = []
    for path, values in agents.items():
        identity = _section(values, "identity")
        name = f"{identity.get('service')}/{identity.get('instance')}"
        if name in known:
            twice.append((name, known[name], path))
        known.setdefault(name, path)
    for name, first, second in twice:
        # The one whose folder says something else is the one that was changed.
        service = name.partition("/")[0]
        changed, other = (first, second) if service not in first else (second, first)
        what = f"identity says service {name}, as {other} does"
        yield Finding("identity", changed, what, _broken(changed))


def _health_ports(agents: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    known: dict[object, str] = {}
    for path, values in agents.items():
        health = _section(values, "health")
        port = health.get("port")
        if port in known:
            what = f"health.port {port} is that of {known[port]}, too"
            yield Finding("health-port", path, what, _broken(path))
        known.setdefault(port, path)


# --- addresses ----------------------------------------------------------------------------------


def _addresses(seen: Observation) -> Iterator[Finding]:
    """An address is right when it is said twice; one that is said once is the wrong one.

    Every listener is named by who listens and by who calls, or twice by the one file that has it.
    So a wrong listener and a wrong caller both have an address that nobody else has.
    """
    told: dict[str, list[str]] = {}
    for path in seen.files:
        if path.endswith((".toml", ".hcl", "nats.conf")):
            text = _without_comments(seen.text(path) or "")
            told[path] = [_canonical(found) for found in _NAMED.findall(text)]
    named = Counter(address for addresses in told.values() for address in addresses)
    for path, addresses in told.items():
        alone = [address for address in addresses if named[address] == 1]
        if alone:
            yield _strange(path, ", ".join(alone))


def _canonical(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{'127.0.0.1' if host in ('localhost', '[::1]') else host}:{port}"


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _strange(path: str, addresses: str) -> Finding:
    cluster, _, rest = path.partition("/")
    folder = rest.partition("/")[0]
    broken = {f"file {path}", f"process {cluster}/{folder}", f"member {cluster}/{folder}"}
    check = "other-address"
    if path.endswith(".hcl"):
        check = "openbao-address"
        broken |= {f"process {cluster}/{folder}-bao"}
    elif path.endswith("nats.conf"):
        check = "server-address"
    elif path.endswith("cli.toml"):
        broken |= {"login"}
    if path.startswith("authority/openbao-"):
        broken |= {"openbao"}
    what = f"names {addresses}, as nothing else of this platform does"
    return Finding(check, path, what, frozenset(broken))


def _includes(seen: Observation) -> Iterator[Finding]:
    for path in seen.files:
        text = seen.text(path) if path.endswith("/nats.conf") else None
        if text is None:
            continue
        gone = [line for line in _INCLUDES if line not in text]
        # Client port and route port each have the keeper's certificate.
        if text.count(_INCLUDES[1]) < 2 and "cluster {" in text and not gone:
            gone = [_INCLUDES[1]]
        if gone:
            folder = path.removesuffix("/nats.conf")
            what = f"does not {gone[0]}; what the keeper writes is not used"
            yield Finding("server-config-wrong", path, what, words(f"process {folder}"))


def _problems(seen: Observation) -> Iterator[Finding]:
    """What a server's own program says of its configuration."""
    for name, server in seen.servers.items():
        if server.configuration_problem:
            path = f"servers/{name}/nats.conf"
            what = f"error: {server.configuration_problem}"
            yield Finding("server-config-wrong", path, what, words(f"process servers/{name}"))

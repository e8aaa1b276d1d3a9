"""Each check finds what it is for; the cause is the first line; a healthy platform has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from healthy import (
    AGENTS,
    NOW,
    administrator,
    authority,
    changed,
    contents,
    node_certificate,
    observation,
    other_authority,
    processes,
    status,
    stream,
    with_file,
    with_process,
)

from securetransport.core.base import names
from securetransport.core.decisions.check import (
    CATALOGUE,
    BusSeen,
    DaemonSeen,
    FileSeen,
    HealthSeen,
    NodeSeen,
    Observation,
    StoreSeen,
    decide,
)
from securetransport.core.ports import ProbeResult
from trust_scene import keys_json

ADMIN = "authority/admin"
TLS = "authority/tls"
GATEKEEPER = "services/gatekeeper-1"
GATEKEEPER_TOML = f"{GATEKEEPER}/config.toml"


def machine(**changes: object) -> Observation:
    seen = observation()
    return replace(seen, machine=replace(seen.machine, **changes))  # type: ignore[arg-type]


def node(name: str, **changes: object) -> Observation:
    seen = observation()
    held = {**seen.nodes, name: replace(seen.nodes[name], **changes)}  # type: ignore[arg-type]
    return replace(seen, nodes=held)


def nodes(**changes: object) -> Observation:
    seen = observation()
    held = {name: replace(found, **changes) for name, found in seen.nodes.items()}  # type: ignore[arg-type]
    return replace(seen, nodes=held)


def store(**changes: object) -> Observation:
    seen = observation()
    assert seen.store is not None
    return replace(seen, store=replace(seen.store, **changes))  # type: ignore[arg-type]


def bus(**changes: object) -> Observation:
    seen = observation()
    assert seen.bus is not None
    return replace(seen, bus=replace(seen.bus, **changes))  # type: ignore[arg-type]


def server(**changes: object) -> Observation:
    seen = observation()
    held = {**seen.servers, "nats-2": replace(seen.servers["nats-2"], **changes)}  # type: ignore[arg-type]
    return replace(seen, servers=held)


def health(**changes: object) -> Observation:
    return with_process(GATEKEEPER, health=HealthSeen(**changes))  # type: ignore[arg-type]


def token(**facts: object) -> Observation:
    held = {**observation().tokens, GATEKEEPER: FileSeen(**facts)}  # type: ignore[arg-type]
    return observation(tokens=held)


def ended(kind: str) -> Observation:
    if kind == "ca":
        return observation(now=NOW + timedelta(days=401))
    return with_file(f"{TLS}/openbao-2.crt", node_certificate(authority(), timedelta(hours=-1)))


def streams(**of_auth: object) -> Observation:
    seen = observation().bus
    assert seen is not None
    assert seen.streams is not None
    return bus(streams={**seen.streams, "AUTH_STREAM": stream(**of_auth)})


def without_stream(name: str) -> Observation:
    seen = observation().bus
    assert seen is not None
    assert seen.streams is not None
    return bus(streams={key: value for key, value in seen.streams.items() if key != name})


LONG_WAIT = {
    "step": "confirm",
    "waits_for": ["keeper of nats-2: attests nothing"],
    "since": (NOW - timedelta(minutes=2)).isoformat(),
    "until": None,
}
WHAT_EACH_CHECK_FINDS: dict[str, tuple[Callable[[], Observation], str]] = {
    "disk-space": (lambda: machine(free_bytes=1), "the disk"),
    "disk-files": (lambda: machine(free_files=1), "the disk"),
    "open-files": (lambda: machine(open_files=64), "this session"),
    "run-dir": (lambda: machine(run_dir_mode=None), "run directory"),
    "run-dir-private": (lambda: machine(run_dir_mode=0o755), "/run/x"),
    "config-missing": (lambda: with_file(f"{ADMIN}/cli.toml"), f"{ADMIN}/cli.toml"),
    "config-wrong": (lambda: observation(config_problems=("a: is missing",)), f"{ADMIN}/cli.toml"),
    "supervisor-config": (
        lambda: with_file("servers/supervisord.conf"),
        "servers/supervisord.conf",
    ),
    "program-file": (lambda: with_file("servers/conf.d/nats-1.conf"), "servers/conf.d/nats-1.conf"),
    "agent-config-missing": (lambda: with_file(GATEKEEPER_TOML), GATEKEEPER_TOML),
    "agent-config-syntax": (lambda: with_file(GATEKEEPER_TOML, b"[["), GATEKEEPER_TOML),
    "agent-config-value": (
        lambda: observation(agent_problems={GATEKEEPER_TOML: ("logs.level: is not",)}),
        GATEKEEPER_TOML,
    ),
    "login-config-missing": (lambda: with_file(f"{GATEKEEPER}/agent.hcl"), GATEKEEPER),
    "node-config-missing": (lambda: with_file("authority/openbao-2/config.hcl"), "openbao-2"),
    "server-config-missing": (lambda: with_file("servers/nats-2/nats.conf"), "nats-2/nats.conf"),
    "server-config-wrong": (lambda: server(configuration_problem="no"), "servers/nats-2/nats.conf"),
    "digest": (
        lambda: changed(GATEKEEPER_TOML, lambda text: text + "\n# by hand\n"),
        GATEKEEPER_TOML,
    ),
    "unseal-key": (lambda: with_file("authority/unseal.key", b"short"), "authority/unseal.key"),
    "recovery-keys": (
        lambda: with_file(f"{ADMIN}/recovery-keys.json", b"{}"),
        f"{ADMIN}/recovery-keys.json",
    ),
    "node-key": (lambda: with_file(f"{TLS}/openbao-1.key", b"x"), f"{TLS}/openbao-1.key"),
    "authority-ca-key": (lambda: with_file(f"{TLS}/ca.key"), f"{TLS}/ca.key"),
    "authority-keys": (
        lambda: with_file(f"{ADMIN}/authority-keys.json", b"[]"),
        f"{ADMIN}/authority-keys.json",
    ),
    "administrator-keys": (
        lambda: with_file(f"{ADMIN}/administrator-keys.json", b"\xff"),
        f"{ADMIN}/administrator-keys.json",
    ),
    "administrator-key": (
        lambda: with_file(f"{ADMIN}/administrator.key", b"x"),
        f"{ADMIN}/administrator.key",
    ),
    "administrator-pair": (
        lambda: with_file(f"{ADMIN}/administrator-keys.json", keys_json().encode()),
        f"{ADMIN}/administrator-keys.json",
    ),
    "role-id": (lambda: with_file(f"{GATEKEEPER}/role-id", b"?"), f"{GATEKEEPER}/role-id"),
    "secret-id": (lambda: with_file(f"{GATEKEEPER}/secret-id", b""), f"{GATEKEEPER}/secret-id"),
    "secret-mode": (
        lambda: with_file(
            f"{GATEKEEPER}/secret-id",
            observation().files[f"{GATEKEEPER}/secret-id"].content,
            mode=0o644,
        ),
        f"{GATEKEEPER}/secret-id",
    ),
    "secret-owner": (
        lambda: with_file(
            f"{ADMIN}/administrator.key", administrator()[0], mode=0o600, is_own=False
        ),
        f"{ADMIN}/administrator.key",
    ),
    "token-missing": (token, GATEKEEPER),
    "token-mode": (lambda: token(content=b"x", mode=0o640), "token of"),
    "ca-missing": (lambda: with_file(f"{TLS}/ca.crt"), f"{TLS}/ca.crt"),
    "ca-wrong": (lambda: with_file(f"{TLS}/ca.crt", b"x"), f"{TLS}/ca.crt"),
    "ca-ended": (lambda: ended("ca"), f"{TLS}/ca.crt"),
    "node-certificate-missing": (lambda: with_file(f"{TLS}/openbao-2.crt"), f"{TLS}/openbao-2.crt"),
    "node-certificate-wrong": (
        lambda: with_file(f"{TLS}/openbao-2.crt", b"x"),
        f"{TLS}/openbao-2.crt",
    ),
    "node-certificate-ended": (lambda: ended("node"), f"{TLS}/openbao-2.crt"),
    "node-certificate-issuer": (
        lambda: with_file(f"{TLS}/openbao-2.crt", node_certificate(other_authority())),
        f"{TLS}/openbao-2.crt",
    ),
    "clock-behind": (
        lambda: observation(now=NOW - timedelta(hours=3)),
        f"{TLS}/ca.crt",
    ),
    "profile": (
        lambda: changed(GATEKEEPER_TOML, lambda text: text.replace("compressed", "test")),
        GATEKEEPER_TOML,
    ),
    "trust-domain": (
        lambda: changed(GATEKEEPER_TOML, lambda text: text.replace("a.test", "b.test")),
        GATEKEEPER_TOML,
    ),
    "identity": (
        lambda: changed(GATEKEEPER_TOML, lambda text: text.replace('"gatekeeper"', '"watcher"')),
        GATEKEEPER_TOML,
    ),
    "openbao-address": (
        lambda: changed("authority/openbao-2/config.hcl", lambda text: text.replace("01", "77", 1)),
        "authority/openbao-2/config.hcl",
    ),
    "server-address": (
        lambda: changed("servers/nats-2/nats.conf", lambda text: text.replace("24211", "24299")),
        "servers/nats-2/nats.conf",
    ),
    "other-address": (
        lambda: changed(GATEKEEPER_TOML, lambda text: text.replace("24211", "24299")),
        GATEKEEPER_TOML,
    ),
    "health-port": (
        lambda: changed(GATEKEEPER_TOML, lambda text: text.replace("24227", "24225")),
        GATEKEEPER_TOML,
    ),
    "supervisor": (
        lambda: observation(daemons={**observation().daemons, "services": DaemonSeen("gone")}),
        "supervisord of services",
    ),
    "process-stopped": (lambda: with_process("servers/nats-2", state="STOPPED"), "servers/nats-2"),
    "process-ended": (lambda: with_process("servers/nats-2", state="EXITED"), "servers/nats-2"),
    "process-config": (
        lambda: with_process(GATEKEEPER, state="EXITED", exit_code=78, last_words=("logs: no",)),
        GATEKEEPER,
    ),
    "process-port": (
        lambda: with_process(
            "servers/nats-2",
            state="BACKOFF",
            last_words=("listen tcp 127.0.0.1:24211: bind: address already in use", "exit"),
        ),
        "servers/nats-2",
    ),
    "process-failing": (lambda: with_process("servers/nats-2", state="FATAL"), "servers/nats-2"),
    "process-frozen": (lambda: with_process("servers/nats-2", is_frozen=True), "servers/nats-2"),
    "process-missing": (
        lambda: observation(
            processes={k: v for k, v in observation().processes.items() if k != GATEKEEPER}
        ),
        GATEKEEPER,
    ),
    "node-away": (lambda: node("openbao-2", problem="connection refused"), "authority/openbao-2"),
    "node-empty": (lambda: node("openbao-2", is_initialized=False), "authority/openbao-2"),
    "node-sealed": (lambda: node("openbao-2", is_sealed=True), "authority/openbao-2"),
    "node-version": (lambda: node("openbao-2", version="2.7.1"), "authority/openbao-2"),
    "no-leader": (lambda: nodes(is_standby=True), "OpenBao"),
    "clock": (lambda: node("openbao-2", clock=NOW + timedelta(minutes=1)), "authority/openbao-2"),
    "openbao-login": (lambda: observation(store=StoreSeen(login_problem="no")), "authority/admin"),
    "document-missing": (
        lambda: store(documents={names.KV_ACL: None}),
        f"secret/{names.KV_ACL}",
    ),
    "trust-refused": (lambda: store(trust_problem="no"), f"secret/{names.KV_TRUST_BUNDLE}"),
    "authority-keys-others": (
        lambda: store(trust_problem="no", is_signer_unknown=True),
        f"{ADMIN}/authority-keys.json",
    ),
    "leaf-refused": (lambda: store(leaf_problem="no"), "nats_int"),
    "server-away": (lambda: server(client=ProbeResult(error="refused")), "servers/nats-2"),
    "server-route-away": (lambda: server(route=ProbeResult(error="refused")), "servers/nats-2"),
    "server-certificate-ended": (
        lambda: server(client=ProbeResult(("nats-int e1 0000000000000001",), leaf_not_after=NOW)),
        "servers/nats-2",
    ),
    "server-trust": (lambda: server(client=ProbeResult(("old",))), "servers/nats-2"),
    "health-away": (lambda: health(problem="refused"), GATEKEEPER),
    "not-live": (lambda: health(is_live=False), GATEKEEPER),
    "not-ready": (lambda: health(reasons=("no leaf certificate",)), GATEKEEPER),
    "bus-refused": (lambda: observation(bus=BusSeen(problem="refused")), "the bus"),
    "authority-silent": (
        lambda: bus(status=None, status_problem="no answer"),
        "authority/metadata",
    ),
    "rotation-waits": (lambda: bus(status=status(next=LONG_WAIT)), "the CA rotation"),
    "rotation-excused": (lambda: bus(status=status(excuses=["x"])), "the CA rotation"),
    "census-incomplete": (
        lambda: bus(status={**status(), "census": {"complete": False}}),
        "the census",
    ),
    "stream-missing": (lambda: without_stream("AUTH_STREAM"), "stream AUTH_STREAM"),
    "durable-missing": (lambda: bus(durables={}), "durable auth-controller"),
    "stream-leader": (lambda: streams(cluster={"leader": ""}), "stream AUTH_STREAM"),
    "stream-replicas": (
        lambda: streams(cluster={"leader": "a", "replicas": [{"name": "b", "current": False}]}),
        "stream AUTH_STREAM",
    ),
    "stream-full": (lambda: streams(state={"bytes": 800}), "stream AUTH_STREAM"),
    "streams-unknown": (lambda: bus(streams=None, streams_problem="no answer"), "JetStream"),
}


def test_nothing_is_found_on_a_healthy_platform() -> None:
    assert decide(observation()) == []


def test_every_check_of_the_catalogue_is_tried() -> None:
    assert set(WHAT_EACH_CHECK_FINDS) == set(CATALOGUE)
    assert len(CATALOGUE) >= 60


@pytest.mark.parametrize("check", WHAT_EACH_CHECK_FINDS)
def test_a_fault_is_the_first_line(check: str) -> None:
    make, subject = WHAT_EACH_CHECK_FINDS[check]
    first = decide(make())[0]
    assert first.check == check, first
    assert subject in first.subject
    assert first.what
    advice = CATALOGUE[check]
    assert "{" not in advice.next_for(first, "/state")


# --- consequences are left out (rules 3 and 4) ----------------------------------------------


def only(seen: Observation) -> str:
    (finding,) = decide(seen)
    return f"{finding.check} {finding.subject}"


def unreachable(seen: Observation) -> Observation:
    """Return what is seen when OpenBao is gone for all."""
    held = {
        name: replace(process, health=HealthSeen(reasons=("OpenBao has not answered",)))
        if process.health
        else process
        for name, process in seen.processes.items()
    }
    away = {name: NodeSeen(problem="read timed out") for name in seen.nodes}
    return replace(seen, processes=held, nodes=away, store=None, bus=None)


def test_frozen_nodes_explain_that_nobody_is_ready() -> None:
    seen = unreachable(observation())
    frozen = {
        name: replace(process, is_frozen=True) if "openbao-" in name else process
        for name, process in seen.processes.items()
    }
    found = decide(replace(seen, processes=frozen))
    assert {finding.check for finding in found} == {"process-frozen"}


def test_a_stopped_bao_agent_explains_the_missing_token() -> None:
    seen = with_process(f"{GATEKEEPER}-bao", state="STOPPED")
    seen = replace(seen, tokens={**seen.tokens, GATEKEEPER: FileSeen()})
    assert only(seen) == f"process-stopped {GATEKEEPER}-bao"


def test_a_stopped_server_explains_its_keeper_and_its_ports() -> None:
    seen = with_process("servers/nats-2", state="STOPPED")
    gone = ProbeResult(error="connection refused")
    held = dict(seen.processes)
    held["servers/keeper-2"] = replace(
        held["servers/keeper-2"], health=HealthSeen(reasons=("waits for the server to start",))
    )
    servers = {**seen.servers, "nats-2": replace(seen.servers["nats-2"], client=gone, route=gone)}
    assert only(replace(seen, processes=held, servers=servers)) == "process-stopped servers/nats-2"


def test_a_server_that_starts_again_and_again_for_its_port_says_so() -> None:
    said = ("[FTL] Error listening on port: 127.0.0.1:24211, bind: address already in use",)
    seen = with_process("servers/nats-2", uptime_seconds=1.5, last_words=said)
    (finding,) = decide(seen)
    assert finding.check == "process-port"
    assert "127.0.0.1:24211 is held" in finding.what


def test_a_supervisor_that_is_gone_explains_its_processes() -> None:
    seen = observation()
    held = {k: v for k, v in seen.processes.items() if not k.startswith("services/")}
    daemons = {**seen.daemons, "services": DaemonSeen("connection refused")}
    assert only(replace(seen, processes=held, daemons=daemons)) == (
        "supervisor supervisord of services"
    )


def test_a_file_that_is_gone_explains_its_process() -> None:
    seen = with_file(GATEKEEPER_TOML)
    held = dict(seen.processes)
    held[GATEKEEPER] = replace(held[GATEKEEPER], state="EXITED", exit_code=78)
    assert only(replace(seen, processes=held)) == f"agent-config-missing {GATEKEEPER_TOML}"


def test_cleaned_memory_explains_every_token() -> None:
    seen = machine(run_dir_mode=None)
    seen = replace(seen, tokens=dict.fromkeys(AGENTS, FileSeen()))
    assert only(seen).startswith("run-dir ")


def test_what_nobody_looked_at_is_no_finding() -> None:
    assert decide(observation(store=None, bus=None, nodes={}, servers={})) == []


def test_every_process_has_a_place_in_the_platform() -> None:
    assert len(processes()) == 18


# --- every file, hurt in every way ----------------------------------------------------------------

HURT: dict[str, Callable[[bytes], bytes | None]] = {
    "removed": lambda _content: None,
    "emptied": lambda _content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "overwritten": lambda content: bytes(range(100, 148))[::-1] + b"\xff" + content[49:],
}


@pytest.mark.parametrize("how", HURT)
@pytest.mark.parametrize("path", contents())
def test_a_hurt_file_is_the_first_line(path: str, how: str) -> None:
    hurt = HURT[how](contents()[path])
    found = decide(with_file(path, hurt))
    assert found, f"{path} {how} is not noticed"
    assert found[0].subject == path

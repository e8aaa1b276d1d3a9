"""A platform on which nothing is wrong, as the command that checks it would see it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from certificates import Issuer
from securetransport.core.base import names
from securetransport.core.crypto import signing
from securetransport.core.decisions.check import (
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
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.ports import ProbeResult
from trust_scene import keys_json

NOW = datetime.now(UTC)
UUID = b"0123abcd-0000-1111-2222-0123456789ab"
NUMBERS = (1, 2, 3)
ISSUER = "nats-int e1 0000000000000001"
CLUSTERS = ("authority", "servers", "services")
SUPERVISOR = b"[supervisord]\n[unix_http_server]\n[rpcinterface:supervisor]\n[include]\n"
AGENTS = {
    "authority/metadata-1": ("metadata", "1", 24220),
    "servers/keeper-1": ("keeper", "1", 24222),
    "servers/keeper-2": ("keeper", "2", 24223),
    "servers/keeper-3": ("keeper", "3", 24224),
    "servers/watcher-1": ("watcher", "1", 24225),
    "services/gatekeeper-1": ("gatekeeper", "1", 24227),
}


@cache
def authority() -> Issuer:
    """The CA of OpenBao's listeners."""
    return Issuer.root("listeners").intermediate("OpenBao listeners", timedelta(days=400))


@cache
def other_authority() -> Issuer:
    """Somebody else's."""
    return Issuer.root("others").intermediate("others", timedelta(days=400))


def node_certificate(issuer: Issuer, life: timedelta = timedelta(days=100)) -> bytes:
    return issuer.leaf("nats/1", life=life).certificate.encode()


@cache
def administrator() -> tuple[bytes, bytes]:
    """Its private key and the pinned public ones."""
    pem = signing.generate_key_pem()
    key = signing.signing_key_from_pem(pem)
    keys = AuthorityKeys({key.key_id: (key.algorithm, key.public_key)})
    return pem.encode(), keys.to_json().encode()


def agent_toml(process: str) -> bytes:
    service, instance, port = AGENTS[process]
    addresses = [f"https://127.0.0.1:{24199 + number}" for number in NUMBERS]
    servers = [f"tls://127.0.0.1:{24209 + number}" for number in NUMBERS]
    text = f"""
identity = {{service = "{service}", instance = "{instance}", trust_domain = "a.test"}}
openbao = {{addresses = {json.dumps(addresses)}, token_file = "/run/{process}/token"}}
health = {{host = "127.0.0.1", port = {port}}}
profile = {{name = "compressed"}}
"""
    if service == "keeper":
        text += f"""
[server]
name = "nats-{instance}"
client_address = "127.0.0.1:{24209 + int(instance)}"
route_address = "127.0.0.1:{24212 + int(instance)}"
"""
    else:
        text += f"\n[nats]\nservers = {json.dumps(servers)}\n"
    return text.encode()


def nats_conf(number: int) -> bytes:
    peers = "\n".join(f'"tls://localhost:{24212 + peer}"' for peer in NUMBERS if peer != number)
    return f"""# Written by Ansible.
listen: "127.0.0.1:{24209 + number}"
include ./managed/broker.conf
tls {{ include ./managed/tls.conf }}
cluster {{
  listen: "127.0.0.1:{24212 + number}"
  routes: [ {peers} ]
  tls {{ include ./managed/tls.conf }}
}}
""".encode()


def config_hcl(number: int) -> bytes:
    return f"""
listener "tcp" {{
  address         = "127.0.0.1:{24199 + number}"
  cluster_address = "127.0.0.1:{24202 + number}"
}}
api_addr     = "https://127.0.0.1:{24199 + number}"
cluster_addr = "https://127.0.0.1:{24202 + number}"
""".encode()


@cache
def contents() -> dict[str, bytes]:
    """Return every file of the platform."""
    key, keys = administrator()
    found: dict[str, bytes] = {f"{cluster}/supervisord.conf": SUPERVISOR for cluster in CLUSTERS}
    found |= {
        "authority/tls/ca.crt": authority().pem.encode(),
        "authority/tls/ca.key": b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n",
        "authority/unseal.key": b"k" * 32,
        "authority/admin/cli.toml": b'openbao_addresses = ["https://127.0.0.1:24200"]\n',
        "authority/admin/role-id": UUID,
        "authority/admin/secret-id": UUID,
        "authority/admin/recovery-keys.json": b'{"keys": ["x"]}',
        "authority/admin/administrator.key": key,
        "authority/admin/administrator-keys.json": keys,
        "authority/admin/authority-keys.json": keys_json().encode(),
        "authority/ansible-admin/role-id": UUID,
        "authority/ansible-admin/secret-id": UUID,
    }
    for number in NUMBERS:
        node, tls = f"authority/openbao-{number}", f"authority/tls/openbao-{number}"
        found[f"{node}/config.hcl"] = config_hcl(number)
        found[f"{tls}.crt"] = node_certificate(authority())
        found[f"{tls}.key"] = found["authority/tls/ca.key"]
        found[f"servers/nats-{number}/nats.conf"] = nats_conf(number)
    for process in AGENTS:
        found[f"{process}/config.toml"] = agent_toml(process)
        found[f"{process}/agent.hcl"] = b'address = "https://127.0.0.1:24200"\n'
        found[f"{process}/role-id"] = found[f"{process}/secret-id"] = UUID
    for process in processes():
        cluster, name = process.split("/")
        given = found.get(configuration(process), b"")
        digest = hashlib.sha256(given).hexdigest() if not name.startswith("nats-") else "none"
        found[f"{cluster}/conf.d/{name}.conf"] = program_file(name, digest)
    return found


def program_file(name: str, digest: str) -> bytes:
    return f"""; Written by Ansible
[program:{name}]
command=/bin/x
directory=/state
environment=CONFIGURATION_DIGEST="{digest}"
autostart=true
autorestart=unexpected
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=/state/log/{name}.log
""".encode()


def processes() -> list[str]:
    """Return every process of the platform."""
    return [
        *(f"authority/openbao-{number}" for number in NUMBERS),
        *(f"servers/nats-{number}" for number in NUMBERS),
        *AGENTS,
        *(f"{process}-bao" for process in AGENTS),
    ]


def configuration(process: str) -> str:
    """Return the file that a process was given."""
    if process.endswith("-bao"):
        return process.removesuffix("-bao") + "/agent.hcl"
    name = "config.hcl" if "openbao-" in process else "config.toml"
    return f"{process}/{'nats.conf' if '/nats-' in process else name}"


def observation(**changes: Any) -> Observation:
    """Return the healthy platform, with some of its parts exchanged."""
    seen = Observation(
        now=NOW,
        config="authority/admin/cli.toml",
        config_problems=(),
        files={path: FileSeen(content, 0o600) for path, content in contents().items()},
        tokens={process: FileSeen(b"s.token", 0o600) for process in AGENTS},
        machine=MachineSeen(1 << 40, 1 << 20, 4096, "/run/x", 0o700),
        daemons={cluster: DaemonSeen() for cluster in CLUSTERS},
        processes={
            name: ProcessSeen("RUNNING", health=HealthSeen() if name in AGENTS else None)
            for name in processes()
        },
        nodes={
            f"openbao-{number}": NodeSeen(is_standby=number > 1, version="2.7.2", clock=NOW)
            for number in NUMBERS
        },
        servers={
            f"nats-{number}": ServerSeen(
                ProbeResult((ISSUER,), ISSUER, None, NOW + timedelta(minutes=1)),
                ProbeResult((ISSUER,), ISSUER, None, NOW + timedelta(minutes=1)),
            )
            for number in NUMBERS
        },
        store=StoreSeen(
            documents=dict.fromkeys(DOCUMENTS, b"x"),
            anchors=frozenset({ISSUER}),
        ),
        bus=BusSeen(
            status=status(),
            streams={name: stream() for name in (*PLATFORM_STREAMS, "AUTH_STREAM")},
            durables={"AUTH_STREAM": ("auth-controller",)},
            expected={"AUTH_STREAM": ("auth-controller",)},
        ),
    )
    return replace(seen, **changes)


DOCUMENTS = (
    names.KV_ACL,
    names.KV_TRUST_BUNDLE,
    names.KV_BROKER_POLICY,
    names.KV_DIRECTORY,
)
PLATFORM_STREAMS = (
    names.STREAM_CA_CLIENT,
    names.STREAM_ATTESTATIONS,
    names.STREAM_ROTATION_LOG,
    names.STREAM_DEAD_LETTERS,
)


def status(**ca: Any) -> dict[str, Any]:
    usual = {"excuses": [], "next": {"step": "plan", "waits_for": []}}
    return {"ca": {**usual, **ca}, "census": {"complete": True, "unknown": 0}}


def stream(**changes: Any) -> dict[str, Any]:
    return {
        "config": {"max_bytes": 1000},
        "state": {"bytes": 10},
        "cluster": {"leader": "nats-1", "replicas": [{"name": "nats-2", "current": True}]},
        **changes,
    }


def with_file(path: str, content: bytes | None = None, **facts: Any) -> Observation:
    """Return the platform with one file exchanged; ``None`` removes it."""
    seen = observation()
    mode = None if content is None else 0o600
    files = dict(seen.files)
    files[path] = FileSeen(**{"content": content, "mode": mode, **facts})
    return replace(seen, files=files)


def changed(path: str, change: Callable[[str], str]) -> Observation:
    """Return the platform with the text of one file changed."""
    before = contents()[path].decode()
    after = change(before)
    assert after != before
    return with_file(path, after.encode())


def with_process(name: str, **changes: Any) -> Observation:
    """Return the platform with one process exchanged."""
    seen = observation()
    held = dict(seen.processes)
    held[name] = replace(held[name], **changes)
    return replace(seen, processes=held)

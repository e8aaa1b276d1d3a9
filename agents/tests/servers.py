"""Real servers for tests: OpenBao (raft, TLS, static seal, self-init) and nats-server (mTLS).

Everything listens on loopback on free ports, lives in a temporary directory, and is killed by the
session fixtures of ``conftest.py``. Typical use::

    async def test_x(bao: OpenBao) -> None:
        store = bao.store()                                  # as administrator
        reader = bao.store(bao.token_file('path "secret/data/a" { capabilities = ["read"] }'))

    def test_y(pki: Pki, make_nats: MakeNats) -> None:
        issuer = pki.intermediate("nats-int e1 0000000000000001")
        servers = make_nats(3, issuer, anchors=[issuer])     # a list of running NatsServer
        identity = issuer.leaf("gatekeeper/1")               # TlsIdentity with its SPIFFE id
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certificates import Issuer
from securetransport.adapters.openbao import OpenBaoStore
from securetransport.core.names import spiffe_id

BIN = Path(sys.executable).parent
TRUST_DOMAIN = "securetransport.test"
LOOPBACK = "127.0.0.1"
ADMIN = "(administrator)"
ALL_RIGHTS = (
    'path "*" { capabilities = ["create","read","update","delete","list","sudo","patch","scan"] }'
)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((LOOPBACK, 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def wait_until(what: str, check: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll ``check`` until it is true; fail with ``what`` otherwise."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Process:
    """A child process with its log file; stopping it twice is fine."""

    def __init__(
        self, arguments: Sequence[str], log: Path, env: dict[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(  # fixed programs of the test environment
                arguments, stdout=output, stderr=output, env={**os.environ, **(env or {})}
            )

    def is_running(self) -> bool:
        return self.child.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def kill(self) -> None:
        if self.is_running():
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
        self.child.wait(20)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


# --- OpenBao ---------------------------------------------------------------------------------

_SELF_INIT = """
initialize "auth" {
  request "userpass" {
    operation = "update" path = "sys/auth/userpass" data = { type = "userpass" }
  }
  request "policy" {
    operation = "update" path = "sys/policies/acl/test-admin"
    data = { policy = %(policy)s }
  }
  request "user" {
    operation = "update" path = "auth/userpass/users/admin"
    data = {
      password = { eval_type = "string" eval_source = "env" env_var = "TEST_ADMIN_PASSWORD" }
      token_policies = ["test-admin"]
    }
  }
}
initialize "mounts" {
  request "pki" {
    operation = "update" path = "sys/mounts/pki"
    data = { type = "pki" config = { max_lease_ttl = "87600h" } }
  }
  request "nats_int" {
    operation = "update" path = "sys/mounts/nats_int"
    data = { type = "pki" config = { max_lease_ttl = "8760h" } }
  }
  request "secret" {
    operation = "update" path = "sys/mounts/secret"
    data = { type = "kv" options = { version = "2" } }
  }
  request "transit" { operation = "update" path = "sys/mounts/transit" data = { type = "transit" } }
  request "approle" { operation = "update" path = "sys/auth/approle" data = { type = "approle" } }
}
"""


@dataclass
class OpenBao:
    """A running cluster; mounts as in docs/architecture.md: pki nats_int secret transit approle.

    Attributes:
        addresses: ``https://127.0.0.1:port`` of every node.
        ca_file: PEM of the CA of its TLS certificates.
        admin_token_file: Token that may do everything.
    """

    directory: Path
    nodes: int = 1
    standby_reads: bool = False
    addresses: tuple[str, ...] = ()
    processes: list[Process] = field(default_factory=list)
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    stores: list[OpenBaoStore] = field(default_factory=list)

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def admin_token_file(self) -> Path:
        return self.directory / "admin.token"

    def start(self) -> OpenBao:
        self.directory.mkdir(parents=True, exist_ok=True)
        ca = Issuer.root("openbao test CA")
        self.ca_file.write_text(ca.pem)
        unseal = self.directory / "unseal.key"
        unseal.write_bytes(secrets.token_bytes(32))
        unseal.chmod(0o600)
        ports = free_ports(2 * self.nodes)
        self.addresses = tuple(f"https://{LOOPBACK}:{port}" for port in ports[: self.nodes])
        for index in range(self.nodes):
            self._configure(index, ca, ports)
        for index in range(self.nodes):
            self.start_node(index)
            if index == 0:
                self.wait_active()
        wait_until("standbys joined", lambda: all(s in (200, 429) for s in self.health()), 30)
        login = self.call(
            "POST", "auth/userpass/login/admin", {"password": self.password}, token=None
        )
        self.admin_token_file.write_text(login["auth"]["client_token"])
        self.admin_token_file.chmod(0o600)
        self.call("POST", "secret/config", {"cas_required": True})
        if self.nodes > 1:
            self._wait_voters()
        return self

    def _wait_voters(self) -> None:
        """Make joined nodes voters quickly; by default they cannot take over in the first 10 s."""
        self.call(
            "POST",
            "sys/storage/raft/autopilot/configuration",
            {"server_stabilization_time": "1s", "dead_server_last_contact_threshold": "2s"},
        )

        def check() -> bool:
            found = self.call("GET", "sys/storage/raft/configuration")["data"]["config"]["servers"]
            return len(found) == self.nodes and all(item["voter"] for item in found)

        wait_until("all nodes are voters", check, 30)

    def _configure(self, index: int, ca: Issuer, ports: list[int]) -> None:
        home = self.directory / f"openbao-{index + 1}"
        (home / "raft").mkdir(parents=True)
        leaf = ca.leaf("openbao")
        (home / "tls.crt").write_text(leaf.certificate)
        (home / "tls.key").write_text(leaf.private_key)
        (home / "tls.key").chmod(0o600)
        join = ""
        if index:
            join = (
                f'retry_join {{ leader_api_addr = "{self.addresses[0]}"'
                f' leader_ca_cert_file = "{self.ca_file}" }}'
            )
        port, cluster_port = ports[index], ports[self.nodes + index]
        text = f"""
storage "raft" {{
  path = "{home}/raft"
  node_id = "openbao-{index + 1}"
  performance_multiplier = "1"
  {join}
}}
listener "tcp" {{
  address = "{LOOPBACK}:{port}"
  cluster_address = "{LOOPBACK}:{cluster_port}"
  tls_cert_file = "{home}/tls.crt"
  tls_key_file = "{home}/tls.key"
}}
api_addr = "{self.addresses[index]}"
cluster_addr = "https://{LOOPBACK}:{cluster_port}"
seal "static" {{
  current_key_id = "1"
  current_key = "file://{self.directory}/unseal.key"
}}
disable_standby_reads = {str(not self.standby_reads).lower()}
log_level = "warn"
"""
        if index == 0:
            text += _SELF_INIT % {"policy": json.dumps(ALL_RIGHTS)}
        (home / "config.hcl").write_text(text)

    def start_node(self, index: int) -> None:
        """Start (again) one node; returns before it is unsealed."""
        home = self.directory / f"openbao-{index + 1}"
        process = Process(
            [str(BIN / "bao"), "server", "-config", str(home / "config.hcl")],
            home / "log",
            {"TEST_ADMIN_PASSWORD": self.password},
        )
        if index < len(self.processes):
            self.processes[index].kill()
            self.processes[index] = process
        else:
            self.processes.append(process)

    def health(self) -> list[int]:
        """Status of every node: 200 active, 429 standby, 503 sealed, 0 not there."""
        return [self._health(address) for address in self.addresses[: len(self.processes)]]

    def _health(self, address: str) -> int:
        request = urllib.request.Request(f"{address}/v1/sys/health")  # noqa: S310  # https above
        try:
            with urllib.request.urlopen(request, context=self._tls(), timeout=2) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def active(self) -> int:
        """Index of the active node."""
        return self.health().index(200)

    def wait_active(self) -> None:
        """Wait until some node is active."""

        def check() -> bool:
            if not any(process.is_running() for process in self.processes):
                raise AssertionError(self.processes[0].tail())
            return 200 in self.health()

        wait_until("an active OpenBao node", check, 30)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = ADMIN,
        node: int = 0,
    ) -> dict[str, Any]:
        """Call the API by plain HTTP, past the code under test.

        Args:
            method: HTTP method.
            path: After ``/v1/``.
            body: JSON body.
            token: ``ADMIN`` for the administrator's, ``None`` for none.
            node: Which node to ask.
        """
        headers = {"Content-Type": "application/json"}
        if token == ADMIN:
            token = self.admin_token_file.read_text()
        if token is not None:
            headers["X-Vault-Token"] = token
        request = urllib.request.Request(  # noqa: S310  # the address is https
            f"{self.addresses[node]}/v1/{path}",
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, context=self._tls(), timeout=10) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error
        return dict(json.loads(text)) if text else {}

    def token_file(self, policy: str, *, ttl: str = "1h") -> Path:
        """Return a new file with a token that has exactly ``policy`` (HCL)."""
        name = f"test-{secrets.token_hex(6)}"
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        made = self.call(
            "POST", "auth/token/create", {"policies": [name], "no_default_policy": True, "ttl": ttl}
        )
        path = self.directory / f"{name}.token"
        path.write_text(made["auth"]["client_token"])
        path.chmod(0o600)
        return path

    def store(
        self, token_file: Path | None = None, *, timeout_seconds: float = 5.0
    ) -> OpenBaoStore:
        """Return a store over all nodes, as administrator unless told otherwise."""
        store = OpenBaoStore(
            self.addresses, self.ca_file, token_file or self.admin_token_file, timeout_seconds
        )
        self.stores.append(store)
        return store

    def stop(self) -> None:
        for store in self.stores:
            store.close()
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


# --- nats-server -----------------------------------------------------------------------------


def accounts_text(app_users: Iterable[str], sys_users: Iterable[str] = ("watcher", "nats")) -> str:
    """Return an ``accounts`` block: services by SPIFFE id, unlimited, JetStream in APP."""

    def users(services: Iterable[str]) -> str:
        return ", ".join(
            f'{{user: "{spiffe_id(TRUST_DOMAIN, name)}"}}'  # type: ignore[arg-type]  # test names
            for name in services
        )

    return f"""
accounts {{
  SYS: {{ users: [{users(sys_users)}] }}
  APP: {{ jetstream: enabled, users: [{users(app_users)}] }}
}}
system_account: SYS
"""


DEFAULT_USERS = ("metadata", "gatekeeper", "auth-controller", "admin")


@dataclass
class NatsServer:
    """One nats-server whose TLS files can be replaced and reloaded while it runs.

    Attributes:
        name: ``nats-1`` and so on.
        port: Clients (INFO first, then mTLS); ``route_port``: routes (TLS first).
        url: ``tls://127.0.0.1:port``.
    """

    name: str
    directory: Path
    port: int
    route_port: int
    monitor_port: int
    routes: tuple[int, ...]
    accounts: str
    extra: str = ""
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"tls://{LOOPBACK}:{self.port}"

    def material(self, issuer: Issuer, anchors: Iterable[Issuer]) -> None:
        """Write a fresh leaf of ``issuer`` and the trust file, as a keeper does."""
        leaf = issuer.leaf(f"nats/{self.name}")
        for file, text in (
            ("tls.crt", leaf.certificate),
            ("tls.key", leaf.private_key),
            ("ca.crt", "".join(anchor.pem for anchor in anchors)),
        ):
            path = self.directory / file
            path.write_text(text)
            path.chmod(0o600)

    def start(self) -> None:
        """Start (again) and wait until the client port listens."""
        tls = (
            f'cert_file: "{self.directory}/tls.crt", key_file: "{self.directory}/tls.key", '
            f'ca_file: "{self.directory}/ca.crt", min_version: "1.3"'
        )
        cluster = ""
        if self.routes:
            peers = ", ".join(f"tls://{LOOPBACK}:{port}" for port in self.routes)
            cluster = (
                f'cluster {{ name: test, listen: "{LOOPBACK}:{self.route_port}", '
                f"routes: [{peers}], tls {{ {tls}, verify: true, timeout: 3 }} }}"
            )
        conf = self.directory / "nats.conf"
        conf.write_text(f"""
server_name: {self.name}
listen: "{LOOPBACK}:{self.port}"
http: "{LOOPBACK}:{self.monitor_port}"
jetstream {{ store_dir: "{self.directory}/jetstream" }}
tls {{ {tls}, verify_and_map: true, timeout: 3 }}
{self.accounts}
{cluster}
{self.extra}
""")
        self.process = Process([str(BIN / "nats-server"), "-c", str(conf)], self.directory / "log")
        wait_until(f"{self.name} listens", self._listens)

    def _listens(self) -> bool:
        assert self.process is not None
        if not self.process.is_running():
            raise AssertionError(self.process.tail())
        try:
            socket.create_connection((LOOPBACK, self.port), 0.5).close()
        except OSError:
            return False
        return True

    def monitor(self, path: str) -> dict[str, Any]:
        """Read the monitoring port, for example ``connz?auth=1``."""
        url = f"http://{LOOPBACK}:{self.monitor_port}/{path}"
        with urllib.request.urlopen(url, timeout=3) as answer:
            return dict(json.load(answer))

    def reload(self) -> None:
        """SIGHUP, and wait until the server says it took the files (or refused them)."""
        assert self.process is not None
        before = self._reloads()
        self.process.send(signal.SIGHUP)
        wait_until(f"{self.name} reloaded", lambda: self._reloads() > before)

    def _reloads(self) -> int:
        assert self.process is not None
        text = self.process.log.read_text(errors="replace")
        return text.count("Reloaded server configuration") + text.count("Failed to reload")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()


def start_nats(
    directory: Path,
    count: int,
    issuer: Issuer,
    anchors: Iterable[Issuer],
    *,
    accounts: str | None = None,
    extra: str = "",
) -> list[NatsServer]:
    """Start ``count`` servers (a cluster when more than one), ready for JetStream.

    Args:
        directory: Where they live; removed by nobody but the caller.
        issuer: Signs the servers' leafs.
        anchors: What the servers trust.
        accounts: Configuration text instead of :func:`accounts_text` of ``DEFAULT_USERS``.
        extra: More configuration text.
    """
    ports = free_ports(3 * count)
    clustered = tuple(ports[count : 2 * count]) if count > 1 else ()
    servers: list[NatsServer] = []
    for index in range(count):
        home = directory / f"nats-{index + 1}"
        home.mkdir(parents=True)
        server = NatsServer(
            name=f"nats-{index + 1}",
            directory=home,
            port=ports[index],
            route_port=ports[count + index],
            monitor_port=ports[2 * count + index],
            routes=clustered,
            accounts=accounts if accounts is not None else accounts_text(DEFAULT_USERS),
            extra=extra,
        )
        server.material(issuer, anchors)
        servers.append(server)
    try:
        for server in servers:
            server.start()
        wait_until("JetStream is ready", lambda: all(_is_ready(item) for item in servers), 30)
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return servers


def _is_ready(server: NatsServer) -> bool:
    try:
        return bool(server.monitor("healthz").get("status") == "ok")
    except OSError:
        return False

"""Real OpenBao for tests: raft, TLS, static seal, self-init; see ``servers.py`` for its use."""

from __future__ import annotations

import json
import secrets
import shutil
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certificates import Issuer
from processes import BIN, LOOPBACK, Process, free_ports, wait_until
from securetransport.adapters.openbao import OpenBaoStore

ADMIN = "(administrator)"
ALL_RIGHTS = (
    'path "*" { capabilities = ["create","read","update","delete","list","sudo","patch","scan"] }'
)
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

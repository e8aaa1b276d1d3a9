"""Real servers for tests: OpenBao (raft, TLS, static seal, self-init) and nats-server (mTLS).

Everything listens on loopback on free ports, lives in a temporary directory, and is killed by the
session fixtures of ``conftest.py``. Typical use::

    async def test_x(bao: OpenBao) -> None:
        store = bao.store()                                  # as administrator
        reader = bao.store(bao.token_file('path "secret/data/a" { capabilities = ["read"] }'))

    def test_y(pki: Issuer, make_nats: MakeNats) -> None:
        issuer = pki.intermediate("nats-int e1 0000000000000001")
        servers = make_nats(3, issuer, anchors=[issuer])     # a list of running NatsServer
        identity = issuer.leaf("gatekeeper/1")               # TlsIdentity with its SPIFFE id
"""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from certificates import Issuer
from openbao_server import OpenBao
from processes import BIN, LOOPBACK, Process, free_ports, wait_until
from securetransport.core.base.names import spiffe_id

__all__ = [
    "BIN",
    "DEFAULT_USERS",
    "LOOPBACK",
    "ROUTE_CHECK",
    "TRUST_DOMAIN",
    "MakeNats",
    "NatsServer",
    "OpenBao",
    "Process",
    "accounts_text",
    "free_ports",
    "start_nats",
    "wait_until",
]

TRUST_DOMAIN = "securetransport.test"
ROUTE_CHECK = "verify_cert_and_check_known_urls: true"
"""Admits a peer as a server only with the DNS name of a route in its certificate."""


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
    route_host: str = "localhost"  # a name: addresses are not compared with certificates
    route_check: str = ROUTE_CHECK
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
            peers = ", ".join(f"tls://{self.route_host}:{port}" for port in self.routes)
            cluster = (
                f'cluster {{ name: test, listen: "{LOOPBACK}:{self.route_port}", '
                f"routes: [{peers}], tls {{ {tls}, {self.route_check}, timeout: 3 }} }}"
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

    def is_ready(self) -> bool:
        """Tell whether the server says that it is healthy, JetStream included."""
        try:
            return bool(self.monitor("healthz").get("status") == "ok")
        except OSError:
            return False

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
    route_host: str = NatsServer.route_host,
    route_check: str = NatsServer.route_check,
) -> list[NatsServer]:
    """Start ``count`` servers (a cluster when more than one), ready for JetStream.

    Args:
        directory: Where they live; removed by nobody but the caller.
        issuer: Signs the servers' leaf certificates.
        anchors: What the servers trust.
        accounts: Configuration text instead of :func:`accounts_text` of ``DEFAULT_USERS``.
        extra: More configuration text.
        route_host: How the servers' routes name each other.
        route_check: What the route port demands of a peer's certificate.
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
            route_host=route_host,
            route_check=route_check,
        )
        server.material(issuer, anchors)
        servers.append(server)
    try:
        for server in servers:
            server.start()
        wait_until("JetStream is ready", lambda: all(item.is_ready() for item in servers), 30)
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return servers


class MakeNats(Protocol):
    """Starts servers that are killed at the end of the module."""

    def __call__(
        self,
        count: int,
        issuer: Issuer,
        anchors: Iterable[Issuer],
        *,
        accounts: str | None = None,
        extra: str = "",
        route_host: str = NatsServer.route_host,
        route_check: str = NatsServer.route_check,
    ) -> list[NatsServer]: ...

"""Everything at once, as processes: OpenBao, authority, keepers, servers, watcher and services.

Rights and streams are those that the ACL compiles to; nothing here plays a part of the product.
Only the bao agents are missing: tokens are written to files once.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securetransport.adapters.nats import NatsBus
from securetransport.adapters.openbao import OpenBaoLeafSource
from securetransport.core.acl import (
    Acl,
    compile_consumers,
    compile_openbao,
    compile_streams,
    load_acl,
    policies_of,
)
from securetransport.core.base import names
from securetransport.core.base.errors import BusUnavailableError, SecureTransportError
from securetransport.core.base.names import ServiceId, instance_id
from securetransport.core.base.profile import PROFILES
from securetransport.core.crypto import signing
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.core.ports.bus import Credentials
from securetransport.core.trust import bundle as trust
from servers import (
    BIN,
    LOOPBACK,
    ROUTE_CHECK,
    TRUST_DOMAIN,
    OpenBao,
    Process,
    free_ports,
    wait_until,
)

ACL_TEXT = f"""
version: 1
trust_domain: {TRUST_DOMAIN}
streams:
  AUTH_STREAM: {{subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 67108864}}
  GATEKEEPER_STREAM: {{subjects: ["gatekeeper.>"], max_age_seconds: 3600, max_bytes: 67108864}}
topics:
  auth.requests: {{stream: AUTH_STREAM}}
  gatekeeper.responses: {{stream: GATEKEEPER_STREAM}}
services:
  gatekeeper:
    produces: [auth.requests]
    consumes:
      - {{topic: gatekeeper.responses, durable: gatekeeper}}
  auth-controller:
    produces: [gatekeeper.responses]
    consumes:
      - {{topic: auth.requests, durable: auth-controller}}
foreign: {{}}
"""


@dataclass
class Member:
    """One agent process."""

    name: str
    module: str
    home: Path
    port: int
    process: Process | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", self.module, "--config"]
        self.process = Process([*command, str(self.home / "config.toml")], self.log)

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def ledger(self) -> Path:
        return self.home / "state" / "ledger.db"

    def reasons(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        return self.get("readyz").split("\n") if self.get("readyz") != "ok\n" else []

    def get(self, path: str) -> str:
        url = f"http://{LOOPBACK}:{self.port}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())
        except OSError as error:
            return f"{error}\n"

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        lines = self.get("metrics").splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith((f"{name}{{", f"{name} "))
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in parsed if line.get("event") == name]

    def resident_bytes(self) -> float:
        return self.metric("process_resident_memory_bytes")

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.child.terminate()
        return self.process.child.wait(30)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()


@dataclass
class Stage:
    """A whole platform in one directory."""

    directory: Path
    servers: int = 3
    profile: str = "burst"
    overrides: dict[str, float] = field(default_factory=dict)
    rate: float = 20.0
    acl: Acl = field(default_factory=lambda: load_acl(ACL_TEXT))
    members: dict[str, Member] = field(default_factory=dict)
    nats: list[Process] = field(default_factory=list)
    openbao_of: dict[str, str] = field(default_factory=dict)  # a service's own way to OpenBao

    def __post_init__(self) -> None:
        self.bao = OpenBao(self.directory / "bao")

    def start_openbao(self) -> None:
        """Start OpenBao with the roles, keys and the signed ACL of a platform."""
        self.bao.start()
        self._prepare_openbao()

    def start(self) -> None:
        """Start everything, in the order of a start from nothing."""
        if not self.bao.processes:
            self.start_openbao()
        count = self.servers
        ports = free_ports(3 * count + 4)
        self.client_ports, self.route_ports = ports[:count], ports[count : 2 * count]
        self._write_configurations(ports[2 * count :])
        self.members["metadata"].start()
        for number in range(1, count + 1):
            self.members[f"keeper-{number}"].start()
        for number in range(1, count + 1):
            self.nats.append(self.start_server(number))
        self.members["watcher"].start()
        asyncio.run(self._make_streams())
        for name in ("auth-controller", "gatekeeper"):
            self.members[name].start()

    def wait_ready(self, seconds: float = 60) -> None:
        for name in ("metadata", "auth-controller", "gatekeeper"):
            wait_until(
                f"{name} is ready", lambda name=name: not self.members[name].reasons(), seconds
            )

    def start_server(self, number: int) -> Process:
        home = self.members[f"keeper-{number}"].home
        command = [sys.executable, "-m", "securetransport.keeper", "exec-server", "--config"]
        server = [str(BIN / "nats-server"), "-c", str(home / "nats.conf")]
        arguments = [*command, str(home / "config.toml"), "--", *server]
        return Process(arguments, home / "server.log")

    def stop(self) -> None:
        for member in self.members.values():
            member.kill()
        for server in self.nats:
            server.kill()
        self.bao.stop()

    def bundle(self) -> TrustBundle:
        """The TrustBundle in KV."""
        return TrustBundle.from_bytes(documents.decode(self.document(names.KV_TRUST_BUNDLE)).body)

    def document(self, path: str) -> bytes:
        value = self.bao.call("GET", f"secret/data/{path}")["data"]["data"]
        return base64.b64decode(value["document"])

    def put_document(self, path: str, data: bytes) -> None:
        """Write a document as nobody but an administrator can."""
        cas = self.bao.call("GET", f"secret/metadata/{path}")["data"]["current_version"]
        value = {"document": base64.b64encode(data).decode()}
        body = {"data": value, "options": {"cas": cas}}
        self.bao.call("POST", f"secret/data/{path}", body)

    def set_rate(self, rate: float) -> None:
        """Tell the gatekeeper how many requests a second to send; 0 for none."""
        text = json.dumps({"rate": rate, "stop": rate == 0})
        (self.directory / "load.json").write_text(text)

    # --- OpenBao -----------------------------------------------------------------------------

    def _prepare_openbao(self) -> None:
        plan = compile_openbao(self.acl, self._profile())
        self.policies = plan.policies
        for role in plan.pki_roles:
            self.bao.call("POST", f"{role.mount}/roles/{role.name}", role.parameters)
        for key in plan.transit_keys:
            self.bao.call("POST", f"transit/keys/{key.name}", {"type": key.type})
        root = {"common_name": "stage root", "ttl": "8760h", "key_type": "ec"}
        self.bao.call("POST", "pki/root/generate/internal", root)
        self.keys_file = self.directory / "authority-keys.json"
        found = self.bao.call("GET", "transit/keys/authority-signing")["data"]
        self.keys_file.write_text(AuthorityKeys.from_transit(found).to_json())
        self._sign_acl()

    def token_file(self, service: str, instance: str = "0") -> Path:
        """Return a new file with a token of one instance's rights."""
        both = policies_of(instance_id(ServiceId(service), instance))
        return self.bao.token_file("".join(self.policies[name] for name in both))

    def _profile(self) -> Any:
        changes = {name: timedelta(seconds=value) for name, value in self.overrides.items()}
        return PROFILES[self.profile].override(**changes)

    def _sign_acl(self) -> None:
        key = signing.generate_signing_key()
        self.administrators_file = self.directory / "administrators.json"
        pinned = AuthorityKeys({key.key_id: (key.algorithm, key.public_key)})
        self.administrators_file.write_text(pinned.to_json())
        now = datetime.now(UTC)
        document = documents.sign_with_key(
            kind=DocumentKind.ACL,
            audience=documents.AUTHORITY,
            version=Version(counter=1),
            created_at=now,
            not_after=now + timedelta(days=1),
            body=self.acl.canonical(),
            signer=documents.ADMINISTRATOR,
            key=key,
        )
        text = base64.b64encode(documents.encode(document)).decode()
        body = {"data": {"document": text}, "options": {"cas": 0}}
        self.bao.call("POST", "secret/data/acl/current", body)

    # --- configurations ----------------------------------------------------------------------

    def _write_configurations(self, ports: list[int]) -> None:
        urls = [f"tls://{LOOPBACK}:{port}" for port in self.client_ports]
        order = [f"nats-{number + 1}" for number in range(self.servers)]
        spare = iter(ports)
        nats = {"nats": {"servers": urls}}
        self._member(
            "metadata",
            "securetransport.metadata",
            "metadata",
            next(spare),
            {
                **nats,
                "acl": {"administrator_keys_file": str(self.administrators_file)},
                "servers": {"names": order},
            },
        )
        for index, name in enumerate(order):
            self._write_keeper(index, name, order, next(spare))
        watched = "".join(
            f'[[servers]]\nname = "{name}"\nclient_address = "{LOOPBACK}:{client}"\n'
            f'route_address = "{LOOPBACK}:{route}"\n'
            for name, client, route in zip(order, self.client_ports, self.route_ports, strict=True)
        )
        module = "securetransport.watcher"
        self._member("watcher", module, "watcher", next(spare), nats, rest=watched)
        module = "securetransport_examples.auth_controller"
        self._member("auth-controller", module, "auth-controller", next(spare), nats)
        control = self.directory / "load.json"
        load = {"rate_per_second": self.rate, "control_file": str(control)}
        module = "securetransport_examples.gatekeeper"
        self._member("gatekeeper", module, "gatekeeper", next(spare), {**nats, "load": load})

    def _write_keeper(self, index: int, name: str, order: list[str], port: int) -> None:
        member = f"keeper-{index + 1}"
        home = self.directory / member
        server: dict[str, Any] = {
            "name": name,
            "order": order,
            "client_address": f"{LOOPBACK}:{self.client_ports[index]}",
            "managed_dir": str(home / "managed"),
            "config_file": str(home / "nats.conf"),
            "pid_file": str(home / "nats.pid"),
            "binary": str(BIN / "nats-server"),
        }
        server["route_address"] = f"{LOOPBACK}:{self.route_ports[index]}"
        peers = ", ".join(f"tls://localhost:{route}" for route in self.route_ports)
        cluster = (
            f'cluster {{ name: stage, listen: "{LOOPBACK}:{self.route_ports[index]}"\n'
            f"routes: [{peers}]\n tls {{\n include managed/tls.conf\n {ROUTE_CHECK} }} }}"
        )
        module = "securetransport.keeper"
        self._member(member, module, "keeper", port, {"server": server}, instance=index)
        (home / "nats.conf").write_text(f"""
server_name: {name}
listen: "{LOOPBACK}:{self.client_ports[index]}"
pid_file: "{home}/nats.pid"
jetstream {{ store_dir: "{home}/jetstream" }}
include managed/broker.conf
tls {{
  include managed/tls.conf
  verify_and_map: true
  min_version: "1.3"
}}
{cluster}
""")

    def _member(
        self,
        name: str,
        module: str,
        service: str,
        port: int,
        tables: dict[str, dict[str, Any]],
        *,
        rest: str = "",
        instance: int = 0,
    ) -> None:
        home = self.directory / name
        home.mkdir()
        every = {
            "identity": {
                "service": service,
                "instance": str(instance),
                "trust_domain": TRUST_DOMAIN,
            },
            "openbao": {
                "addresses": [self.openbao_of[service]]
                if service in self.openbao_of
                else list(self.bao.addresses),
                "ca_file": str(self.bao.ca_file),
                "token_file": str(self.token_file(service, str(instance))),
            },
            "authority": {"keys_file": str(self.keys_file)},
            "health": {"port": port},
            "paths": {"state_dir": str(home / "state")},
            "profile": {"name": self.profile},
            "profile.overrides": self.overrides,
            "logs": {"format": "json"},
            **tables,
        }
        text = "".join(
            f"[{table}]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
            for table, values in every.items()
        )
        (home / "config.toml").write_text(text + rest)
        self.members[name] = Member(name, module, home, port)

    # --- streams -----------------------------------------------------------------------------

    async def _make_streams(self) -> None:
        """Make streams and durables as Ansible does, as ``admin``."""
        service = ServiceId("admin")
        store = self.bao.store()
        async with asyncio.timeout(90):
            while True:
                try:
                    source = OpenBaoLeafSource(
                        store,
                        TRUST_DOMAIN,
                        service,
                        instance_id(service, "cli"),
                    )
                    leaf = await source.issue(self._profile().leaf_validity)
                    connection = await NatsBus().connect(
                        [f"tls://{LOOPBACK}:{port}" for port in self.client_ports],
                        Credentials(tuple(trust.anchors(self.bundle())), leaf),
                        name="admin/cli",
                        inbox_prefix="_INBOX.admin",
                    )
                    break
                except (SecureTransportError, AssertionError):
                    await asyncio.sleep(0.5)
            for config in compile_streams(self.acl, self._profile(), replicas=self.servers):
                await self._call(connection, f"STREAM.CREATE.{config['name']}", config)
            for body in compile_consumers(self.acl, replicas=self.servers):
                stream, durable = body["stream_name"], body["config"]["durable_name"]
                await self._call(connection, f"CONSUMER.DURABLE.CREATE.{stream}.{durable}", body)
            await connection.close()

    async def _call(self, connection: Any, subject: str, body: dict[str, Any]) -> None:
        while True:
            try:
                answer = await connection.request(
                    f"$JS.API.{subject}", json.dumps(body).encode(), timeout=5.0
                )
            except BusUnavailableError:  # no meta leader yet
                await asyncio.sleep(0.5)
                continue
            found = json.loads(answer.data)
            if "error" not in found:
                return
            if found["error"]["code"] != 503:
                raise AssertionError(found)
            await asyncio.sleep(0.5)

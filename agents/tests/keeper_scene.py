"""Real OpenBao, real keepers and real servers as processes; the test plays the authority."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securetransport.core.acl import compile_broker, compile_openbao, load_acl, policies_of
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import (
    ADMIN,
    PROBE,
    ServiceId,
    instance_id,
    instance_role,
    issuer_common_name,
    spiffe_id,
)
from securetransport.core.base.profile import PROFILES
from securetransport.core.crypto import signing, x509
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.trust_bundle import EpochState, TrustBundle, TrustedIssuer
from securetransport.core.ports import TlsIdentity
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

KEY_ID = "authority-signing:v1"
ACL = load_acl(
    f"""
version: 1
trust_domain: {TRUST_DOMAIN}
streams:
  AUTH_STREAM: {{subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 67108864}}
topics:
  auth.requests: {{stream: AUTH_STREAM}}
services:
  gatekeeper:
    produces: [auth.requests]
  auth-controller:
    consumes:
      - {{topic: auth.requests, durable: auth-controller}}
foreign: {{}}
"""
)
PLAN = compile_openbao(ACL, PROFILES["compressed"])


@dataclass
class Authority:
    """Issuers in OpenBao and signed documents in KV, made as the authority makes them."""

    bao: OpenBao
    key: signing.SigningKey = field(default_factory=signing.generate_signing_key)
    issuers: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)

    def prepare(self) -> None:
        self.bao.call(
            "POST",
            "pki/root/generate/internal",
            {"common_name": "keeper test root", "ttl": "8760h", "key_type": "ec", "key_bits": 256},
        )
        for role in PLAN.pki_roles:
            self.bao.call("POST", f"{role.mount}/roles/{role.name}", role.parameters)

    def keys_json(self) -> str:
        entry = {
            "key_id": KEY_ID,
            "algorithm": self.key.algorithm,
            "public_key": base64.b64encode(self.key.public_key).decode(),
        }
        return json.dumps({"keys": [entry]})

    def make_issuer(self, epoch: int) -> bytes:
        """Make the intermediate of an epoch; returns its DER."""
        request = self.bao.call(
            "POST",
            "nats_int/issuers/generate/intermediate/internal",
            {"common_name": f"nats-int e{epoch}", "key_type": "ec", "key_bits": 256},
        )["data"]
        digest = x509.csr_key_digest(request["csr"])
        signed = self.bao.call(
            "POST",
            "pki/root/sign-intermediate",
            {
                "csr": request["csr"],
                "common_name": issuer_common_name(EpochNumber(epoch), digest),
                "max_path_length": 0,
                "ttl": "2h",
                "not_before_duration": "120s",
            },
        )["data"]["certificate"]
        made = self.bao.call("POST", "nats_int/intermediate/set-signed", {"certificate": signed})
        self.issuers[epoch] = (made["data"]["imported_issuers"][0], x509.pem_to_der(signed))
        return self.issuers[epoch][1]

    def sign_with(self, epoch: int) -> None:
        """Make an epoch's issuer the one that signs leaf certificates."""
        self.bao.call("POST", "nats_int/config/issuers", {"default": self.issuers[epoch][0]})

    def token(self, service: str, instance: str = "0") -> Path:
        """Return a file with a token that has exactly the rights of the ACL's compilation."""
        both = policies_of(instance_id(ServiceId(service), instance))
        return self.bao.token_file("".join(PLAN.policies[name] for name in both))

    def bundle(self, *epochs: int, active: int) -> TrustBundle:
        entries = tuple(self._entry(epoch, active) for epoch in epochs)
        digest = trust.trust_digest(entry.certificate for entry in entries)
        return TrustBundle(issuers=entries, active=EpochNumber(active), digest=digest)

    def _entry(self, epoch: int, active: int) -> TrustedIssuer:
        der = self.issuers[epoch][1]
        facts = x509.describe(der)
        return TrustedIssuer(
            epoch=EpochNumber(epoch),
            state=EpochState.ACTIVE if epoch == active else EpochState.DISTRIBUTED,
            certificate=der,
            fingerprint=facts.fingerprint,
            common_name=facts.common_name,
            not_before=facts.not_before,
            not_after=facts.not_after,
        )

    def names(self, *epochs: int) -> frozenset[str]:
        return frozenset(x509.describe(self.issuers[epoch][1]).common_name for epoch in epochs)

    def publish_bundle(self, *epochs: int, active: int) -> str:
        """Publish the next TrustBundle; returns its digest."""
        bundle = self.bundle(*epochs, active=active)
        self.publish("trust/bundle", DocumentKind.TRUST_BUNDLE, bundle)
        return bundle.digest

    def publish_policy(self, *denied: str) -> None:
        """Publish the next BrokerPolicy; denied services have no user."""
        deny = DenyList(services={ServiceId(name): datetime.now(UTC) for name in denied})
        self.publish("broker/policy", DocumentKind.BROKER_POLICY, compile_broker(ACL, deny))

    def publish(self, path: str, kind: DocumentKind, body: Document) -> None:
        version = self.versions.get(path, Version()).next()
        self.versions[path] = version
        self.put_document(path, self.sign(kind, body.to_bytes(), version))

    def sign(
        self,
        kind: DocumentKind,
        body: bytes,
        version: Version,
        *,
        key: signing.SigningKey | None = None,
        life: timedelta = timedelta(hours=1),
    ) -> bytes:
        now = datetime.now(UTC)
        document = documents.unsigned(
            kind=kind,
            audience=documents.EVERYBODY,
            version=version,
            created_at=now - timedelta(hours=2),
            not_after=now + life,
            body=body,
            signer=documents.AUTHORITY,
            key_id=KEY_ID,
            algorithm=self.key.algorithm,
        )
        signature = (key or self.key).sign(documents.to_be_signed(document))
        return documents.encode(documents.with_signature(document, signature))

    def leaf(self, service: str) -> TlsIdentity:
        """Issue a client leaf from the issuer that signs now."""
        name = ServiceId(service)
        instance = instance_id(name, "cli" if name == ADMIN else "0")
        csr, key = x509.make_csr(trust_domain=TRUST_DOMAIN, service=name, instance=instance)
        body = {
            "csr": csr,
            "common_name": instance,
            "uri_sans": spiffe_id(TRUST_DOMAIN, name),
            "exclude_cn_from_sans": True,
        }
        role = PROBE if name == PROBE else instance_role(instance)
        made = self.bao.call("POST", f"nats_int/sign/{role}", body)
        return x509.tls_identity(made["data"]["certificate"], key)

    def anchors(self) -> list[bytes]:
        """Return the DERs of all issuers made so far."""
        return [der for _, der in self.issuers.values()]

    def put_document(self, path: str, data: bytes) -> None:
        self.put(path, {"document": base64.b64encode(data).decode()})

    def put(self, path: str, value: Mapping[str, Any]) -> None:
        try:
            cas = self.bao.call("GET", f"secret/metadata/{path}")["data"]["current_version"]
        except AssertionError:
            cas = 0
        body = {"data": value, "options": {"cas": cas}}
        self.bao.call("POST", f"secret/data/{path}", body)


@dataclass
class Site:
    """One server with its keeper, each a process that may be killed."""

    name: str
    home: Path
    port: int
    route_port: int
    keeper: Process | None = None
    server: Process | None = None

    @property
    def managed(self) -> Path:
        return self.home / "managed"

    @property
    def pid_file(self) -> Path:
        return self.home / "nats.pid"

    @property
    def health_url(self) -> str:
        return f"http://{LOOPBACK}:{self.health_port}"

    health_port: int = 0

    def start_keeper(self) -> None:
        command = [sys.executable, "-m", "securetransport.keeper"]
        self.keeper = Process([*command, "--config", str(self.home / "keeper.toml")], self.log)

    def start_server(self) -> None:
        """Start the server the way a process manager does: through ``exec-server``."""
        command = [sys.executable, "-m", "securetransport.keeper", "exec-server", "--config"]
        server = [str(BIN / "nats-server"), "-c", str(self.home / "nats.conf")]
        arguments = [*command, str(self.home / "keeper.toml"), "--", *server]
        self.server = Process(arguments, self.home / "server.log")

    @property
    def log(self) -> Path:
        return self.home / "keeper.log"

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the keeper's log lines of one event."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in parsed if line.get("event") == name]

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def kill_keeper(self) -> None:
        """End the keeper by ``kill -9``."""
        if self.keeper is not None:
            self.keeper.kill()

    def stop(self) -> None:
        for process in (self.keeper, self.server):
            if process is not None:
                process.kill()


@dataclass
class Scene:
    """A cluster of servers with keepers beside them."""

    bao: OpenBao
    authority: Authority
    sites: list[Site]

    def attested(self, site: Site) -> KeeperAttestation | None:
        try:
            found = self.bao.call("GET", f"secret/data/attest/keeper/{site.name}")
        except AssertionError:
            return None
        return KeeperAttestation.model_validate(found["data"]["data"]["attestation"])

    def all_serve(self, digest: str, epoch: int | None = None) -> bool:
        """Whether every keeper attests that its server serves a trust set (and an epoch)."""
        return all(self.serves(site, digest, epoch) for site in self.sites)

    def serves(self, site: Site, digest: str, epoch: int | None = None) -> bool:
        found = self.attested(site)
        return (
            found is not None
            and found.digest == digest
            and found.is_served
            and (epoch is None or found.leaf_epoch == epoch)
        )

    def wait_served(self, digest: str, epoch: int | None = None, seconds: float = 20) -> float:
        """Wait until all serve; returns how many seconds that took."""
        began = time.monotonic()
        wait_until(f"all serve {digest[:12]}", lambda: self.all_serve(digest, epoch), seconds)
        return time.monotonic() - began

    def stop(self) -> None:
        for site in self.sites:
            site.stop()


def make_scene(
    directory: Path, bao: OpenBao, authority: Authority, count: int, profile: str = ""
) -> Scene:
    """Write the configuration of ``count`` servers and keepers; starts nothing.

    Args:
        directory: Where they live.
        bao: A running OpenBao of this scene alone.
        authority: Its issuers and documents.
        count: How many servers.
        profile: Lines of the ``[profile]`` section instead of the default.
    """
    ports = free_ports(3 * count)
    names = [f"nats-{number + 1}" for number in range(count)]
    keys = directory / "authority-keys.json"
    keys.write_text(authority.keys_json())
    sites = []
    for index, name in enumerate(names):
        home = directory / name
        home.mkdir()
        site = Site(name, home, ports[index], ports[count + index])
        site.health_port = ports[2 * count + index]
        routes = ports[count : 2 * count] if count > 1 else []
        (home / "nats.conf").write_text(_nats_conf(site, routes))
        (home / "keeper.toml").write_text(
            _keeper_toml(site, names, authority, keys, is_clustered=count > 1, profile=profile)
        )
        sites.append(site)
    return Scene(bao, authority, sites)


def _nats_conf(site: Site, routes: Iterable[int]) -> str:
    peers = ", ".join(f"tls://localhost:{port}" for port in routes)
    cluster = f"""
cluster {{
  name: test
  listen: "{LOOPBACK}:{site.route_port}"
  routes: [{peers}]
  tls {{
    include managed/tls.conf
    {ROUTE_CHECK}
  }}
}}"""
    return f"""
server_name: {site.name}
listen: "{LOOPBACK}:{site.port}"
pid_file: "{site.pid_file}"
jetstream {{ store_dir: "{site.home}/jetstream" }}
include managed/broker.conf
tls {{
  include managed/tls.conf
  verify_and_map: true
  min_version: "1.3"
}}
{cluster if peers else ""}
"""


def _keeper_toml(  # one argument per section
    site: Site,
    names: list[str],
    authority: Authority,
    keys: Path,
    *,
    is_clustered: bool,
    profile: str,
) -> str:
    instance, bao = str(names.index(site.name)), authority.bao
    route = f'route_address = "{LOOPBACK}:{site.route_port}"' if is_clustered else ""
    return f"""
[identity]
service = "keeper"
instance = "{instance}"
trust_domain = "{TRUST_DOMAIN}"
[openbao]
addresses = {json.dumps(list(bao.addresses))}
ca_file = "{bao.ca_file}"
token_file = "{authority.token("keeper", instance)}"
timeout_seconds = 2.0
[authority]
keys_file = "{keys}"
[health]
port = {site.health_port}
[paths]
state_dir = "{site.home}/state"
[profile]
{profile or 'name = "compressed"'}
[logs]
format = "json"
[server]
name = "{site.name}"
order = {json.dumps(names)}
client_address = "{LOOPBACK}:{site.port}"
{route}
managed_dir = "{site.managed}"
config_file = "{site.home}/nats.conf"
pid_file = "{site.pid_file}"
binary = "{BIN / "nats-server"}"
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pause(process: Process) -> None:
    process.send(signal.SIGSTOP)


def resume(process: Process) -> None:
    process.send(signal.SIGCONT)

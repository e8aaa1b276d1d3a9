"""A real OpenBao with the roles of an ACL, real bao agents, and what renews their secret-ids.

Lives are seconds, so that a month passes in a minute. The authority is its own loop, with a token
of its own policies; what stands beside the bao agents is the real process.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from processes import BIN, Process, free_ports, wait_until
from securetransport.adapters.openbao import OpenBaoStore
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.core.acl import Acl, LoginLimits, compile_openbao, load_acl, policies_of
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import InstanceId, instance_role, replica_of, service_of
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.core.formats.deny_list import DenyList
from securetransport.metadata.secret_ids import SecretIds
from securetransport.metadata.telemetry import MetadataMetrics
from servers import OpenBao

_ACL = """
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {{subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 1048576}}
topics:
  auth.requests: {{stream: AUTH_STREAM}}
services:
  gatekeeper: {{produces: [auth.requests], replicas: {replicas}}}
"""


@dataclass
class Stage:
    """One OpenBao, some instances of the gatekeeper, each with its bao agent.

    Attributes:
        directory: For everything.
        replicas: Instances.
        interval: Renewal interval.
        secret_id_life: Life of a secret-id.
        token_life: Longest life of a token; the bao agent logs in anew then.
    """

    directory: Path
    replicas: int
    interval: timedelta
    secret_id_life: timedelta
    token_life: timedelta
    bao: OpenBao = field(init=False)
    acl: Acl = field(init=False)
    credentials: Process | None = None
    agents: list[Process] = field(default_factory=list)
    _stores: list[OpenBaoStore] = field(default_factory=list)

    @property
    def instances(self) -> list[InstanceId]:
        """The instances of the gatekeeper."""
        return [InstanceId(f"gatekeeper/{number}") for number in range(self.replicas)]

    @property
    def profile(self) -> Profile:
        """Durations."""
        return PROFILES["burst"].override(
            secret_id_services=self.interval, secret_id_agents=self.interval
        )

    def home(self, instance: InstanceId) -> Path:
        """Folder of one instance's credentials."""
        return self.directory / instance_role(instance)

    def token_file(self, instance: InstanceId) -> Path:
        """Sink of one instance's bao agent."""
        return self.directory / "run" / instance_role(instance) / "token"

    def status(self, instance: InstanceId) -> dict[str, object]:
        """What is said of one instance's secret-id."""
        return dict(json.loads(self.token_file(instance).with_name("secret-id.json").read_text()))

    def start(self) -> None:
        """Start OpenBao, deliver credentials, start bao agents and the renewal."""
        self.bao = OpenBao(self.directory / "bao")
        self.bao.start()
        self.acl = load_acl(_ACL.format(replicas=self.replicas))
        limits = LoginLimits(
            secret_id_ttl=self.secret_id_life,
            token_ttl=self.token_life,
            token_max_ttl=self.token_life,
            networks=("127.0.0.0/8",),
        )
        plan = compile_openbao(self.acl, self.profile, limits=limits)
        for name, text in plan.policies.items():
            self.bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
        for role in plan.approles:
            self.bao.call("POST", f"auth/approle/role/{role.name}", role.parameters)
        self.bao.call("POST", "secret/data/trust/bundle", {"data": {"n": 1}, "options": {"cas": 0}})
        metadata = (plan.policies[name] for name in policies_of(InstanceId("metadata/0")))
        self.authority_token = self.bao.token_file("".join(metadata))
        for instance in self.instances:
            self.home(instance).mkdir()
            self.token_file(instance).parent.mkdir(parents=True)
            self.deliver(instance)
            self._start_agent(instance)
        self.start_credentials()

    def deliver(self, instance: InstanceId) -> None:
        """Put a role-id and a fresh secret-id there, as ``site.yml`` does."""
        role = f"auth/approle/role/{instance_role(instance)}"
        role_id = self.bao.call("GET", f"{role}/role-id")["data"]["role_id"]
        secret_id = self.bao.call("POST", f"{role}/secret-id", {})["data"]["secret_id"]
        for name, text in (("role-id", role_id), ("secret-id", secret_id)):
            file = self.home(instance) / name
            file.write_text(text)
            file.chmod(0o600)

    def start_credentials(self) -> None:
        """Start what stands beside the bao agents."""
        members = "".join(self._member(instance) for instance in self.instances)
        self.health_port = free_ports(1)[0]
        seconds = self.interval.total_seconds()
        (self.directory / "credentials.toml").write_text(
            f"round_seconds = 0.2\n[openbao]\naddresses = {json.dumps(list(self.bao.addresses))}\n"
            f'ca_file = "{self.bao.ca_file}"\n[health]\nport = {self.health_port}\n'
            f'[profile]\nname = "burst"\n[profile.overrides]\nsecret_id_services = {seconds}\n'
            f"secret_id_agents = {seconds}\n{members}"
        )
        config = str(self.directory / "credentials.toml")
        command = [str(BIN / "python"), "-m", "securetransport.credentials", "--config", config]
        self.credentials = Process(command, self.directory / "credentials.log")

    def kill_credentials(self) -> None:
        """End it as a crash does."""
        assert self.credentials is not None
        self.credentials.kill()

    def _member(self, instance: InstanceId) -> str:
        home, token = self.home(instance), self.token_file(instance)
        return f"""
[[members]]
service = "{service_of(instance)}"
instance = "{replica_of(instance)}"
role_id_file = "{home}/role-id"
secret_id_file = "{home}/secret-id"
state_file = "{home}/secret-id.state"
token_file = "{token}"
status_file = "{token.parent}/secret-id.json"
"""

    def _start_agent(self, instance: InstanceId) -> None:
        home = self.home(instance)
        (home / "agent.hcl").write_text(f"""
vault {{
  address = "{self.bao.addresses[0]}"
  ca_cert = "{self.bao.ca_file}"
}}
auto_auth {{
  method "approle" {{
    mount_path  = "auth/approle"
    min_backoff = "1s"
    max_backoff = "5s"
    config = {{
      role_id_file_path   = "{home}/role-id"
      secret_id_file_path = "{home}/secret-id"
      remove_secret_id_file_after_reading = false
    }}
  }}
  sink "file" {{
    config = {{
      path = "{self.token_file(instance)}"
      mode = 0600
    }}
  }}
}}
log_level = "warn"
""")
        command = [str(BIN / "bao"), "agent", f"-config={home}/agent.hcl"]
        self.agents.append(Process(command, home / "agent.log"))

    def store(self, instance: InstanceId) -> OpenBaoStore:
        """OpenBao as the agent of one instance has it."""
        made = OpenBaoStore(self.bao.addresses, self.bao.ca_file, self.token_file(instance))
        self._stores.append(made)
        return made

    async def authority(self, until: Callable[[], bool]) -> None:
        """Run the authority's loop until told."""
        store = OpenBaoStore(self.bao.addresses, self.bao.ca_file, self.authority_token)
        self._stores.append(store)
        loop = SecretIds(
            store=store,
            clock=SystemClock(),
            profile=self.profile,
            servers=["nats-1"],
            randomness=SystemRandomness(),
            metrics=MetadataMetrics(CollectorRegistry()),
        )
        while not until():
            await loop.round(self.acl, DenyList())
            await asyncio.sleep(0.1)

    def handovers(self) -> int:
        """Completed renewals, as the process says."""
        return sum(int(str(self.status(one)["handovers"])) for one in self.instances)

    def wait_for_tokens(self) -> None:
        """Wait until every bao agent has logged in."""
        for instance in self.instances:
            wait_until(f"a token of {instance}", self.token_file(instance).exists, 20)

    def can_log_in(self, instance: InstanceId) -> bool:
        """Whether a bao agent that starts now would get a token.

        The file may be replaced between its reading and the login; a bao agent reads it again, too.
        """
        home = self.home(instance)
        for _ in range(2):
            body = {name: (home / name.replace("_", "-")).read_text() for name in _HALVES}
            try:
                self.bao.call("POST", "auth/approle/login", body, token=None)
            except AssertionError:
                continue
            return True
        return False

    def stop(self) -> None:
        """Stop everything."""
        for process in (self.credentials, *self.agents):
            if process is not None:
                process.kill()
        for store in self._stores:
            store.close()
        self.bao.stop()


_HALVES = ("role_id", "secret_id")


@dataclass
class Calls:
    """Calls of one agent to OpenBao, each with the token of its file."""

    done: int = 0
    failed: list[str] = field(default_factory=list)

    async def make(self, store: OpenBaoStore, until: Callable[[], bool], pause: float) -> None:
        """Read a document again and again."""
        while not until():
            try:
                await store.kv_get("trust/bundle")
                self.done += 1
            except SecureTransportError as error:
                self.failed.append(str(error))
            await asyncio.sleep(pause)


def terminate(process: Process) -> None:
    """Stop a process as its supervisor does."""
    process.send(signal.SIGTERM)
    process.child.wait(20)

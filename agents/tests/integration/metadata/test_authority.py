"""The authority on a real OpenBao, with exactly the rights that the ACL compiles to, and no bus."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from securetransport.core.acl import compile_openbao, load_acl
from securetransport.core.base.profile import PROFILES
from securetransport.core.crypto import signing, x509
from securetransport.core.decisions.ca.record import Excuse, RotationRecord
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.formats.trust_bundle import EpochState
from securetransport.core.trust import bundle as trust
from securetransport.core.trust.documents import Question, accept
from servers import OpenBao, free_ports, wait_until

ACL = """
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 1048576}
topics:
  auth.requests: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests]}
  auth-controller:
    consumes: [{topic: auth.requests, durable: auth-controller}]
"""


@dataclass
class Authority:
    """One metadata process with its OpenBao."""

    bao: OpenBao
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        plan = compile_openbao(load_acl(ACL), PROFILES["burst"])
        for name, text in plan.policies.items():
            self.bao.call("PUT", f"sys/policies/acl/{name}", {"policy": text})
        for role in plan.pki_roles:
            self.bao.call("POST", f"{role.mount}/roles/{role.name}", role.parameters)
        for key in plan.transit_keys:
            self.bao.call("POST", f"transit/keys/{key.name}", {"type": key.type})
        root = {"common_name": "example.test root", "ttl": "24h", "key_type": "ec"}
        self.bao.call("POST", "pki/root/generate/internal", root)
        self._pin()
        self._sign_acl()
        both = plan.policies["metadata"] + plan.policies["metadata--0"]
        token = self.bao.token_file(both)
        (self.folder / "metadata.toml").write_text(self._toml(token))

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "securetransport.metadata",
                    "--config",
                    str(self.folder / "metadata.toml"),
                ],
                stdout=log,
                stderr=log,
            )
        wait_until("the authority is ready", self.is_ready, 30)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def kv(self, path: str) -> dict[str, Any]:
        value: dict[str, Any] = self.bao.call("GET", f"secret/data/{path}")["data"]["data"]
        return value

    def keys(self) -> AuthorityKeys:
        return AuthorityKeys.from_json((self.folder / "authority-keys.json").read_text())

    def document(self, path: str) -> bytes:
        return base64.b64decode(self.kv(path)["document"])

    def record(self) -> RotationRecord:
        return RotationRecord.model_validate_json(self.kv("rotation/ca")["record"])

    def _pin(self) -> None:
        key = self.bao.call("GET", "transit/keys/authority-signing")["data"]["keys"]["1"]
        entry = {
            "key_id": "authority-signing:v1",
            "algorithm": "ML-DSA-65",
            "public_key": key["public_key"],
        }
        text = json.dumps({"keys": [entry]})
        (self.folder / "authority-keys.json").write_text(text)

    def _sign_acl(self) -> None:
        key = signing.generate_signing_key()
        pinned = AuthorityKeys({key.key_id: (key.algorithm, key.public_key)})
        (self.folder / "administrators.json").write_text(pinned.to_json())
        now = datetime.now(UTC)
        document = documents.sign_with_key(
            kind=DocumentKind.ACL,
            audience=documents.AUTHORITY,
            version=Version(counter=1),
            created_at=now,
            not_after=now + timedelta(days=365),
            body=load_acl(ACL).canonical(),
            signer=documents.ADMINISTRATOR,
            key=key,
        )
        text = base64.b64encode(documents.encode(document)).decode()
        body = {"data": {"document": text}, "options": {"cas": 0}}
        self.bao.call("POST", "secret/data/acl/current", body)

    def _toml(self, token: Path) -> str:
        addresses = json.dumps(list(self.bao.addresses))
        return f"""
identity = {{service = "metadata", instance = "0", trust_domain = "example.test"}}
openbao = {{addresses = {addresses}, ca_file = "{self.bao.ca_file}", token_file = "{token}"}}
authority = {{keys_file = "{self.folder}/authority-keys.json"}}
acl = {{administrator_keys_file = "{self.folder}/administrators.json"}}
nats = {{servers = ["tls://127.0.0.1:1"]}}
servers = {{names = ["nats-1"]}}
health = {{port = {self.port}}}
profile = {{name = "burst"}}
paths = {{state_dir = "{self.folder}/state"}}
logs = {{format = "json"}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    bao = OpenBao(tmp_path_factory.mktemp("metadata-bao"))
    made = Authority(bao.start(), tmp_path_factory.mktemp("metadata"), free_ports(1)[0])
    try:
        made.prepare()
        made.start()
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
        bao.stop()


def test_without_a_bus_the_first_epoch_becomes_active(authority: Authority) -> None:
    record = authority.record()
    assert record.active is not None
    question = Question(
        documents.EVERYBODY,
        authority.keys().lookup,
        datetime.now(UTC),
        skew=timedelta(seconds=1),
    )
    accepted = accept(authority.document("trust/bundle"), trust.TRUST_BUNDLE, question)
    assert accepted.body.active is not None
    assert all(not x509.describe(der).uri_sans for der in trust.anchors(accepted.body))


def test_only_the_active_issuer_may_sign(authority: Authority) -> None:
    record = authority.record()
    assert record.active is not None
    active = record.active
    assert active.issuer is not None
    facts = authority.bao.call("GET", f"nats_int/issuer/{active.issuer.issuer_id}")["data"]
    assert "issuing-certificates" in facts["usage"]
    assert facts["leaf_not_after_behavior"] == "err"
    default = authority.bao.call("GET", "nats_int/config/issuers")["data"]["default"]
    assert default == active.issuer.issuer_id
    end = active.issuer.not_after
    assert end == PROFILES["burst"].ca_schedule.expiry_of(active.epoch)


def test_broker_policy_is_signed_and_names_every_user(authority: Authority) -> None:
    document = documents.decode(authority.document("broker/policy"))
    body = documents.verify_document(
        document,
        authority.keys().lookup,
        kind=DocumentKind.BROKER_POLICY,
        audience=documents.EVERYBODY,
        at=datetime.now(UTC),
        skew=timedelta(seconds=1),
    )
    users = {entry.user for entry in BrokerPolicy.from_bytes(body).users}
    assert "spiffe://example.test/gatekeeper" in users
    assert "spiffe://example.test/watcher" in users


def test_restart_keeps_the_bytes_of_topic_keys(authority: Authority) -> None:
    names = authority.bao.call("LIST", "secret/metadata/topic-keys/auth.requests")["data"]["keys"]
    before = {name: authority.kv(f"topic-keys/auth.requests/{name}") for name in names}
    assert before
    authority.stop(signal.SIGKILL)
    authority.start()
    after = {name: authority.kv(f"topic-keys/auth.requests/{name}") for name in names}
    assert after == before


def test_holds_the_next_epoch_while_nobody_can_confirm_it(authority: Authority) -> None:
    """There is no bus and no keeper here: the next epoch is prepared, told, and never confirmed."""

    def is_told() -> bool:
        states = {entry.state for entry in authority.record().epochs}
        return EpochState.DISTRIBUTED in states

    wait_until("the next epoch is distributed", is_told, 40)
    record = authority.record()
    assert record.active is not None
    assert not record.in_states({EpochState.CONFIRMED})


async def test_a_record_with_a_long_history_can_be_stored(authority: Authority) -> None:
    """OpenBao limits the number of strings in a request; a busy month must not stop rotations."""
    record = authority.record()
    assert record.active is not None
    at = record.active.history[0].at
    excuse = Excuse(epoch=record.active.epoch, step="confirm", missing=("a line",) * 60, at=at)
    for _ in range(60):
        record = record.excused(excuse)
    store = authority.bao.store()
    await store.kv_destroy("rotation/of-a-test")
    await store.kv_put("rotation/of-a-test", {"record": record.model_dump_json()}, cas=0)
    entry = await store.kv_get("rotation/of-a-test")
    assert entry is not None
    assert RotationRecord.model_validate_json(entry.value["record"]) == record


def test_sigterm_gives_the_lease_up(authority: Authority) -> None:
    assert authority.stop() == 0
    assert authority.record().holder is None
    authority.start()
    assert authority.record().holder is not None


def test_unknown_configuration_key_ends_with_78(authority: Authority, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    text = (authority.folder / "metadata.toml").read_text()
    wrong.write_text(text + '\n[rotaton]\nspeed = "fast"\n')
    done = subprocess.run(
        [sys.executable, "-m", "securetransport.metadata", "--config", str(wrong)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 78
    assert "rotaton" in done.stderr

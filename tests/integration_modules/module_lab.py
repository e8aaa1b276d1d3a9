# SPDX-License-Identifier: Apache-2.0
"""What the module tests stand on: certificates, real servers, and modules run by Ansible's code.

A test names tasks and gets their results. No server and nothing of ours is replaced by a fake.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from ansible.module_utils.testing import patch_module_args
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
_START_SECONDS = 30.0


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- certificates --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """A CA of the tests."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make_authority(name: str, issuer: Authority | None = None) -> Authority:
    """Return a root, or an intermediate below ``issuer``."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(_certificate(name, key, issuer, key, is_ca=True, uri=None), key)


def write_leaf(folder: Path, name: str, issuer: Authority, *, uri: str | None = None) -> None:
    """Write ``<name>.crt`` and ``<name>.key`` of a leaf for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _certificate(name, key, issuer, issuer.key, is_ca=False, uri=uri)
    (folder / f"{name}.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    path = folder / f"{name}.key"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


# Python 3.13 accepts only a CA that says what its key is for.
_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: Authority | None,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
    uri: str | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    if uri:
        names = [x509.UniformResourceIdentifier(uri)]
    now = datetime.now(tz=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=2))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if is_ca:
        builder = builder.add_extension(_CA_USAGE, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key if issuer else signer, hashes.SHA256())


# --- processes -----------------------------------------------------------------------------------


@dataclass
class Server:
    """A process of the lab with its log."""

    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, is_up: Callable[[], bool]) -> None:
        """Start it and wait until it is up."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


def listens(port: int) -> bool:
    """Return whether something answers on a port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class OpenBaoNode:
    """One OpenBao node with raft, TLS and a seal that opens by itself."""

    folder: Path
    name: str
    port: int = field(default_factory=free_port)
    cluster_port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"https://127.0.0.1:{self.port}"

    def server(self, *, joins: OpenBaoNode | None = None) -> Server:
        """Write its configuration and return its process, not started."""
        data = self.folder / self.name
        data.mkdir()
        tls = "".join(
            f'tls_{part}_file = "{self.folder}/openbao.{end}" '
            for part, end in (("cert", "crt"), ("key", "key"))
        )
        join = (
            f'retry_join {{ leader_api_addr = "{joins.address}" '
            f'leader_ca_cert_file = "{self.folder}/ca.crt" }}'
            if joins
            else ""
        )
        (self.folder / f"{self.name}.hcl").write_text(
            f"""
storage "raft" {{
  path = "{data}"
  node_id = "{self.name}"
  performance_multiplier = "1"
  {join}
}}
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  cluster_address = "127.0.0.1:{self.cluster_port}"
  {tls}
}}
api_addr = "{self.address}"
cluster_addr = "https://127.0.0.1:{self.cluster_port}"
disable_standby_reads = true
seal "static" {{ current_key_id = "1" current_key = "file://{self.folder}/unseal.key" }}
"""
        )
        return Server(
            [str(BIN / "bao"), "server", "-config", str(self.folder / f"{self.name}.hcl")],
            self.folder / f"{self.name}.log",
        )


# --- modules -------------------------------------------------------------------------------------

COLLECTION = "ansible_collections.securetransport.platform"
Task = tuple[str, Mapping[str, Any], bool]
"""Module (without the collection), its options, and whether in check mode."""

# None of these may change where a module goes, or as whom.
_ASTRAY = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "VAULT_ADDR": "https://127.0.0.1:9",
    "VAULT_TOKEN": "not-this-one",
    "VAULT_NAMESPACE": "elsewhere",
    "VAULT_CLIENT_CERT": "/nonexistent",
    "VAULT_CLIENT_KEY": "/nonexistent",
    "VAULT_CACERT": "/nonexistent",
    "REQUESTS_CA_BUNDLE": "/nonexistent",
    "NO_PROXY": "",
}


@dataclass(frozen=True)
class Ansible:
    """Runs modules of the collection.

    :meth:`run` executes a module's ``main`` in this process with Ansible's own ``AnsibleModule``:
    arguments, check mode, diff and ``no_log`` are as in a playbook, at a fiftieth of the time.
    :meth:`playbook` is the whole way, for a test per kind.

    Attributes:
        folder: Scratch folder of the test session; the collection is below ``collections``.
    """

    folder: Path

    def run(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        """Return the result of each task; a failed one does not end the run."""
        return [self._run(*task) for task in tasks]

    def _run(self, module: str, options: Mapping[str, Any], is_check: bool) -> dict[str, Any]:
        output = io.StringIO()
        arguments = {**options, "_ansible_check_mode": is_check, "_ansible_diff": True}
        entry = importlib.import_module(f"{COLLECTION}.plugins.modules.{module}")
        with (
            patch.dict(os.environ, _ASTRAY),
            patch_module_args(arguments),
            contextlib.redirect_stdout(output),
            pytest.raises(SystemExit),
        ):
            entry.main()
        result: dict[str, Any] = json.loads(output.getvalue())
        return result

    def playbook(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        """Return the results of the same tasks run by ``ansible-playbook``."""
        results = self.folder / "results.json"
        results.unlink(missing_ok=True)
        playbook = self.folder / "playbook.yml"
        playbook.write_text(json.dumps([_play(tasks, results)]))
        run = subprocess.run(
            [str(BIN / "ansible-playbook"), str(playbook)],
            env={
                **os.environ,
                **_ASTRAY,
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
                "ANSIBLE_NOCOLOR": "true",
            },
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        output = run.stdout + run.stderr
        assert run.returncode == 0, output
        assert "Traceback" not in output, output
        answers: list[dict[str, Any]] = json.loads(results.read_text())
        return answers

    def one(
        self, module: str, options: Mapping[str, Any], *, check: bool = False
    ) -> dict[str, Any]:
        """Return the result of one task."""
        return self.run([(module, options, check)])[0]

    def walk(
        self, module: str, steps: Sequence[tuple[Mapping[str, Any], bool]]
    ) -> list[dict[str, Any]]:
        """Run each step first in check mode and then for real, and compare what both say.

        A step that changes something must say so both times, which also shows that check mode left
        it undone.

        Args:
            module: The module.
            steps: Options, and whether they must change something.

        Returns:
            The results of the real runs.
        """
        tasks: list[Task] = []
        for options, _ in steps:
            tasks += [(module, options, True), (module, options, False)]
        results = self.run(tasks)
        for index, (_, is_changed) in enumerate(steps):
            for word, result in zip(("check", "real"), results[2 * index :], strict=False):
                assert not result.get("failed"), (index, word, result.get("msg"))
                assert result["changed"] is is_changed, (index, word, result)
                assert bool(result.get("diff")) is is_changed, (index, word, result)
        return results[1::2]


def _play(tasks: Sequence[Task], results: Path) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {
            f"securetransport.platform.{module}": dict(options),
            "register": f"result_{index}",
            "check_mode": is_check,
            "diff": True,
            "ignore_errors": True,
        }
        for index, (module, options, is_check) in enumerate(tasks)
    ]
    names = ", ".join(f"result_{index}" for index in range(len(tasks)))
    steps.append(
        {
            "ansible.builtin.copy": {
                "content": f"{{{{ [{names}] | to_json }}}}",
                "dest": str(results),
                "mode": "0600",
            }
        }
    )
    return {"hosts": "localhost", "gather_facts": False, "tasks": steps}

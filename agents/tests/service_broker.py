"""A real nats-server with mTLS and users by certificate, for tests of the bus."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from service_pki import TRUST_DOMAIN, Issuer

NATS_SERVER = Path(sys.executable).parent / "nats-server"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def user(service: str, publish: Iterable[str], subscribe: Iterable[str]) -> str:
    def listed(subjects: Iterable[str]) -> str:
        return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"

    return (
        f'{{user: "spiffe://{TRUST_DOMAIN}/{service}", permissions: '
        f"{{publish: {{allow: {listed(publish)}}}, subscribe: {{allow: {listed(subscribe)}}}}}}}"
    )


class Broker:
    """One nats-server process on a free port; ``users`` are lines made by :func:`user`."""

    def __init__(self, directory: Path, issuer: Issuer, users: list[str]) -> None:
        self.directory = directory
        self.port = free_port()
        self._users = users
        directory.mkdir(parents=True, exist_ok=True)
        self.write_trust([issuer])
        self.write_leaf(issuer)
        self.write_config()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    def write_trust(self, issuers: list[Issuer]) -> None:
        (self.directory / "ca.crt").write_text("".join(issuer.pem for issuer in issuers))

    def write_leaf(self, issuer: Issuer) -> None:
        leaf = issuer.leaf("nats")
        (self.directory / "tls.crt").write_text(leaf.certificate)
        (self.directory / "tls.key").write_text(leaf.private_key)

    def write_config(self) -> None:
        where = self.directory
        (where / "nats.conf").write_text(
            f"""
server_name: one
listen: "127.0.0.1:{self.port}"
lame_duck_grace_period: "1s"
lame_duck_duration: "30s"
tls {{
  cert_file: "{where}/tls.crt", key_file: "{where}/tls.key", ca_file: "{where}/ca.crt"
  verify_and_map: true
}}
jetstream {{ store_dir: "{where}/js" }}
accounts {{
  APP: {{ jetstream: enabled, users: [{", ".join(self._users)}] }}
}}
"""
        )

    def set_users(self, users: list[str]) -> None:
        self._users = users
        self.write_config()
        self.signal(signal.SIGHUP)

    def start(self) -> None:
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            [str(NATS_SERVER), "-c", str(self.directory / "nats.conf")], stdout=log, stderr=log
        )
        log.close()
        for _ in range(400):
            if self._process.poll() is not None:
                raise RuntimeError((self.directory / "log").read_text())
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("nats-server did not listen")

    def signal(self, number: int) -> None:
        if self._process is None:
            raise RuntimeError("not started")
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

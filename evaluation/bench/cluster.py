"""Three nats-servers with mTLS between them and to clients, and one account for each lane."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nats
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from evaluation.bench.pki import TRUST_DOMAIN, Authority
from evaluation.errors import EvaluationError

SERVERS = 3
_START_SECONDS = 30.0
_NATS_SERVER = Path(sys.executable).parent / "nats-server"


@dataclass(frozen=True, slots=True)
class LaneNames:
    """Names of one pair of services and what belongs to it; ``lane`` is a word."""

    lane: str

    @property
    def sender(self) -> str:
        """Service that sends."""
        return f"{self.lane}-sender"

    @property
    def receiver(self) -> str:
        """Service that receives; its durables have the same name."""
        return f"{self.lane}-receiver"

    @property
    def admin(self) -> str:
        """Who makes the stream."""
        return f"{self.lane}-admin"

    @property
    def stream(self) -> str:
        """The lane's stream."""
        return f"{self.lane.upper()}_STREAM"

    @property
    def topic(self) -> str:
        """Subject of protected messages."""
        return f"{self.lane}.protected"

    @property
    def plain(self) -> str:
        """Subject of plain messages."""
        return f"{self.lane}.plain"

    @property
    def plain_durable(self) -> str:
        """Durable of plain messages."""
        return f"{self.receiver}-plain"


@dataclass
class Cluster:
    """The servers of one bench.

    Attributes:
        folder: Everything of it, readable by us only.
        lanes: Each gets an account.
    """

    folder: Path
    lanes: Sequence[LaneNames]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make certificates and choose ports."""
        self.authority = Authority(self.folder)
        ports = _free_ports(2 * SERVERS)
        self._clients, self._routes = ports[:SERVERS], ports[SERVERS:]

    @property
    def urls(self) -> list[str]:
        """Where clients connect."""
        return [f"tls://localhost:{port}" for port in self._clients]

    def start(self) -> None:
        """Start the servers and make streams and durables.

        Raises:
            EvaluationError: A server ended, or the cluster did not get ready.
        """
        for number in range(SERVERS):
            home = self.folder / f"nats-{number}"
            home.mkdir()
            (home / "nats.conf").write_text(self._config(number, home), encoding="utf-8")
            with (home / "log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        [str(_NATS_SERVER), "-c", str(home / "nats.conf")], stdout=log, stderr=log
                    )
                )
        for lane in self.lanes:
            asyncio.run(self._make_stream(lane))

    def stop(self) -> None:
        """End the servers."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _config(self, number: int, home: Path) -> str:
        leaf = self.authority.issue(f"nats-{number}")
        tls = (
            f'cert_file: "{leaf.certificate}", key_file: "{leaf.key}",'
            f' ca_file: "{self.authority.anchor}"'
        )
        routes = ", ".join(f'"tls://localhost:{port}"' for port in self._routes)
        accounts = "\n".join(
            f"{lane.lane.upper()}: {{jetstream: enabled, users: [{_users(lane)}]}}"
            for lane in self.lanes
        )
        return f"""
server_name: nats-{number}
listen: "127.0.0.1:{self._clients[number]}"
jetstream {{ store_dir: "{home}/jetstream" }}
tls {{ {tls}, verify_and_map: true, min_version: "1.3" }}
cluster {{
  name: bench, listen: "127.0.0.1:{self._routes[number]}", routes: [{routes}]
  tls {{ {tls}, verify_cert_and_check_known_urls: true }}
}}
accounts {{
{accounts}
}}
"""

    async def _make_stream(self, lane: LaneNames) -> None:
        leaf = self.authority.issue(lane.admin)
        context = ssl.create_default_context(cafile=str(self.authority.anchor))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the bench's certificates are short
        context.load_cert_chain(leaf.certificate, leaf.key)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self._check_alive()
            try:
                bus = await nats.connect(
                    self.urls,
                    tls=context,
                    connect_timeout=2,
                    allow_reconnect=False,
                    error_cb=_ignore,
                )
                await _stream(bus.jetstream(timeout=5), lane)
                await bus.close()
            except (NatsError, OSError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise EvaluationError(f"the servers are not ready: {error}") from error
                await asyncio.sleep(0.5)
            else:
                return

    def _check_alive(self) -> None:
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                log = self.folder / f"nats-{number}" / "log"
                raise EvaluationError(f"nats-{number} ended: {log.read_text()[-2000:]}")


async def _ignore(_error: Exception) -> None:
    """Leave it to the deadline: a server that has only just started refuses."""


async def _stream(js: nats.js.JetStreamContext, lane: LaneNames) -> None:
    await js.add_stream(
        StreamConfig(
            lane.stream,
            subjects=[f"{lane.lane}.>"],
            retention=RetentionPolicy.WORK_QUEUE,
            num_replicas=SERVERS,
            duplicate_window=120,
        )
    )
    for durable, subject in ((lane.receiver, lane.topic), (lane.plain_durable, lane.plain)):
        await js.add_consumer(
            lane.stream,
            ConsumerConfig(
                durable_name=durable,
                filter_subject=subject,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=30,
                max_ack_pending=1000,
            ),
        )


def _users(lane: LaneNames) -> str:
    services = (lane.sender, lane.receiver, lane.admin)
    return ", ".join(f'{{user: "spiffe://{TRUST_DOMAIN}/{service}"}}' for service in services)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

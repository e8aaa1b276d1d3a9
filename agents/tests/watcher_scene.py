"""A watcher as a process, and the authority's side of its conversation."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keeper_scene import Scene
from securetransport.adapters.nats import NatsBus
from securetransport.core.formats import documents
from securetransport.core.formats.attestation import Attestation
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.server_report import ServerObservation, ServerReport
from securetransport.core.ports.bus import Connection, Credentials, Message
from servers import LOOPBACK, TRUST_DOMAIN, Process, free_ports


class WatcherProcess:
    """One watcher with the configuration that Ansible would write."""

    def __init__(self, home: Path, scene: Scene) -> None:
        self.home = home
        self.scene = scene
        self.process: Process | None = None
        self.port = free_ports(1)[0]
        bao, authority = scene.bao, scene.authority
        keys = home / "authority-keys.json"
        keys.write_text(authority.keys_json())
        servers = "".join(
            f"""
[[servers]]
name = "{site.name}"
client_address = "{LOOPBACK}:{site.port}"
route_address = "{LOOPBACK}:{site.route_port}"
"""
            for site in scene.sites
        )
        urls = [f"tls://{LOOPBACK}:{site.port}" for site in scene.sites]
        (home / "watcher.toml").write_text(f"""
[identity]
service = "watcher"
instance = "0"
trust_domain = "{TRUST_DOMAIN}"
[openbao]
addresses = {json.dumps(list(bao.addresses))}
ca_file = "{bao.ca_file}"
token_file = "{authority.token("watcher")}"
timeout_seconds = 2.0
[authority]
keys_file = "{keys}"
[health]
port = {self.port}
[paths]
state_dir = "{home}/state"
[profile]
name = "compressed"
[logs]
format = "json"
[nats]
servers = {json.dumps(urls)}
[round]
page_size = 2
{servers}
""")

    @property
    def log(self) -> Path:
        return self.home / "watcher.log"

    def start(self) -> None:
        arguments = [sys.executable, "-m", "securetransport.watcher", "--config"]
        self.process = Process([*arguments, str(self.home / "watcher.toml")], self.log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in parsed if line.get("event") == name]


@dataclass
class Listener:
    """Hears in account APP, as the authority does, and verifies what it hears."""

    scene: Scene
    reports: list[ServerReport] = field(default_factory=list)
    attestations: list[Attestation] = field(default_factory=list)
    keys: dict[str, VerifyKey] = field(default_factory=dict)
    connection: Connection | None = None
    attested: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        authority, site = self.scene.authority, self.scene.sites[0]
        leaf = await asyncio.to_thread(authority.leaf, "metadata")
        self.connection = await NatsBus().connect(
            [f"tls://{LOOPBACK}:{site.port}"],
            Credentials(tuple(authority.anchors()), leaf),
            name="metadata/1",
            inbox_prefix="_INBOX.metadata",
        )
        await self.connection.subscribe("observe.servers", self._report)
        await self.connection.subscribe("metadata.attest.>", self._attestation)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.connection is not None:
            await self.connection.close()

    async def ask(self, command: dict[str, object]) -> dict[str, Any]:
        """Send a command to the watcher."""
        assert self.connection is not None
        answer = await self.connection.request(
            "watcher.command", json.dumps(command).encode(), timeout=5
        )
        return dict(json.loads(answer.data))

    async def wait(
        self, what: str, check: Callable[[ServerReport], bool], seconds: float = 15
    ) -> ServerReport:
        """Wait for a *new* report that passes ``check``."""
        known, deadline = len(self.reports), time.monotonic() + seconds
        while True:
            for report in self.reports[known:]:
                if check(report):
                    return report
            known = len(self.reports)
            if time.monotonic() > deadline:
                newest = self.reports[-1].model_dump_json(indent=1) if self.reports else "none"
                raise AssertionError(f"no report: {what}; newest: {newest}")
            await asyncio.sleep(0.05)

    async def _report(self, message: Message) -> None:
        body = await self._verified(message.data, DocumentKind.SERVER_REPORT)
        self.reports.append(ServerReport.from_bytes(body))

    async def _attestation(self, message: Message) -> None:
        body = await self._verified(message.data, DocumentKind.ATTESTATION)
        self.attestations.append(Attestation.from_bytes(body))
        self.attested.set()

    async def _verified(self, data: bytes, kind: DocumentKind) -> bytes:
        document = documents.decode(data)
        return documents.verify_document(
            document,
            await asyncio.to_thread(self._lookup, document),
            kind=kind,
            audience=documents.AUTHORITY,
            at=document.created_at,
            signer="watcher/0",
        )

    def _lookup(self, document: documents.SignedDocument) -> Callable[[str], tuple[str, bytes]]:
        key = self.keys.get(document.key_id)
        if key is None:
            path = f"secret/data/enroll/{document.signer}/{document.key_id}"
            stored = self.scene.bao.call("GET", path)["data"]["data"]
            key = VerifyKey.model_validate(stored["key"])
            self.keys[document.key_id] = key
        return lambda _key_id: (key.algorithm, key.public_key)


def of_server(report: ServerReport, name: str) -> ServerObservation:
    return next(entry for entry in report.servers if entry.server == name)

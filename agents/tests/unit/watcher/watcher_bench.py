"""A watcher in memory: three servers of a fake bus, which are probed as fake servers, too."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from securetransport.core.base import names
from securetransport.core.base.errors import UnknownKeyError
from securetransport.core.crypto import signing
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.server_report import ServerObservation, ServerReport
from securetransport.core.ports import Clock, Connection, Message
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.testing import FakeFiles, FakeProbe, FakeServer
from securetransport.testing.bus import FakeBus
from securetransport.watcher.service import Watcher
from securetransport.watcher.settings import WatcherSettings
from securetransport.watcher.telemetry import WatcherTelemetry
from trust_scene import accepted, issuer_of

NAMES = ("nats-1", "nats-2", "nats-3")
KEY = signing.generate_signing_key()


@dataclass
class FakeAccount:
    """The watcher's place in the system account."""

    connection: Connection
    trust: AcceptedTrust | None
    key: SigningKey | None = KEY

    def signing_key(self) -> SigningKey:
        if self.key is None:
            raise UnknownKeyError("no signing key is enrolled yet")
        return self.key


def settings(page_size: int) -> WatcherSettings:
    here = Path(__file__)  # any file that exists
    return WatcherSettings.model_validate(
        {
            "identity": {"service": "watcher", "instance": "1"},
            "openbao": {
                "addresses": ["https://localhost:1"],
                "ca_file": here,
                "token_file": here,
            },
            "authority": {"keys_file": here},
            "health": {"port": 0},
            "paths": {"state_dir": "/srv/state"},
            "nats": {"servers": ["tls://localhost:4222"]},
            "round": {"page_size": page_size},
            "servers": [
                {
                    "name": name,
                    "client_address": f"{name}:4222",
                    "route_address": f"{name}:6222",
                }
                for name in NAMES
            ],
        }
    )


@dataclass
class WatcherBench:
    """One watcher with everything around it.

    Attributes:
        bus: Its servers answer monitoring requests.
        sites: The same servers, as probes see them.
        account: What the watcher is in the system account.
        watcher: The watcher.
        reports: What the authority received, verified.
    """

    bus: FakeBus
    files: FakeFiles
    sites: dict[str, FakeServer]
    tls: FakeProbe
    account: FakeAccount
    watcher: Watcher
    registry: CollectorRegistry
    authority: Connection
    reports: list[ServerReport] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return self.bus.clock

    def put_trust(self, server: str, *epochs: int) -> None:
        """Write another trust set beside a server, as its keeper does."""
        anchors = "".join(issuer_of(epoch).pem for epoch in epochs)
        self.files.write(Path("/srv") / server / "ca.crt", anchors)

    def on_reload(self, server: str, problem: str = "") -> None:
        """Let a server of the bus take its files, or refuse them, when it is told to."""

        def reload(_question: dict[str, Any]) -> dict[str, Any]:
            if problem:
                return {"error": {"code": 500, "description": problem}}
            self.sites[server].signal_reload()
            return {}

        self.bus.servers[server].on("RELOAD", reload)

    async def round(self) -> ServerReport:
        """Run a round; returns what the authority received of it."""
        await self.watcher.round()
        await self.authority.flush()
        return self.reports[-1]

    async def seen(self, server: str = "nats-1") -> ServerObservation:
        """Run a round; returns what was reported of one server."""
        report = await self.round()
        return next(entry for entry in report.servers if entry.server == server)

    async def command(self, data: bytes | dict[str, Any]) -> dict[str, Any]:
        """Send a command as the authority does."""
        sent = data if isinstance(data, bytes) else json.dumps(data).encode()
        answer = await self.authority.request(names.SUBJECT_WATCHER_COMMAND, sent, timeout=5.0)
        return dict(json.loads(answer.data))

    def counted(self, name: str, **labels: str) -> float:
        """Return a metric of the watcher."""
        return self.registry.get_sample_value(f"securetransport_watcher_{name}", labels) or 0.0

    async def _received(self, message: Message) -> None:
        body = documents.verify_document(
            documents.decode(message.data),
            lambda _key_id: (KEY.algorithm, KEY.public_key),
            kind=DocumentKind.SERVER_REPORT,
            audience=documents.AUTHORITY,
            at=self.clock.now(),
            signer="watcher/1",
        )
        self.reports.append(ServerReport.from_bytes(body))


async def make_bench(page_size: int = 1024) -> WatcherBench:
    """Return a bench whose servers serve epoch 1 and trust it."""
    bus = FakeBus(urls=[f"tls://{name}:4222" for name in NAMES])
    files, sites = FakeFiles(), {}
    leaf = issuer_of(1).leaf("nats/nats-1")
    for name in NAMES:
        home = Path("/srv") / name
        files.make_dir(home)
        files.write(home / "tls.crt", leaf.certificate)
        files.write(home / "tls.key", leaf.private_key)
        files.write(home / "ca.crt", issuer_of(1).pem)
        paths = (f'{key}_file: "{home}/{file}"' for key, file in _FILES)
        files.write(home / "nats.conf", "\n".join(paths))
        site = FakeServer(files, home / "nats.conf", client=f"{name}:4222", route=f"{name}:6222")
        site.start()
        sites[name] = site
    tls = FakeProbe(sites.values())
    registry = CollectorRegistry()
    account = FakeAccount(await bus.join_system("watcher"), accepted(1, active=1))
    watcher = Watcher(
        settings(page_size),
        session=account,
        tls=tls,
        clock=bus.clock,
        telemetry=WatcherTelemetry(registry),
    )
    await watcher.follow(account.connection)
    bench = WatcherBench(
        bus, files, sites, tls, account, watcher, registry, await bus.join("metadata")
    )
    await bench.authority.subscribe(names.SUBJECT_SERVER_REPORT, bench._received)
    return bench


_FILES = (("cert", "tls.crt"), ("key", "tls.key"), ("ca", "ca.crt"))

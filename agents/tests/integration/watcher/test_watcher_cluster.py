"""The watcher beside a real cluster; the tests build on each other, in file order."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

from certificates import TRUST_DOMAIN
from keeper_scene import Scene, Site
from securetransport.adapters.nats import NatsBus
from securetransport.core.base.names import ServiceId, spiffe_id
from securetransport.core.formats import documents
from securetransport.core.formats.server_report import ServerReport
from securetransport.core.ports import TlsIdentity
from securetransport.core.ports.bus import Connection, Credentials
from servers import LOOPBACK, wait_until
from watcher_scene import Listener, WatcherProcess, of_server


async def connect(
    scene: Scene, site: Site, leaf: TlsIdentity, inbox: str = "_INBOX.gatekeeper"
) -> Connection:
    return await NatsBus().connect(
        [f"tls://{LOOPBACK}:{site.port}"],
        Credentials(tuple(scene.authority.anchors()), leaf),
        name="somebody-else/9",
        inbox_prefix=inbox,
    )


def leaf_fingerprints(report: ServerReport) -> set[str | None]:
    return {entry.leaf for server in report.servers for entry in server.connections or ()}


def all_show(report: ServerReport, names: frozenset[str]) -> bool:
    return all(
        entry.client_names is not None
        and entry.route_names is not None
        and frozenset(entry.client_names) == names == frozenset(entry.route_names)
        for entry in report.servers
    )


async def test_reports_are_signed_by_an_enrolled_key_and_complete(
    scene: Scene, watcher: WatcherProcess
) -> None:
    assert watcher.process is not None
    async with Listener(scene) as listener:
        report = await listener.wait("complete", lambda found: bool(found.servers), 30)
        names = scene.authority.names(1)
        report = await listener.wait("names", lambda found: all_show(found, names))
        assert [entry.server for entry in report.servers] == ["nats-1", "nats-2", "nats-3"]
        for entry in report.servers:
            assert entry.reachable
            assert entry.seen_by_peers is True
            assert entry.reload_error is None
            assert entry.connections is not None
            assert {entry.served_issuer, entry.route_served_issuer} == set(names)
        users = {c.user for entry in report.servers for c in entry.connections or ()}
        assert users == {
            spiffe_id(TRUST_DOMAIN, ServiceId(name)) for name in ("metadata", "watcher")
        }


async def test_watcher_attests_the_leaf_it_is_connected_with(
    scene: Scene, watcher: WatcherProcess
) -> None:
    del watcher
    async with Listener(scene) as listener:
        report = await listener.wait("any", lambda found: bool(found.servers))
        async with asyncio.timeout(10):
            await listener.attested.wait()
        said = listener.attestations[-1]
        own = spiffe_id(TRUST_DOMAIN, ServiceId("watcher"))
        mine = [
            c.leaf for entry in report.servers for c in entry.connections or () if c.user == own
        ]
        assert mine
        assert set(mine) <= set(said.leaf_fingerprints)
        assert said.digest == scene.authority.bundle(1, active=1).digest


async def test_attestation_of_the_other_account_is_kept_by_the_stream(
    scene: Scene, watcher: WatcherProcess
) -> None:
    """The authority reads it there after its own restart."""
    del watcher
    leaf = await asyncio.to_thread(scene.authority.leaf, "admin")
    admin = await connect(scene, scene.sites[0], leaf, inbox="_INBOX.admin")
    config = {
        "name": "ATTESTATIONS",
        "subjects": ["metadata.attest.>"],
        "max_msgs_per_subject": 1,
        "allow_direct": True,
    }
    try:
        subject = "$JS.API.STREAM.CREATE.ATTESTATIONS"
        made = await admin.request(subject, json.dumps(config).encode(), timeout=10)
        assert "error" not in json.loads(made.data)
    finally:
        await admin.close()
    async with Listener(scene) as listener:
        assert listener.connection is not None
        stored = None
        async with asyncio.timeout(15):
            while stored is None:
                await asyncio.sleep(0.2)
                stored = await listener.connection.last_message(
                    "ATTESTATIONS", "metadata.attest.watcher.0"
                )
        assert documents.decode(stored.data).signer == "watcher/0"


async def test_connections_are_known_by_their_leaf_over_several_pages(
    scene: Scene, watcher: WatcherProcess
) -> None:
    """The watcher of this test asks for two connections a page; names of clients do not count."""
    del watcher
    issued = [await asyncio.to_thread(scene.authority.leaf, "gatekeeper") for _ in range(5)]
    async with Listener(scene) as listener, AsyncExitStack() as stack:
        for leaf in issued:
            connection = await connect(scene, scene.sites[1], leaf)
            stack.push_async_callback(connection.close)
        wanted = {leaf.fingerprint for leaf in issued}
        await listener.wait(
            "all five leaf certificates", lambda found: wanted <= leaf_fingerprints(found)
        )


async def test_change_of_trust_is_seen_from_outside_and_confirmed_by_a_reload(
    scene: Scene, watcher: WatcherProcess
) -> None:
    del watcher
    async with Listener(scene) as listener:
        scene.authority.publish_bundle(1, 2, active=1)
        names = scene.authority.names(1, 2)
        report = await listener.wait("new names", lambda found: all_show(found, names))
        assert all(entry.reload_error is None for entry in report.servers)
    log = scene.sites[0].home / "server.log"
    wait_until("reload over the bus", lambda: "Reloaded: " in log.read_text(), 5)


async def test_command_reloads_one_server_and_refuses_others(
    scene: Scene, watcher: WatcherProcess
) -> None:
    del watcher
    async with Listener(scene) as listener:
        assert await listener.ask({"do": "reload", "server": "nats-2"}) == {
            "ok": True,
            "error": None,
        }
        for command in (
            {"do": "reload", "server": "nats-9"},
            {"do": "kill", "server": "nats-1"},
            {"do": "reload"},
        ):
            answer = await listener.ask(command)
            assert answer["ok"] is False
            assert answer["error"]


async def test_refused_reload_is_reported_with_its_reason(
    scene: Scene, watcher: WatcherProcess
) -> None:
    del watcher
    site = scene.sites[2]
    conf = site.home / "nats.conf"
    good = conf.read_text()
    conf.write_text(good + "\nnonsense {\n")
    try:
        async with Listener(scene) as listener:
            answer = await listener.ask({"do": "reload", "server": site.name})
            assert answer["ok"] is False
            scene.authority.publish_bundle(1, active=1)
            report = await listener.wait(
                "an error", lambda found: of_server(found, site.name).reload_error is not None
            )
            error = of_server(report, site.name).reload_error
            assert error is not None
            assert "Parse error" in error
            conf.write_text(good)
            await listener.wait(
                "no error", lambda found: of_server(found, site.name).reload_error is None
            )
    finally:
        conf.write_text(good)


async def test_silent_server_is_unknown_first_and_absent_only_after_ten_seconds(
    scene: Scene, watcher: WatcherProcess
) -> None:
    del watcher
    site = scene.sites[2]
    assert site.server is not None
    site.server.kill()
    async with Listener(scene) as listener:
        report = await listener.wait(
            "unknown", lambda found: of_server(found, site.name).connections is None
        )
        found = of_server(report, site.name)
        assert found.reachable, "silent for less than ten seconds"
        assert found.client_names is None
        assert found.route_names is None
        report = await listener.wait(
            "absent", lambda found: not of_server(found, site.name).reachable, 20
        )
        assert of_server(report, site.name).seen_by_peers is False
        site.start_server()
        report = await listener.wait(
            "back", lambda found: of_server(found, site.name).connections is not None, 20
        )
        assert of_server(report, site.name).reachable


async def test_reports_go_on_while_openbao_is_away(scene: Scene, watcher: WatcherProcess) -> None:
    async with Listener(scene) as listener:
        await listener.wait("before", lambda found: bool(found.servers))  # its key is known now
        scene.bao.processes[0].kill()
        try:
            for _ in range(3):
                await listener.wait("meanwhile", lambda found: bool(found.servers))
        finally:
            scene.bao.start_node(0)
            await asyncio.to_thread(scene.bao.wait_active)
    assert watcher.process is not None
    assert watcher.process.is_running()


def test_watcher_logs_neither_keys_nor_tokens(watcher: WatcherProcess) -> None:
    text = watcher.log.read_text()
    assert "PRIVATE KEY" not in text
    for path in watcher.scene.bao.directory.glob("test-*.token"):
        assert path.read_text() not in text

"""Nobody but a server joins the cluster, whichever certificate he holds; a running cluster moves.

Without ``verify_cert_and_check_known_urls`` each of these leaf certificates joined and read all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificates import Issuer
from keeper_scene import Scene
from securetransport.core.ports import TlsIdentity
from servers import (
    DEFAULT_USERS,
    LOOPBACK,
    MakeNats,
    NatsServer,
    accounts_text,
    free_ports,
    wait_until,
)
from watcher_scene import Listener, WatcherProcess

FORMER_CHECK = "verify: true"
ROGUE = "rogue-1"


@contextmanager
def rogue(home: Path, leaf: TlsIdentity, anchors: str, routes: list[int]) -> Iterator[NatsServer]:
    """A server of somebody else, who holds ``leaf`` and names the route ports of the cluster."""
    home.mkdir()
    ports = free_ports(3)
    server = NatsServer(ROGUE, home, *ports, tuple(routes), accounts_text(DEFAULT_USERS))
    server.route_check = FORMER_CHECK  # whom he lets in is his affair
    for name, text in (
        ("tls.crt", leaf.certificate),
        ("tls.key", leaf.private_key),
        ("ca.crt", anchors),
    ):
        (home / name).write_text(text)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def peers(server: NatsServer) -> set[str]:
    return {route["remote_name"] for route in server.monitor("routez").get("routes") or []}


@pytest.mark.parametrize("service", ["gatekeeper", "probe", "auth-controller"])
async def test_certificate_of_nobodys_server_is_refused_and_the_peer_is_named(
    scene: Scene, watcher: WatcherProcess, tmp_path: Path, service: str
) -> None:
    if service == "auth-controller":
        scene.authority.publish_policy(service)  # removed; its certificate lives on
    leaf = scene.authority.leaf(service)
    anchors = (scene.sites[0].home / "managed" / "ca.crt").read_text()
    routes = [site.route_port for site in scene.sites]
    del watcher
    async with Listener(scene) as listener:
        with rogue(tmp_path / "rogue", leaf, anchors, routes) as server:
            own_id = str(server.monitor("varz")["server_id"])
            report = await listener.wait(
                "every server refused it",
                lambda found: all(
                    own_id in {peer.name for peer in entry.refused_routes}
                    for entry in found.servers
                ),
            )
            assert not peers(server)
        for entry in report.servers:
            refused = next(peer for peer in entry.refused_routes if peer.name == own_id)
            assert refused.host == LOOPBACK
            assert entry.seen_by_peers is True


def test_running_cluster_moves_to_the_stricter_check_one_server_at_a_time(
    make_nats: MakeNats, pki: Issuer, tmp_path: Path
) -> None:
    """Servers of both configurations form one cluster, and only the former let a stranger in."""
    issuer = pki.intermediate("nats-int e1 0000000000000001")
    servers = make_nats(3, issuer, [issuer], route_host=LOOPBACK, route_check=FORMER_CHECK)
    names = {server.name for server in servers}

    def is_whole() -> bool:
        return all(peers(server) == names - {server.name} for server in servers)

    wait_until("the former cluster is whole", is_whole)
    leaf = issuer.leaf("gatekeeper/1", dns=())
    routes = [server.route_port for server in servers]
    with rogue(tmp_path / "before", leaf, issuer.pem, routes) as server:
        wait_until("the former cluster takes a member for a server", lambda: peers(server) == names)
    for server in servers:
        server.stop()
        server.route_host, server.route_check = "localhost", NatsServer.route_check
        server.start()
        wait_until(f"the cluster is whole after {server.name}", is_whole, 30)
        wait_until("JetStream is ready", lambda server=server: server.is_ready(), 30)
    with rogue(tmp_path / "after", leaf, issuer.pem, routes) as server:
        wait_until(
            "the peer is refused",
            lambda: "Authorization Violation" in (server.directory / "log").read_text(),
        )
        assert not peers(server)
    assert is_whole()

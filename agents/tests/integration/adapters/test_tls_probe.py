"""Contexts and probes against real nats-servers, before and after reloads of the trust file."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass

import pytest

from certificates import Issuer
from securetransport.adapters.tls import accepted, client_context, probe
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports import PortKind
from servers import LOOPBACK, MakeNats, NatsServer

FIRST, SECOND = "nats-int e1 0000000000000001", "nats-int e2 0000000000000002"


@dataclass
class Scene:
    """Three servers on the first issuer; tests leave the first server as they found it."""

    servers: list[NatsServer]
    first: Issuer
    second: Issuer

    @property
    def server(self) -> NatsServer:
        return self.servers[0]

    def port(self, kind: PortKind) -> int:
        return self.server.port if kind == "client" else self.server.route_port

    def put(self, issuer: Issuer, *anchors: Issuer) -> None:
        self.server.material(issuer, anchors)
        self.server.reload()


@pytest.fixture(scope="module")
def module_scene(pki: Issuer, make_nats: MakeNats) -> Scene:
    first, second = pki.intermediate(FIRST), pki.intermediate(SECOND)
    return Scene(make_nats(3, first, [first]), first, second)


@pytest.fixture
def scene(module_scene: Scene) -> Scene:
    module_scene.put(module_scene.first, module_scene.first)
    return module_scene


KINDS: list[PortKind] = ["client", "route"]


@pytest.mark.parametrize("kind", KINDS)
async def test_probe_reads_the_trust_set_in_force(scene: Scene, kind: PortKind) -> None:
    result = await probe(LOOPBACK, scene.port(kind), kind=kind, timeout_seconds=2)
    assert result.error is None
    assert result.ca_names == (FIRST,)
    assert result.issuer_common_name == FIRST
    assert result.leaf_not_after is not None
    assert result.leaf_not_after > dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("kind", KINDS)
async def test_probe_follows_a_reload(scene: Scene, kind: PortKind) -> None:
    before = await probe(LOOPBACK, scene.port(kind), kind=kind)
    scene.put(scene.first, scene.first, scene.second)
    both = await probe(LOOPBACK, scene.port(kind), kind=kind)
    assert sorted(both.ca_names) == [FIRST, SECOND]
    assert both.issuer_common_name == FIRST
    scene.put(scene.second, scene.second)
    after = await probe(LOOPBACK, scene.port(kind), kind=kind)
    assert after.ca_names == (SECOND,)
    assert after.issuer_common_name == SECOND
    assert len({before.leaf_fingerprint, both.leaf_fingerprint, after.leaf_fingerprint}) == 3


async def test_probe_of_nothing_says_why(scene: Scene) -> None:
    nobody = await probe(LOOPBACK, 1, kind="client", timeout_seconds=1)
    silent = await probe(LOOPBACK, scene.server.route_port, kind="client", timeout_seconds=0.3)
    wrong = await probe(LOOPBACK, scene.server.port, kind="route", timeout_seconds=1)
    assert nobody.error is not None
    assert "refused" in nobody.error.lower() or "connect" in nobody.error.lower()
    assert silent.error == "no answer in time"
    assert wrong.error is not None
    assert wrong.error.startswith("tls: ")


async def test_probe_of_a_server_that_closes_says_so() -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        result = await probe(LOOPBACK, port, kind="client", timeout_seconds=1)
        routed = await probe(LOOPBACK, port, kind="route", timeout_seconds=1)
    assert result.error is not None
    assert routed.error is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_trusted_identity_is_accepted(scene: Scene, kind: PortKind) -> None:
    identity = scene.first.leaf("gatekeeper/1")
    word = await accepted(LOOPBACK, scene.port(kind), identity, [scene.first.der], kind=kind)
    assert word == "accepted"


async def test_identity_without_a_user_is_accepted_by_tls(scene: Scene) -> None:
    """The probe identity maps to nobody: the handshake is what counts."""
    identity = scene.first.leaf("probe/1")
    word = await accepted(LOOPBACK, scene.server.port, identity, [scene.first.der])
    assert word == "accepted"


@pytest.mark.parametrize("kind", KINDS)
async def test_leaf_of_an_unlisted_issuer_is_unknown_authority_every_time(
    scene: Scene, kind: PortKind
) -> None:
    identity = scene.second.leaf("gatekeeper/1")
    words = {
        await accepted(LOOPBACK, scene.port(kind), identity, [scene.first.der], kind=kind)
        for _ in range(40)
    }
    assert words == {"unknown-authority"}


@pytest.mark.parametrize("kind", KINDS)
async def test_expired_leaf_is_expired(scene: Scene, kind: PortKind) -> None:
    identity = scene.first.leaf("gatekeeper/1", life=dt.timedelta(minutes=-1))
    word = await accepted(LOOPBACK, scene.port(kind), identity, [scene.first.der], kind=kind)
    assert word == "expired"


async def test_retired_issuer_is_refused_after_the_reload(scene: Scene) -> None:
    identity = scene.first.leaf("gatekeeper/1")
    both = [scene.first.der, scene.second.der]
    scene.put(scene.second, scene.first, scene.second)
    assert await accepted(LOOPBACK, scene.server.port, identity, both) == "accepted"
    scene.put(scene.second, scene.second)
    assert await accepted(LOOPBACK, scene.server.port, identity, both) == "unknown-authority"


async def test_server_that_we_do_not_trust_is_told_apart(scene: Scene) -> None:
    identity = scene.first.leaf("gatekeeper/1")
    word = await accepted(LOOPBACK, scene.server.port, identity, [scene.second.der])
    assert word == "server-not-trusted"


async def test_server_under_another_name_is_not_trusted(scene: Scene) -> None:
    """Host names are checked: the leaf is for 127.0.0.1, not for 127.0.0.2."""
    leaf = scene.first.leaf("nats/nats-1", ips=["127.0.0.9"], dns=[])
    for file, text in (("tls.crt", leaf.certificate), ("tls.key", leaf.private_key)):
        (scene.server.directory / file).write_text(text)
    scene.server.reload()
    identity = scene.first.leaf("gatekeeper/1")
    word = await accepted(LOOPBACK, scene.server.port, identity, [scene.first.der])
    assert word == "server-not-trusted"


async def test_nobody_there_proves_nothing(scene: Scene) -> None:
    identity = scene.first.leaf("gatekeeper/1")
    assert await accepted(LOOPBACK, 1, identity, [scene.first.der]) == "unreachable"
    word = await accepted(
        LOOPBACK, scene.server.route_port, identity, [scene.first.der], timeout_seconds=0.3
    )
    assert word == "unreachable"


async def test_root_is_not_needed_and_an_issuer_alone_is_an_anchor(
    scene: Scene, pki: Issuer
) -> None:
    identity = scene.first.leaf("gatekeeper/1")
    word = await accepted(LOOPBACK, scene.server.port, identity, [pki.der])
    assert word == "server-not-trusted", (
        "the server sends no intermediate, so the root proves nothing"
    )


def test_context_without_anchors_is_refused() -> None:
    with pytest.raises(SecureTransportError, match="no trust anchors"):
        client_context([], None)


def test_context_with_a_foreign_key_is_refused(scene: Scene) -> None:
    mine, other = scene.first.leaf("gatekeeper/1"), scene.first.leaf("gatekeeper/2")
    mixed = type(mine)(
        certificate=mine.certificate,
        private_key=other.private_key,
        fingerprint=mine.fingerprint,
        issuer_common_name=mine.issuer_common_name,
        not_before=mine.not_before,
        not_after=mine.not_after,
    )
    with pytest.raises(SecureTransportError, match="tls material cannot be used"):
        client_context([scene.first.der], mixed)


def test_context_with_garbage_as_anchor_is_refused() -> None:
    with pytest.raises(SecureTransportError, match="tls material cannot be used"):
        client_context([b"garbage"], None)

"""Session fixtures: real servers, started on first use, always killed (see ``servers.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from certificates import Issuer
from servers import MakeNats, NatsServer, OpenBao, start_nats

pytest.register_assert_rewrite("bus_contract", "files_contract", "servers_contract")


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """One OpenBao node with the mounts of docs/architecture.md; shared: use your own paths."""
    server = OpenBao(tmp_path_factory.mktemp("bao"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def bao_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """Three OpenBao nodes of this module alone: they may be killed."""
    cluster = OpenBao(tmp_path_factory.mktemp("bao3"), nodes=3)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def pki() -> Issuer:
    """A root; ``pki.intermediate(name)`` makes issuers."""
    return Issuer.root("test root")


@pytest.fixture(scope="module")
def make_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeNats]:
    """Return a function that starts nats-servers."""
    started: list[NatsServer] = []

    def make(
        count: int,
        issuer: Issuer,
        anchors: Iterable[Issuer],
        *,
        accounts: str | None = None,
        extra: str = "",
        route_host: str = NatsServer.route_host,
        route_check: str = NatsServer.route_check,
    ) -> list[NatsServer]:
        directory: Path = tmp_path_factory.mktemp("nats")
        servers = start_nats(
            directory,
            count,
            issuer,
            anchors,
            accounts=accounts,
            extra=extra,
            route_host=route_host,
            route_check=route_check,
        )
        started.extend(servers)
        return servers

    try:
        yield make
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="session")
def nats_issuer(pki: Issuer) -> Issuer:
    """The issuer of the shared single server."""
    return pki.intermediate("nats-int e1 0000000000000001")


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory, nats_issuer: Issuer) -> Iterator[NatsServer]:
    """One shared nats-server with JetStream, mTLS and the users of ``DEFAULT_USERS``."""
    servers = start_nats(tmp_path_factory.mktemp("nats1"), 1, nats_issuer, [nats_issuer])
    try:
        yield servers[0]
    finally:
        for server in servers:
            server.stop()

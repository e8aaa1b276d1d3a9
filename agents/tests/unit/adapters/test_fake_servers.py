"""The fake server keeps the contract, and shows the faults that a test asks it for."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetransport.core.base.errors import SecureTransportError
from securetransport.testing import FakeFiles, FakeProbe, FakeServer
from servers_contract import FIRST, HOST, SECOND, Bench, ServersContract


class FakeProcess:
    """The process of a fake server."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def pause(self) -> None:
        self._server.is_silent = True

    def resume(self) -> None:
        self._server.is_silent = False


def make_bench() -> tuple[Bench, FakeServer]:
    files, folder = FakeFiles(), Path("/srv/nats-1")
    files.make_dir(folder)
    server = FakeServer(files, folder / "nats.conf", client=f"{HOST}:4222", route=f"{HOST}:6222")
    bench = Bench(
        folder, files, server, FakeProbe([server]), FakeProcess(server), 4222, 6222, dead_port=1
    )
    bench.prepare()
    return bench, server


class TestFakeServer(ServersContract):
    """In memory."""

    @pytest.fixture
    def bench(self) -> Bench:
        return make_bench()[0]


async def test_deaf_server_serves_its_old_files() -> None:
    bench, server = make_bench()
    server.start()
    bench.put(SECOND, [SECOND])
    server.is_deaf = True
    assert server.signal_reload()
    assert (await bench.look()).issuer_common_name == FIRST.common_name


async def test_slow_server_shows_the_old_files_for_a_while() -> None:
    bench, server = make_bench()
    server.start()
    server.slow_probes = 2
    bench.put(SECOND, [SECOND])
    server.signal_reload()
    seen = [(await bench.look()).issuer_common_name for _ in range(4)]
    assert seen == [FIRST.common_name] * 2 + [SECOND.common_name] * 2


async def test_program_that_refuses_everything_says_so_and_reloads_nothing() -> None:
    bench, server = make_bench()
    server.start()
    server.refuses = "unknown field"
    assert await server.problem_of(bench.config) == "unknown field"
    bench.put(SECOND, [SECOND])
    server.signal_reload()
    assert (await bench.look()).issuer_common_name == FIRST.common_name
    assert server.checks == [bench.config]


def test_server_does_not_start_with_files_that_it_refuses() -> None:
    bench, server = make_bench()
    bench.files.write(bench.folder / "tls.key", b"")
    with pytest.raises(SecureTransportError):
        server.start()
    assert not server.is_running()


async def test_nobody_listens_where_no_server_is() -> None:
    bench, server = make_bench()
    server.start()
    assert (await bench.tls.probe("elsewhere", 4222)).error == "Connection refused"

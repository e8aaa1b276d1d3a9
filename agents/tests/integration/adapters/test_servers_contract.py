"""The contract of server control and probe on a real nats-server, beside the fake's."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import BIN, Process, free_ports, wait_until
from securetransport.adapters.files import LocalFiles
from securetransport.adapters.servers import LocalServer
from securetransport.adapters.tls import HandshakeProbe
from servers_contract import HOST, Bench, ServersContract

BINARY = str(BIN / "nats-server")


class RealProcess:
    """The process of a nats-server."""

    def __init__(self, folder: Path, *ports: int) -> None:
        self._folder = folder
        self._ports = ports
        self._process: Process | None = None

    def start(self) -> None:
        arguments = [BINARY, "-c", str(self._folder / "nats.conf")]
        process = self._process = Process(arguments, self._folder / "log")
        pid = str(process.child.pid)
        wait_until(
            "it listens",
            lambda: (
                self._listens()
                and (self._folder / "nats.pid").exists()
                and (self._folder / "nats.pid").read_text().strip() == pid
            ),
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()

    def pause(self) -> None:
        assert self._process is not None
        self._process.pause()

    def resume(self) -> None:
        assert self._process is not None
        self._process.send(signal.SIGCONT)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.is_running(), self._process.tail()
        try:
            for port in self._ports:
                socket.create_connection((HOST, port), 0.5).close()
        except OSError:
            return False
        return True


class TestNatsServer(ServersContract):
    """A process of this machine."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        port, route_port, dead_port = free_ports(3)
        process = RealProcess(tmp_path, port, route_port)
        control = LocalServer(tmp_path / "nats.pid", BINARY)
        bench = Bench(
            tmp_path, LocalFiles(), control, HandshakeProbe(), process, port, route_port, dead_port
        )
        bench.prepare()
        try:
            yield bench
        finally:
            process.stop()

"""The machine of this host and the one in memory do the same."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine_contract import MachineContract, Put
from securetransport.adapters.machine import LocalMachine
from securetransport.core.ports.machine import HttpAnswer
from securetransport.testing import FakeFiles
from securetransport.testing.machine import FakeMachine

ANSWER = "http://127.0.0.1:2/livez"


class TestFakeMachine(MachineContract):
    """The fake."""

    @pytest.fixture
    def root(self) -> Path:
        return Path("/root-of-test")

    @pytest.fixture
    def machine(self, root: Path) -> FakeMachine:
        made = FakeMachine(FakeFiles())
        made.files.make_dir(root)
        made.answers[ANSWER] = HttpAnswer(200, b"ok", None)
        return made

    @pytest.fixture
    def put(self, machine: FakeMachine) -> Put:
        return machine.files.write

    @pytest.fixture
    def url(self) -> str:
        return ANSWER


class _Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class TestLocalMachine(MachineContract):
    """This host."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path

    @pytest.fixture
    def machine(self) -> LocalMachine:
        return LocalMachine()

    @pytest.fixture
    def put(self) -> Put:
        def write(path: Path, data: bytes, mode: int) -> None:
            path.write_bytes(data)
            path.chmod(mode)

        return write

    @pytest.fixture
    def url(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        # A proxy of the person's is never asked.
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ok)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/livez"
        server.shutdown()
        thread.join()
        server.server_close()

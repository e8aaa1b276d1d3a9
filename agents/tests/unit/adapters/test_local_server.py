"""A process id file names the server or nobody; what a check says is never empty."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from securetransport.adapters.servers import LocalServer
from securetransport.core.base.errors import SecureTransportError


@pytest.mark.parametrize(
    "content", ["", "x", "-1", "0", "1", "9" * 40, "12 13", "\x00", "99999999", "ä"]
)
def test_damaged_or_stale_process_id_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    server = LocalServer(tmp_path / "pid")
    assert not server.is_running()
    assert not server.signal_reload()


def test_absent_process_id_is_no_server(tmp_path: Path) -> None:
    assert not LocalServer(tmp_path / "pid").is_running()
    assert not LocalServer(tmp_path).is_running(), "a directory"


def test_process_of_somebody_else_is_never_signalled(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    server = LocalServer(tmp_path / "pid")
    assert not server.signal_reload(), "SIGHUP would end this very process"


def test_process_is_known_by_the_name_of_its_program(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "pid").write_text(f"{child.pid}\n")
        server = LocalServer(tmp_path / "pid", sys.executable)
        end = time.monotonic() + 10
        while not server.is_running() and time.monotonic() < end:
            time.sleep(0.01)  # for a moment after its start a process shows no arguments
        assert server.is_running()
        assert not LocalServer(tmp_path / "pid", "/usr/bin/other").is_running()
    finally:
        child.kill()
        child.wait()
    assert not LocalServer(tmp_path / "pid", sys.executable).is_running()


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


async def test_program_that_refuses_without_a_word_has_refused(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "pid", program(tmp_path, "exit 1"))
    assert await server.problem_of(tmp_path / "conf") == "refused without a reason"


async def test_words_of_the_program_are_the_problem(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "pid", program(tmp_path, 'echo "bad $3" >&2; exit 1'))
    assert await server.problem_of(tmp_path / "conf") == f"bad {tmp_path}/conf"


async def test_absent_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecureTransportError, match=r"server\.binary cannot be run"):
        await LocalServer(tmp_path / "pid", str(tmp_path / "absent")).problem_of(tmp_path)

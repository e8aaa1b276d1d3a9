"""Start and stop of a real process: exit codes, signals, readiness while starting."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certificates import Issuer
from trust_scene import keys_json

pytestmark = pytest.mark.long

AGENT = Path(__file__).with_name("demo_agent.py")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "ca.pem").write_text(Issuer.root("openbao").pem)
    (tmp_path / "keys.json").write_text(keys_json())
    (tmp_path / "config.toml").write_text(f"""
stop_grace_seconds = 1
identity = {{ service = "demo", instance = "1" }}
openbao = {{ addresses = ["https://127.0.0.1:1"], ca_file = "{tmp_path}/ca.pem", token_file = "t" }}
authority = {{ keys_file = "{tmp_path}/keys.json" }}
health = {{ port = 0 }}
paths = {{ state_dir = "{tmp_path}" }}
""")
    started: list[subprocess.Popen[str]] = []

    def launch(*argv: str, mode: str = "") -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, str(AGENT), "--config", str(tmp_path / "config.toml"), *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"DEMO": mode, "PATH": ""},
        )
        started.append(child)
        return child

    yield launch
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()


def read_event(child: subprocess.Popen[str], name: str) -> dict[str, object]:
    assert child.stdout is not None
    for line in child.stdout:
        event = dict(json.loads(line))
        if event["event"] == name:
            return event
    raise AssertionError(f"ended before {name}: {child.communicate()}")


def ready(port: object) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=3) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_check_config_prints_and_ends(start: Start) -> None:
    child = start("--check-config")
    out, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (0, "")
    assert json.loads(out)["identity"] == {
        "instance": "1",
        "service": "demo",
        "trust_domain": "securetransport.local",
    }


def test_wrong_configuration_exits_with_78_and_no_stack_trace(start: Start) -> None:
    child = start("--set", "health.prot=1", "--set", "openbao.ca_file=/nonexistent")
    _out, err = child.communicate(timeout=20)
    assert child.returncode == 78
    assert err.splitlines() == [
        "securetransport-demo: unknown configuration key health.prot (did you mean health.port?)",
        "securetransport-demo: openbao.ca_file: file /nonexistent does not exist",
    ]


def test_taken_health_port_exits_with_78(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        child = start("--set", f"health.port={taken.getsockname()[1]}")
        _out, err = child.communicate(timeout=20)
    assert child.returncode == 78
    assert len(err.splitlines()) == 1
    assert "health.port: cannot listen on" in err


def test_agent_waits_for_what_is_not_there_yet(start: Start) -> None:
    child = start(mode="late")
    read_event(child, "agent_started")
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0


def test_starting_agent_is_not_ready_and_can_be_stopped(start: Start) -> None:
    child = start(mode="never-available")
    event = read_event(child, "agent_starting")
    assert ready(event["port"]) == (503, "starting\n")
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_drains_closes_and_exits_with_0(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    child = start()
    port = read_event(child, "agent_starting")["port"]
    read_event(child, "agent_started")
    time.sleep(0.3)  # the answer "starting" may be cached
    assert ready(port) == (200, "ok\n")
    child.send_signal(number)
    assert child.wait(10) == 0
    assert (tmp_path / "drained").exists()
    assert (tmp_path / "closed").exists()


def test_bug_in_a_loop_exits_with_1(start: Start, tmp_path: Path) -> None:
    child = start(mode="bug")
    event = read_event(child, "task_failed")
    assert event["kind"] == "KeyError"
    assert child.wait(10) == 1
    assert (tmp_path / "closed").exists()


def test_stop_that_hangs_is_cut_off(start: Start) -> None:
    child = start(mode="hangs")
    read_event(child, "agent_started")
    child.send_signal(signal.SIGTERM)
    read_event(child, "stop_cut_off")
    assert child.wait(5) == 1

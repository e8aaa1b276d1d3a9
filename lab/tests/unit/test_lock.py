"""One command at a time changes the lab; nothing of the lock outlives the lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import lock
from lab.errors import LabError
from lab.paths import State

HOLDER = """
import sys, time
from pathlib import Path
from lab import lock
from lab.paths import State
with lock.held(State(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "deep" / "state")


def holder(state: State) -> subprocess.Popen[str]:
    """Return a process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_command_is_told_who_is_at_work(state: State) -> None:
    with holder(state) as process:
        try:
            with (
                pytest.raises(LabError, match=rf"at work \(pid {process.pid}\)"),
                lock.held(state),
            ):
                pytest.fail("two hold the lock")
        finally:
            process.kill()


def test_a_killed_command_holds_nothing(state: State) -> None:
    with holder(state) as process:
        process.send_signal(signal.SIGKILL)
    with lock.held(state):
        assert state.lock.read_text() == f"{os.getpid()}\n"


def test_the_file_stays_while_the_lab_does_and_goes_with_it(state: State) -> None:
    with lock.held(state):
        state.root.mkdir(parents=True)
    assert state.lock.exists()
    with lock.held(state):
        state.root.rmdir()
    assert not state.lock.exists()


def test_the_lock_is_released_by_an_error(state: State) -> None:
    with pytest.raises(RuntimeError), lock.held(state):
        raise RuntimeError
    with lock.held(state):
        pass


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(state: State) -> None:
    """The one before us removed the file with the lab: its lock must not count for the new file."""
    with lock.held(state):
        state.lock.unlink()
        with lock.held(state), pytest.raises(LabError), lock.held(state):
            pytest.fail("two hold the new lock")


def test_a_link_in_the_place_of_the_lock_is_not_followed(state: State, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    state.lock.parent.mkdir(parents=True)
    state.lock.symlink_to(precious)
    with pytest.raises(LabError, match="cannot be opened"), lock.held(state):
        pytest.fail("followed")
    assert precious.read_text() == "data"

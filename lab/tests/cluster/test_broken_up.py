"""`up` killed in the middle: a second one meanwhile is refused, and `down` leaves nothing."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import remains
from scene import CLUSTERS, NOTES, STATE, command, lab, node_pid

from lab.waiting import wait_for


def processes() -> int:
    return len(remains.look(STATE.root).processes)


@pytest.mark.usefixtures("nothing_up")
def test_up_killed_in_the_middle_and_then_down_leaves_nothing(
    machine: remains.Remains, tmp_path: Path
) -> None:
    log = tmp_path / "up.log"
    with log.open("wb") as file:
        up = subprocess.Popen(command("up"), stdout=file, stderr=file)
    try:
        wait_for(
            "a node of every cluster with components at work",
            lambda: all(map(node_pid, CLUSTERS)) and processes() > 12,
            limit_seconds=60,
            explain=lambda: log.read_text(encoding="utf-8"),
        )
        second = lab("up")
        assert second.returncode == 1
        assert f"another lab command is at work (pid {up.pid})" in second.stdout
        assert len(second.stdout.strip().splitlines()) == 1
    finally:
        up.send_signal(signal.SIGKILL)
        up.wait()
    middle = remains.look(STATE.root)
    assert all((middle.processes, middle.links, middle.cgroups, middle.files))
    again = lab("up")
    assert again.returncode == 1, "half of a cluster passes for a whole one"
    down = lab("down")
    after = remains.look(STATE.root)
    NOTES.say("", "`up` killed in the middle:", *middle.lines(), "then `down`:", *after.lines())
    assert down.returncode == 0, down.stdout
    assert after == machine

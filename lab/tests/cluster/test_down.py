"""The end: a node dies, and `down` takes everything away."""

from __future__ import annotations

import os
import signal

import pytest
import remains
from scene import C3, KEEP, NOTES, STATE, done, lab, node_pid, timed

from lab.waiting import wait_for

pytestmark = [
    pytest.mark.usefixtures("clusters"),
    pytest.mark.skipif(KEEP, reason="LAB_KEEP: clusters stay up"),
]


def test_a_node_whose_first_process_was_killed_is_told_as_such() -> None:
    os.kill(node_pid(C3), signal.SIGKILL)
    wait_for("the end of c3", lambda: not node_pid(C3), limit_seconds=10)
    up = lab("up")
    assert up.returncode == 1
    assert "c3" in up.stdout
    assert lab("status").returncode in {0, 1}


def test_down_leaves_nothing(machine: remains.Remains) -> None:
    before = remains.look(STATE.root)
    with timed("down") as took:
        done("down", limit_seconds=120)
    after = remains.look(STATE.root)
    NOTES.number(down_seconds=round(took(), 1))
    NOTES.say("", "before `down`:", *before.lines(), "after:", *after.lines())
    assert before.processes
    assert before.cgroups
    assert after == machine
    assert took() < 30

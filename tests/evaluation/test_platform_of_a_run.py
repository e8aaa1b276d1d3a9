from __future__ import annotations

from evaluation.platform import Process, parse_processes, restarts

TOLD = """\
gatekeeper-1                     RUNNING   pid 4711, uptime 0:01:02
keeper:keeper-1                  EXITED    Nov 27 09:12 PM
unix:///tmp/x.sock no such file
"""


def process(name: str, pid: int | None) -> Process:
    return Process("services", name, "RUNNING", pid, "")


def test_processes_are_read_from_the_supervisor() -> None:
    found = parse_processes("services", TOLD)
    assert [(one.name, one.state, one.pid) for one in found] == [
        ("gatekeeper-1", "RUNNING", 4711),
        ("keeper-1", "EXITED", None),
    ]


def test_another_pid_is_a_restart() -> None:
    assert restarts([process("a", 1)], [process("a", 2)], set()) == 1


def test_process_that_is_gone_is_no_calm_process() -> None:
    assert restarts([process("a", 1), process("b", 2)], [process("a", 1)], set()) == 1
    assert restarts([process("a", 1)], [process("a", None)], set()) == 1


def test_process_killed_on_purpose_is_left_out() -> None:
    assert restarts([process("a", 1)], [process("a", 2)], {"a"}) == 0


def test_the_same_processes_are_no_restart() -> None:
    assert restarts([process("a", 1)], [process("a", 1)], set()) == 0

"""The clusters of a run: brought up by the command line for the first test that needs them.

Order matters here, as nowhere else: some tests need a machine without a lab, the last one takes
the lab down, and numbers of an idle lab come before anything works in it. ``ORDER`` has it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
import remains
from scene import KEEP, NOTES, STATE, are_up, done, timed
from secret_latency import Baseline

from lab.errors import LabError

ORDER = (
    "test_tools",
    "test_images",
    "test_host",
    "test_refusals",
    "test_broken_up",
    "test_up",
    "test_network",
    "test_policies",
    "test_pods",
    "test_certificates",
    "test_nats",
    "test_faults",
    "test_secrets",
    "test_down",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules in order; an unknown one is an error, so that none runs by accident."""
    items.sort(key=lambda item: ORDER.index(item.path.stem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log that explains an error of the lab."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, LabError) and error.log:
        report.sections.append(("what explains it", error.log))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the run found out; ``build/lab`` has the numbers."""
    if NOTES.lines:
        terminalreporter.section("the lab")
        for line in NOTES.lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def machine() -> remains.Remains:
    """The machine before this run; a lab that an earlier run left is taken down first."""
    if remains.look(STATE.root).files and not KEEP:
        done("down", limit_seconds=120)
    return remains.look(STATE.root)


@pytest.fixture
def nothing_up(machine: remains.Remains) -> None:
    """A machine without a lab."""
    if any(machine.things().values()):
        pytest.skip("LAB_KEEP: clusters are up")


@pytest.fixture(scope="session")
def clusters(machine: remains.Remains) -> Iterator[None]:
    """Three clusters that are up."""
    were_up = are_up()
    with timed("three clusters up") as took:
        told = done("up", limit_seconds=280)
    if not were_up:
        NOTES.say("", "machine before:", *machine.lines(), "", *told.splitlines(), "")
        NOTES.number(up_seconds=round(took(), 1))
    yield
    if not KEEP and STATE.root.exists():
        done("down", limit_seconds=120)


@pytest.fixture(scope="session")
def baseline(clusters: None) -> Iterator[Baseline]:  # noqa: ARG001  it needs them up
    """The slow way of a Secret into a pod, measured beside the tests: a minute of waiting."""
    with Baseline() as waiting:
        yield waiting

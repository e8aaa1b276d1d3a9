"""What the lab cannot do it says in one line, and nothing is half-made."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import remains
from scene import STATE, command, lab

from lab import plan
from lab.errors import LabError, UnfitError


def refusal(*arguments: str, prefix: tuple[str, ...] = (), error: type[LabError] = LabError) -> str:
    """Run a lab command that must be refused in one line, by this kind of error; return the line.

    What explains it may follow, set in.
    """
    result = subprocess.run(
        [*prefix, *command(*arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    lines = (result.stdout + result.stderr).splitlines()
    assert result.returncode == error.exit_code, lines
    assert [line for line in lines if not line.startswith("  ")] == lines[:1], lines
    return lines[0]


@pytest.fixture
def range_in_use() -> Iterator[str]:
    """Somebody else's link with an address of the lab's network."""
    name, address = "taken0", f"{plan.LAN[999]}/24"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)  # noqa: S607

    ip("link", "add", name, "type", "bridge")
    try:
        ip("addr", "add", address, "dev", name)
        ip("link", "set", name, "up")
        yield name
    finally:
        ip("link", "delete", name)


@pytest.mark.parametrize("number", ["0", "12", "-1"])
def test_a_cluster_outside_the_plan_is_refused(number: str) -> None:
    result = lab("up", "--", number)
    assert result.returncode != 0
    assert "1-9" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_number_that_is_none_is_refused() -> None:
    result = lab("up", "many")
    assert result.returncode != 0
    assert "valid integer" in result.stdout
    assert "Traceback" not in result.stdout


def test_not_root_is_refused_in_one_line() -> None:
    # The interpreter may lie in a folder that only root may enter, hence the one right.
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    prefix = (*user, *reads, "env", "HOME=/nonexistent")
    assert "root" in refusal("up", prefix=prefix, error=UnfitError)


@pytest.mark.usefixtures("nothing_up")
def test_a_range_in_use_is_refused_and_named(range_in_use: str) -> None:
    line = refusal("up")
    assert range_in_use in line or str(plan.LAN) in line
    assert not any(remains.look(STATE.root).things().values())


@pytest.mark.usefixtures("nothing_up")
def test_a_cluster_that_is_not_up_is_refused() -> None:
    assert "c3" in refusal("kubeconfig", "3")
    assert "c3" in refusal("exec", "3", "true")
    assert "c3" in refusal("partition", "3")
    assert not any(remains.look(STATE.root).things().values())


@pytest.mark.usefixtures("nothing_up")
def test_down_of_nothing_is_no_error() -> None:
    assert lab("down").returncode == 0
    assert not any(remains.look(STATE.root).things().values())

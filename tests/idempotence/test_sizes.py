"""Each number of nodes that is offered besides the three of ``test_site``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_platform import Platform, free_port_base

pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform that is removed at the end; a test's own folder is too long for its sockets."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        made = Platform(Path(folder) / "state", free_port_base())
        yield made
        made.play("teardown")


def test_one_node_of_openbao_is_enough(platform: Platform) -> None:
    built = platform.play("site", openbao_nodes=1)
    assert built.exit_code == 0, built.text[-5000:]
    assert len([line for line in platform.pids("authority") if " server -config=" in line]) == 1
    verified = platform.play("verify", openbao_nodes=1)
    assert verified.exit_code == 0, verified.text[-5000:]

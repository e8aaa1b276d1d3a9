"""What every ``Machine`` does: this one and the fake, alike.

A subclass gives ``machine``, ``root``, an existing directory of the test alone, ``put``, which
writes a file with a mode, and ``url``, where somebody answers 200 with ``ok``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from securetransport.core.base.errors import TransientError
from securetransport.core.ports.machine import Machine

Put = Callable[[Path, bytes, int], None]


class MachineContract:
    """The suite."""

    def test_mode_and_owner_of_a_file_are_told(
        self, machine: Machine, root: Path, put: Put
    ) -> None:
        put(root / "file", b"x", 0o640)
        facts = machine.facts(root / "file")
        assert facts is not None
        assert (facts.mode, facts.is_own) == (0o640, True)

    def test_what_is_not_there_is_none(self, machine: Machine, root: Path) -> None:
        assert machine.facts(root / "absent") is None
        assert machine.tail(root / "absent", 10) == b""

    def test_the_end_of_a_file_is_read(self, machine: Machine, root: Path, put: Put) -> None:
        put(root / "log", b"0123456789", 0o600)
        assert machine.tail(root / "log", 4) == b"6789"
        assert machine.tail(root / "log", 99) == b"0123456789"

    def test_there_is_room(self, machine: Machine, root: Path) -> None:
        free_bytes, free_files = machine.free(root)
        assert free_bytes > 0
        assert free_files > 0
        assert machine.open_files() > 0

    def test_a_folder_without_a_supervisor_is_an_error_that_may_pass(
        self, machine: Machine, root: Path
    ) -> None:
        with pytest.raises(TransientError):
            machine.supervised(root)

    def test_a_running_process_is_not_frozen(self, machine: Machine) -> None:
        assert not machine.is_frozen(os.getpid())
        assert not machine.is_frozen(2**22 + 1)

    async def test_an_answer_is_told(self, machine: Machine, url: str) -> None:
        answer = await machine.get(url)
        assert (answer.status, answer.body) == (200, b"ok")

    async def test_where_nobody_answers_is_an_error_that_may_pass(self, machine: Machine) -> None:
        with pytest.raises(TransientError) as refused:
            await machine.get("http://127.0.0.1:1/")
        assert "refused" in refused.value.message

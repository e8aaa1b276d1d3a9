"""When a server may start."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_generations import new_files

from certificates import Issuer
from securetransport.adapters.files import LocalFiles
from securetransport.core.base.errors import ConfigError
from securetransport.keeper.exec_server import split_arguments
from securetransport.keeper.generations import Generation, Generations
from securetransport.keeper.ready import ReadyFile, missing_for_start
from securetransport.testing import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILES = LocalFiles()
MAX_AGE = timedelta(seconds=60)


@pytest.fixture
def managed(tmp_path: Path) -> Path:
    return tmp_path / "managed"


@pytest.fixture
def generation(managed: Path) -> Generation:
    issuer = Issuer.root("root").intermediate("nats-int e1 0000000000000001")
    generations = Generations(managed, FILES)
    made = generations.prepare(*new_files(issuer))
    generations.switch(made)
    return made


def write_ready(managed: Path, server: str, generation: Generation, at: datetime) -> None:
    ReadyFile(FILES, managed, server, FakeClock(at)).state(generation)


def missing(managed: Path, at: datetime = NOW, server: str = "nats-1") -> str:
    return missing_for_start(FILES, managed, server, at=at, max_age=MAX_AGE) or "nothing"


def set_boot(managed: Path, boot: str) -> None:
    path = managed / "ready.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine_boot": boot}))


def test_server_starts_with_verified_files(managed: Path, generation: Generation) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    assert missing(managed) == "nothing"


def test_server_waits_for_the_first_files(managed: Path) -> None:
    assert "no ready.json" in missing(managed)


def test_server_waits_while_its_leaf_is_over(managed: Path, generation: Generation) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    assert "a new server leaf" in missing(managed, generation.facts.leaf.not_after)


def test_server_waits_for_files_of_its_own(managed: Path, generation: Generation) -> None:
    write_ready(managed, "nats-2", generation, NOW)
    assert "nats-2" in missing(managed)


def test_server_waits_when_the_files_are_not_the_verified_ones(
    managed: Path, generation: Generation
) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    (managed / "ca.crt").write_bytes(b"other")
    assert "files now on disk" in missing(managed)


def test_verification_before_the_machine_started_counts_only_for_a_while(
    managed: Path, generation: Generation
) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    set_boot(managed, "another boot")
    assert missing(managed, NOW + MAX_AGE) == "nothing"
    assert "verify the files again" in missing(managed, NOW + MAX_AGE + timedelta(seconds=1))
    assert "verify the files again" in missing(managed, NOW - timedelta(seconds=1))


def test_unreadable_word_of_the_keeper_is_no_word(managed: Path, generation: Generation) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    (managed / "ready.json").write_text("{}")
    assert "readable" in missing(managed)


def test_command_stands_after_two_dashes() -> None:
    assert split_arguments(["--config", "a", "--", "nats-server", "-c", "b"]) == (
        ["--config", "a"],
        ["nats-server", "-c", "b"],
    )


@pytest.mark.parametrize("argv", [[], ["--config", "a"], ["--config", "a", "--"]])
def test_missing_command_is_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="after --"):
        split_arguments(argv)

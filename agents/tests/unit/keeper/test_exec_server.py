"""When a server may start."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from test_generations import new_files

from certificates import Issuer
from securetransport.adapters.files import LocalFiles
from securetransport.core.base.errors import ConfigError
from securetransport.keeper.exec_server import exec_server, split_arguments, wait_for_files
from securetransport.keeper.generations import Generation, Generations
from securetransport.keeper.ready import ReadyFile, missing_for_start
from securetransport.keeper.settings import KeeperSettings
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


# --- becoming the server ----------------------------------------------------------------------


class Became(Exception):  # noqa: N818  # an exec does not return
    """The process is the server now."""


def become(program: str, arguments: list[str]) -> NoReturn:
    raise Became(program, arguments)


@pytest.fixture
def config(managed: Path) -> Path:
    here = Path(__file__)  # any file that exists
    path = managed.parent / "keeper.toml"
    path.write_text(f"""
[identity]
service = "keeper"
instance = "1"
[openbao]
addresses = ["https://localhost:1"]
ca_file = "{here}"
token_file = "{here}"
[authority]
keys_file = "{here}"
[health]
port = 0
[paths]
state_dir = "{managed.parent}/state"
[server]
name = "nats-1"
client_address = "localhost:1"
managed_dir = "{managed}"
config_file = "{managed.parent}/nats.conf"
pid_file = "{managed.parent}/nats.pid"
""")
    return path


def arguments(config: Path, *command: str) -> list[str]:
    return ["--config", str(config), "--", *command]


def test_process_becomes_the_server_and_no_old_process_id_is_left(
    config: Path, managed: Path, generation: Generation
) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    (managed.parent / "nats.pid").write_text("1")
    with pytest.raises(Became) as done:
        exec_server(arguments(config, "nats-server", "-c", "x"), FILES, FakeClock(NOW), become)
    assert done.value.args == ("nats-server", ["nats-server", "-c", "x"])
    assert not (managed.parent / "nats.pid").exists()


@pytest.mark.parametrize("program", ["/absent/nats-server", "", "nul\0"])
def test_program_that_cannot_be_run_is_one_line(
    config: Path, managed: Path, generation: Generation, program: str
) -> None:
    write_ready(managed, "nats-1", generation, NOW)
    with pytest.raises(ConfigError) as refused:
        exec_server(arguments(config, program), FILES, FakeClock(NOW), os.execvp)
    assert len(refused.value.problems) == 1
    assert "cannot run" in refused.value.problems[0]


def test_server_waits_until_the_keeper_is_done_and_says_what_for(
    config: Path, managed: Path, generation: Generation, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = KeeperSettings.load(["--config", str(config)])
    clock, pauses = FakeClock(NOW), []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)
        if len(pauses) == 3:
            write_ready(managed, "nats-1", generation, clock.now())

    wait_for_files(settings, FILES, clock, sleep)
    assert len(pauses) == 3
    said = capsys.readouterr().out
    assert said.count("no ready.json") == 1, "once, not at every look"
    assert "server_starting" in said


def test_wait_is_told_again_from_time_to_time(
    config: Path, managed: Path, generation: Generation, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock(NOW)

    def sleep(_seconds: float) -> None:
        clock.advance(25)
        if clock.now() > NOW + timedelta(seconds=60):
            write_ready(managed, "nats-1", generation, clock.now())

    wait_for_files(KeeperSettings.load(["--config", str(config)]), FILES, clock, sleep)
    assert capsys.readouterr().out.count("server_waits") == 2

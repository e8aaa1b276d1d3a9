"""A machine that is small, shared or strange: it works, or one line says what is missing."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest
from checkout import SECOND_USER, Checkout, Terminal
from local_platform import free_port_base

ACL = "inventories/local/group_vars/acl.yml"
pytestmark = pytest.mark.timeout(240)


def site(checkout: Checkout, terminal: Terminal, state: Path, *more: str) -> tuple[int, str]:
    said = checkout.via_make(
        terminal,
        "ansible-playbook",
        "-i",
        "inventories/local",
        "playbooks/site.yml",
        "--check",
        "-e",
        f"local_platform_state_dir={state}",
        "-e",
        f"local_platform_port_base={free_port_base()}",
        *more,
    )
    assert said.is_told(), said.text
    assert not state.exists()
    return said.code, said.text


def test_a_second_user_can_use_the_same_checkout(checkout: Checkout, short_path: Path) -> None:
    home = short_path / "home"
    home.mkdir()
    shutil.chown(home, SECOND_USER, SECOND_USER)
    second = Terminal({"HOME": str(home), "USER": "nobody"}, user=SECOND_USER)
    code, text = site(checkout, second, home / "state")
    assert code == 0, text
    assert [name.name for name in home.iterdir() if name.name != ".ansible"] == []


def test_a_directory_that_another_user_made_is_refused(
    checkout: Checkout, short_path: Path
) -> None:
    taken = short_path / "run"
    taken.mkdir()
    (taken / ".securetransport-local").touch()
    for path in (taken, taken / ".securetransport-local"):
        shutil.chown(path, SECOND_USER, SECOND_USER)
    code, text = site(
        checkout, Terminal(), short_path / "state", "-e", f"local_platform_run_dir={taken}"
    )
    assert code != 0
    assert "belongs to another user" in text


def test_tokens_can_lie_on_disk_where_no_memory_is(checkout: Checkout, short_path: Path) -> None:
    code, text = site(
        checkout, Terminal(), short_path / "state", "-e", f"local_platform_run_dir={short_path}/run"
    )
    assert code == 0, text


def test_too_few_open_files_are_told_before_anything_starts(
    checkout: Checkout, short_path: Path
) -> None:
    code, text = site(checkout, Terminal(open_files=200), short_path / "state")
    assert code != 0
    assert re.search(r"\b200 open files\b", text), text
    assert "ulimit -n" in text


def test_a_port_that_an_agent_needs_is_told_when_it_is_taken_late(
    checkout: Checkout,
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        said = checkout.run(
            Terminal(),
            checkout.program("python"),
            "-m",
            "securetransport.watcher",
            "--config",
            checkout.settings / "watcher.toml",
            "--set",
            f"health.port={port}",
        )
    assert said.code == 78, said.text
    assert said.text.startswith(
        f"securetransport-watcher: health.port: cannot listen on 127.0.0.1:{port}"
    )
    assert said.text.count("\n") == 1


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_place_that_cannot_be_written_is_told(
    checkout: Checkout, short_path: Path, mode: int
) -> None:
    home = short_path / "home"
    home.mkdir()
    shutil.chown(home, SECOND_USER, SECOND_USER)
    (short_path / "theirs").mkdir()
    (short_path / "theirs").chmod(mode)
    second = Terminal({"HOME": str(home), "USER": "nobody"}, user=SECOND_USER)
    code, text = site(checkout, second, short_path / "theirs" / "state")
    assert code != 0
    assert "local_platform_state_dir" in text
    assert "is not writable" in text or "Permission denied" in text


def test_output_that_nobody_reads_is_no_stack_trace(checkout: Checkout) -> None:
    command = f"""'{checkout.program("securetransport")}' acl matrix --all '{ACL}' | true"""
    said = checkout.run(Terminal(), "/bin/bash", "-c", command)
    assert said.text == ""

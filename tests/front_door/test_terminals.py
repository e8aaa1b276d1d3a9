"""Whatever a person's terminal has set: the same answers, or one line; never a stack trace."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checkout import Checkout
from environments import ANSIBLE, HARMLESS, PYTHON, TOO_LITTLE, bundles, joined
from local_platform import free_port_base

pytestmark = pytest.mark.timeout(180)
PREFLIGHT = ("ansible-playbook", "-i", "inventories/local", "playbooks/preflight.yml")
ACL = "inventories/local/group_vars/acl.yml"
EVERYTHING = {**HARMLESS, **PYTHON, **ANSIBLE}


@pytest.mark.parametrize("names", bundles(EVERYTHING), ids=", ".join)
def test_a_playbook_of_a_make_target_does_not_care(checkout: Checkout, names: list[str]) -> None:
    said = checkout.via_make(joined(*(EVERYTHING[name] for name in names)), *PREFLIGHT)
    assert said.code == 0, said.text
    assert said.is_told()
    assert "failed=0" in said.text


@pytest.mark.parametrize("name", HARMLESS)
def test_the_command_and_an_agent_do_not_care(checkout: Checkout, name: str) -> None:
    terminal = HARMLESS[name]
    checked = checkout.run(terminal, checkout.program("securetransport"), "acl", "check", ACL)
    assert checked.code == 0, checked.text
    config = ("--config", str(checkout.settings / "watcher.toml"))
    python = checkout.program("python")
    agent = checkout.run(
        terminal, python, "-m", "securetransport.watcher", *config, "--check-config"
    )
    assert agent.code == 0, agent.text
    config = ("--config", str(checkout.settings / "cli.toml"))
    asked = checkout.run(terminal, checkout.program("securetransport"), "status", *config)
    assert asked.code == 1
    assert asked.text.startswith("securetransport: "), asked.text
    assert asked.text.count("\n") == 1, asked.text


@pytest.mark.parametrize("name", ANSIBLE)
def test_a_playbook_started_by_hand_works_or_says_why(checkout: Checkout, name: str) -> None:
    program, *arguments = PREFLIGHT
    said = checkout.run(ANSIBLE[name], checkout.program(program), *arguments)
    assert said.is_told(), said.text


@pytest.mark.parametrize("name", TOO_LITTLE)
def test_what_nothing_can_work_with_is_said(checkout: Checkout, name: str) -> None:
    assert checkout.via_make(TOO_LITTLE[name], *PREFLIGHT).is_told()
    command = checkout.program("securetransport")
    said = checkout.run(TOO_LITTLE[name], command, "acl", "check", ACL)
    assert said.is_told(), said.text


def test_everything_at_once_makes_no_difference(checkout: Checkout) -> None:
    odd = replace(joined(*EVERYTHING.values()), open_files=2048)
    state = checkout.settings / "state"
    said = checkout.via_make(
        odd,
        "ansible-playbook",
        "-i",
        "inventories/local",
        "playbooks/site.yml",
        "--check",
        "-e",
        f"local_platform_state_dir={state}",
        "-e",
        f"local_platform_port_base={free_port_base()}",
    )
    assert said.code == 0, said.text
    assert not state.exists()

"""Hosts that are not there, renamed or limited: the groups that are needed are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkout import Checkout, Terminal

pytestmark = pytest.mark.timeout(120)
PLAYBOOKS = ("site", "verify", "down", "teardown")


def played(checkout: Checkout, name: str, *arguments: str) -> tuple[int, str]:
    said = checkout.via_make(
        Terminal(), "ansible-playbook", f"playbooks/{name}.yml", "--check", *arguments
    )
    assert said.is_told(), said.text
    return said.code, said.text


@pytest.mark.parametrize(
    ("playbook", "hosts"),
    list(
        zip(
            PLAYBOOKS,
            ("localhost,", "box-1,box-2,box-3,", "authority,servers,", "authority,services,"),
            strict=True,
        )
    ),
)
def test_hosts_that_are_not_the_clusters_are_refused(
    checkout: Checkout, playbook: str, hosts: str
) -> None:
    code, text = played(checkout, playbook, "-i", hosts)
    assert code != 0
    assert "the inventory has no host or group" in text


def test_an_inventory_that_is_not_there_is_refused(checkout: Checkout) -> None:
    code, text = played(checkout, "down", "-i", "/nowhere/hosts.yml")
    assert code != 0
    assert "/nowhere/hosts.yml" in text or "the inventory has no host or group" in text


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize(
    "limit", ["nobody", "localhost", "all:!all", "securetransport:!servers:!authority:!services"]
)
def test_a_limit_that_leaves_nobody_is_refused(
    checkout: Checkout, playbook: str, limit: str
) -> None:
    code, text = played(checkout, playbook, "-i", "inventories/local", "--limit", limit)
    assert code != 0, text


@pytest.mark.parametrize("limit", ["services", "servers,authority"])
def test_a_limit_of_some_clusters_is_no_mistake(
    checkout: Checkout, tmp_path: Path, limit: str
) -> None:
    state = f"local_platform_state_dir={tmp_path}/state"
    code, text = played(checkout, "down", "-i", "inventories/local", "--limit", limit, "-e", state)
    assert code == 0, text

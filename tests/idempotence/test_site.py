"""``site.yml`` on real servers: it builds, then has nothing to do, and removes what it made.

The tests are steps of one story, in this order; each uses the platform that the first one built.
"""

from __future__ import annotations

import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from greeter import add_greeter, remove_greeter
from local_platform import Platform, free_port_base

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(480)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that is removed at the end, whatever happened; no path of it is plain."""
    folder = tmp_path_factory.mktemp("site")
    inventory = folder / "inventory"
    shutil.copytree(ROOT / "inventories" / "local", inventory)
    made = Platform(folder / "stäte [1]", free_port_base(), inventory)
    yield made
    made.play("teardown")


def test_a_held_port_is_told_before_anything_starts(platform: Platform) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", platform.port_base + 10))
        holder.listen()
        refused = platform.play("site")
    assert refused.exit_code != 0
    assert str(platform.port_base + 10) in refused.text
    assert platform.processes() == []


def test_a_misspelt_variable_is_refused_by_name(platform: Platform) -> None:
    refused = platform.play("site", nats_client_prot=4222)
    assert refused.exit_code != 0
    assert "nats_client_prot" in refused.text
    assert platform.processes() == []


def test_the_platform_is_built(platform: Platform) -> None:
    built = platform.play("site")
    assert built.exit_code == 0, built.text[-5000:]
    assert built.changed > 0


def test_a_dead_secret_id_is_found_by_a_login_and_replaced(platform: Platform) -> None:
    file = platform.state_dir / "services" / "gatekeeper-1" / "secret-id"
    dead = str(uuid.uuid4())
    file.write_text(dead, encoding="utf-8")
    repaired = platform.play("site")
    assert repaired.exit_code == 0, repaired.text[-5000:]
    # The renewal may have been first; nothing else has anything to do.
    changed = repaired.tasks_that_changed()
    assert [task for task in changed if "Deliver the agents' credentials" not in task] == []
    assert file.read_text(encoding="utf-8") != dead


def test_a_changed_acl_line_shows_only_its_consequences(platform: Platform, tmp_path: Path) -> None:
    acl = (ROOT / "inventories" / "local" / "group_vars" / "acl.yml").read_text(encoding="utf-8")
    changed = acl.replace(
        '    subjects: ["gatekeeper.>"]\n    max_age_seconds: 3600',
        '    subjects: ["gatekeeper.>"]\n    max_age_seconds: 1800',
    )
    assert changed != acl
    file = tmp_path / "acl.yml"
    file.write_text(changed, encoding="utf-8")
    shown = platform.play("site", "--check", "--diff", securetransport_acl_file=str(file))
    assert shown.exit_code == 0, shown.text[-5000:]
    assert "GATEKEEPER_STREAM" in shown.text
    tasks = shown.tasks_that_changed()
    assert tasks
    assert [task for task in tasks if "OpenBao" in task or "servers" in task] == []


def test_a_removed_cluster_leaves_the_others_alone(platform: Platform) -> None:
    before = {**platform.pids("authority"), **platform.pids("servers")}
    removed = platform.play("teardown", "--limit", "services")
    assert removed.exit_code == 0, removed.text[-5000:]
    assert platform.pids("services") == {}
    assert not (platform.state_dir / "services").exists()
    assert {**platform.pids("authority"), **platform.pids("servers")} == before
    verified = platform.play("verify", "--limit", "authority,servers")
    assert verified.exit_code == 0, verified.text[-5000:]


def test_it_is_built_again_with_a_third_service_by_inventory_and_acl(platform: Platform) -> None:
    add_greeter(Path(platform.inventory))
    before = {**platform.pids("authority"), **platform.pids("servers")}
    built = platform.play("site")
    assert built.exit_code == 0, built.text[-5000:]
    assert platform.restarted(before) == [], built.tasks_that_changed()
    services = " ".join(platform.pids("services"))
    for agent in ("gatekeeper-1", "auth-controller-1", "greeter-1"):
        assert agent in services
    assert "-m greeter " in services


def test_the_next_run_after_rotations_changes_nothing(platform: Platform) -> None:
    platform.wait_for_rotations(2, seconds=240)
    again = platform.play("site")
    assert again.exit_code == 0, again.text[-5000:]
    assert again.tasks_that_changed() == []
    assert again.changed == 0


def test_the_platform_is_what_site_builds(platform: Platform) -> None:
    verified = platform.play("verify")
    assert verified.exit_code == 0, verified.text[-5000:]
    assert verified.changed == 0


def test_a_removed_agent_leaves_the_others_alone(platform: Platform) -> None:
    before = platform.pids("services")
    remove_greeter(Path(platform.inventory))
    run = platform.play("site", "--limit", "services")
    assert run.exit_code == 0, run.text[-5000:]
    # What renews the secret-ids of this folder has one fewer to serve.
    changed = ("greeter-1", "securetransport.credentials")
    others = {
        command: pid
        for command, pid in before.items()
        if not any(name in command for name in changed)
    }
    assert others.items() <= platform.pids("services").items()
    assert "greeter-1" not in " ".join(platform.pids("services"))
    assert not (platform.state_dir / "services" / "greeter-1").exists()


def test_a_stopped_platform_leaves_no_process_and_keeps_its_data(platform: Platform) -> None:
    stopped = platform.play("down")
    assert stopped.exit_code == 0, stopped.text[-5000:]
    assert platform.processes() == []
    assert (platform.state_dir / "authority").is_dir()


def test_a_removed_platform_leaves_nothing(platform: Platform) -> None:
    removed = platform.play("teardown")
    assert removed.exit_code == 0, removed.text[-5000:]
    assert platform.processes() == []
    assert not platform.state_dir.exists()
    again = platform.play("teardown")
    assert again.exit_code == 0, again.text[-5000:]
    assert again.changed == 0

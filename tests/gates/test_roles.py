"""The roles' seam for platforms: what dispatches, what is data, and what is refused by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
SPLIT = ("openbao", "nats", "agent")
_PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: securetransport.platform.{role}
        tasks_from: {tasks}
"""


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def options() -> dict[str, set[str]]:
    """Return the names of each role's variables, over all its entry points."""
    return {
        path.parent.parent.name: {
            option
            for entry in read(str(path.relative_to(ROOT)))["argument_specs"].values()
            for option in entry["options"]
        }
        for path in ROLES.glob("*/meta/argument_specs.yml")
    }


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A copy of the collection that a test may change."""
    copy = tmp_path / "ansible_collections" / "securetransport" / "platform"
    for name in ("roles", "meta"):
        shutil.copytree(ROOT / name, copy / name)
    return copy


def run_role(collection: Path, role: str, tasks: str, *variables: str) -> tuple[int, str]:
    """Run one role of ``collection``; return exit code and output."""
    playbook = collection / "play.yml"
    playbook.write_text(_PLAYBOOK.format(role=role, tasks=tasks), encoding="utf-8")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            "localhost,",
            playbook,
            *(part for variable in variables for part in ("-e", variable)),
        ],
        cwd=collection,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collection.parents[2]),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("role", SPLIT)
def test_main_only_dispatches_on_the_platform(role: str) -> None:
    (task,) = read(f"roles/{role}/tasks/main.yml")
    told = task["ansible.builtin.include_role"]
    assert told["tasks_from"] == "{{ securetransport_platform }}"
    entries = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    platforms = set(entries) - {"main"}
    assert platforms == set(entries["main"]["options"]["securetransport_platform"]["choices"])
    assert all((ROLES / role / "tasks" / f"{name}.yml").is_file() for name in platforms)


@pytest.mark.parametrize("role", SPLIT)
def test_a_platform_that_is_not_built_is_refused(collection: Path, role: str) -> None:
    code, text = run_role(collection, role, "main", "securetransport_platform=kubernetes")
    assert code != 0
    assert "value of securetransport_platform must be one of: local, got: kubernetes" in text, text


def test_a_variable_of_another_platform_is_refused(collection: Path) -> None:
    file = collection / "roles" / "nats" / "meta" / "argument_specs.yml"
    specs = yaml.safe_load(file.read_text(encoding="utf-8"))
    specs["argument_specs"]["kubernetes"] = {"options": {"nats_storage_class": {"type": "str"}}}
    file.write_text(yaml.safe_dump(specs), encoding="utf-8")
    told = ("securetransport_platform=local", "nats_storage_class=fast")
    code, text = run_role(collection, "preflight", "variables", *told)
    assert code != 0
    assert "nats_storage_class belongs to platform kubernetes; this is platform local" in text
    assert run_role(collection, "preflight", "variables", told[0])[0] == 0


def test_addresses_and_ports_are_data() -> None:
    fixed = re.compile(r"127\.0\.0\.|_port\s*\|\s*int\s*\+|\+\s*loop\.index|\+\s*__\w+_index")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted(ROLES.rglob("*"))
        if path.suffix in {".yml", ".j2"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if fixed.search(line)
    ]
    assert found == []


def test_preflight_knows_every_role() -> None:
    known = read("roles/preflight/vars/main.yml")["__preflight_known_roles"]
    assert sorted(known) == sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def test_preflight_checks_the_roles_that_site_runs() -> None:
    run: dict[str, list[str]] = {}
    for play in read("playbooks/site.yml"):
        for role in play.get("roles", []):
            name = role["role"].removeprefix("securetransport.platform.")
            if name != "preflight":
                run.setdefault(play["hosts"], []).append(name)
    assert read("roles/preflight/vars/main.yml")["__preflight_site"] == run


def test_renamed_variables_are_gone_and_their_new_names_are_there() -> None:
    present = set().union(*options().values())
    facts = set(read("roles/preflight/vars/main.yml")["__preflight_facts"])
    for old, new in read("roles/preflight/vars/main.yml")["__preflight_renamed"].items():
        assert old not in present
        assert new.split("[")[0] in present | facts


def test_every_playbook_begins_with_preflight() -> None:
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        if path.name != "preflight.yml":
            first = read(f"playbooks/{path.name}")[0]
            assert first["ansible.builtin.import_playbook"] == "preflight.yml", path.name

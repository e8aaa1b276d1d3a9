"""Where a checkout and its data may lie: they work there, or one line says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, SECOND_USER, Checkout, Terminal

pytestmark = pytest.mark.timeout(180)
PROBE = ROOT / "roles" / "local_platform" / "files" / "probe.py"
# Laid out in check mode for each path in one run; what is said is kept by path.
GROUND = """\
- hosts: authority
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: ground-of-one.yml
      loop: "{{ lookup('ansible.builtin.file', playbook_dir ~ '/paths.json') | from_json }}"
    - ansible.builtin.copy:
        content: "{{ said | to_json }}"
        dest: "{{ playbook_dir }}/said.json"
      check_mode: false
"""
GROUND_OF_ONE = """\
- block:
    - ansible.builtin.include_role:
        name: securetransport.platform.local_platform
      vars:
        local_platform_state_dir: "{{ item }}"
        local_platform_minimum_free_bytes: 1
    - ansible.builtin.set_fact:
        said: "{{ said | default([]) + ['ok'] }}"
  rescue:
    - ansible.builtin.set_fact:
        said: "{{ said | default([]) + [ansible_failed_result.msg] }}"
"""
FIT = ["plain", "a b", "[a]", "ü œ 漢", "(1)", "a,b@c=d~e+f", "-dash", ".dot", "link/state"]
UNFIT = [
    "relative/state", "~/state", "", "/", "/nowhere/../", "a\nb", "/srv/a'b", '/srv/a"b',
    "/srv/$HOME", "/srv/100%", "/srv/a*", "/srv/a;b", "/srv/a#b", "/srv/a\\b", "/srv/a{b}",
    "/srv/a\tb", "/srv/a\n", "/srv/\u200b",
]  # fmt: skip


def laid_out(checkout: Checkout, folder: Path, paths: list[str]) -> list[str]:
    """Return for each path what is said when the ground of a cluster would be laid out there."""
    for name, text in {
        "ground.yml": GROUND,
        "ground-of-one.yml": GROUND_OF_ONE,
        "paths.json": json.dumps(paths),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = ("ansible-playbook", "-i", "inventories/local", "--check", f"{folder}/ground.yml")
    said = checkout.via_make(Terminal(), *command, seconds=150)
    assert said.code == 0, said.text
    assert said.is_told()
    answers: list[str] = json.loads((folder / "said.json").read_text(encoding="utf-8"))
    assert len(answers) == len(paths)
    return answers


def test_data_can_lie_in_every_place_that_people_have(checkout: Checkout, short_path: Path) -> None:
    (short_path / "real").mkdir()
    (short_path / "link").symlink_to("real")
    paths = [f"{short_path}/{name}" for name in FIT]
    said = laid_out(checkout, short_path, paths)
    assert {path: text for path, text in zip(paths, said, strict=True) if text != "ok"} == {}
    assert [path for path in paths if Path(path).exists()] == []


def test_a_path_that_programs_misread_is_told_in_a_line(
    checkout: Checkout, short_path: Path
) -> None:
    said = dict(zip(UNFIT, laid_out(checkout, short_path, UNFIT), strict=True))
    wrong = {
        path: text
        for path, text in said.items()
        if not text.startswith("local_platform_state_dir") or len(text.splitlines()) > 2
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/proc/state", "0 MiB free"),
        ("/etc/passwd/state", "/etc/passwd is not a directory"),
        ("/dev/null/x", "/dev/null is not a directory"),
        ("/srv/" + "a" * 90, "too long for a Unix socket"),
        ("/srv/" + "a" * 300, "File name too long"),
        ("{}/loop", "loop: Too many levels of symbolic links"),
        ("{}/loop/state", "Too many levels of symbolic links"),
        ("{}/gone", "gone leads nowhere; remove the link"),
        ("{}/gone/state", "gone leads nowhere; remove the link"),
        ("{}/filed", "filed is not a directory"),
        ("{}/file/state", "file is not a directory"),
        ("{}/theirs", "theirs belongs to another user"),
    ],
)
def test_a_place_that_cannot_be_is_told_in_a_line(short_path: Path, path: str, words: str) -> None:
    (short_path / "file").touch()
    (short_path / "theirs").mkdir()
    os.chown(short_path / "theirs", SECOND_USER, SECOND_USER)
    for link, target in (("loop", "loop"), ("gone", "nowhere"), ("filed", "file")):
        (short_path / link).symlink_to(target)
    place = path.format(short_path)
    question = {
        "state_dir": place,
        "run_dir": str(short_path / "run"),
        "minimum_free_bytes": 1,
        "programs": [],
        "marker": ".mark",
        "former_dir": "",
    }
    done = subprocess.run(
        [sys.executable, PROBE, json.dumps(question)], capture_output=True, text=True, check=True
    )
    problems = json.loads(done.stdout)["problems"]
    assert any("local_platform_state_dir" in line and words in line for line in problems), problems
    assert short_path / "run" not in [*short_path.iterdir()]


def test_a_checkout_behind_a_link_works(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout.path)
    linked = checkout.with_path(tmp_path / "link")
    said = linked.via_make(
        Terminal(), "ansible-playbook", "-i", "inventories/local", "playbooks/preflight.yml"
    )
    assert said.code == 0, said.text


@pytest.mark.parametrize("name", ["a[b]", "a*b", "a?b", "a:b", "a\nb", "a{{b}}", "a#b"])
def test_a_checkout_in_a_place_that_ansible_cannot_read_is_refused(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    (folder / "tools").mkdir(parents=True)
    script = folder / "tools" / "bootstrap.py"
    script.write_bytes((ROOT / "tools" / "bootstrap.py").read_bytes())
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("bootstrap: ")
    assert done.stderr.count("\n") == 1
    assert [*folder.iterdir()] == [folder / "tools"]

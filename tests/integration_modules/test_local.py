# SPDX-License-Identifier: Apache-2.0
"""Modules for the local platform: files, endpoints, programs; and every module's examples."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from module_lab import COLLECTION, PROJECT, Ansible, free_port

MODULES = sorted(path.stem for path in (PROJECT / "plugins" / "modules").glob("*.py"))
# A module is a process of its own, so supervisor's client leaves its sockets to the process's end.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# Messages of AnsibleModule for options that a module does not have, or not like that.
ARGUMENT_ERRORS = (
    "Unsupported parameters",
    "missing required arguments",
    "value of",
    "mutually exclusive",
    "is of type",
    "one of the following is required",
)


def test_files_are_made_changed_and_removed(ansible: Ansible, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    base = {
        "directories": [{"path": str(folder)}],
        "files": [
            {"path": str(folder / "config"), "content": "one\n"},
            {"path": str(folder / "key"), "random_bytes": 32},
        ],
    }
    other = {
        **base,
        "files": [{"path": str(folder / "config"), "content": "two\n", "mode": "0640"}],
    }
    gone = {"absent": [str(folder / "config"), str(folder / "key")]}
    tasks = [("file_set", base, True), ("file_set", base, False)]
    checked, made = ansible.run(tasks)
    assert (checked["changed"], made["changed"]) == (True, True)
    key = (folder / "key").read_bytes()
    assert len(key) == 32
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    ansible.walk("file_set", [(base, False), (other, True), (other, False)])
    assert (folder / "key").read_bytes() == key
    ansible.walk("file_set", [(gone, True), (gone, False)])
    (folder / "link").symlink_to(folder / "elsewhere")
    linked = {"files": [{"path": str(folder / "link"), "content": "x"}]}
    assert ansible.one("file_set", linked)["failed"]


def test_endpoint_that_does_not_answer_is_named(ansible: Ansible) -> None:
    url = f"http://127.0.0.1:{free_port()}/readyz"
    options = {"endpoints": [{"name": "watcher-1", "url": url}], "timeout": 0}
    failure = ansible.one("endpoint_ready", options)
    assert failure["failed"]
    assert "watcher-1" in failure["msg"]


def test_program_runs_is_restarted_when_it_changed_and_ends(
    ansible: Ansible, tmp_path: Path
) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "log").mkdir()
    (tmp_path / "supervisord.conf").write_text(
        f"""\
[unix_http_server]
file={tmp_path}/supervisor.sock
chmod=0700
[supervisord]
directory={tmp_path}
logfile={tmp_path}/supervisord.log
pidfile={tmp_path}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files={tmp_path}/conf.d/*.conf
"""
    )
    program = {
        "name": "clock-1",
        "command": [sys.executable, "-c", "import time; time.sleep(600)"],
        "digest": "one",
    }
    base = {"directory": str(tmp_path), "programs": [program], "timeout": 20}
    other = {**base, "programs": [{**program, "digest": "two"}]}
    stopped = {"directory": str(tmp_path), "state": "stopped", "timeout": 20}
    try:
        tasks = [base, base, other, other]
        results = ansible.run([("supervisor_programs", options, False) for options in tasks])
        assert [result.get("changed") for result in results] == [True, False, True, False], results
        assert results[0]["started"] == ["clock-1"]
        assert results[2]["restarted"] == ["clock-1"]
    finally:
        ended = ansible.run([("supervisor_programs", stopped, False) for _ in range(2)])
    assert [result["changed"] for result in ended] == [True, False]


@pytest.mark.parametrize("module", MODULES)
def test_examples_have_options_that_the_module_takes(ansible: Ansible, module: str) -> None:
    entry = __import__(f"{COLLECTION}.plugins.modules.{module}", fromlist=["EXAMPLES"])
    tasks = [
        (name.rpartition(".")[2], options)
        for task in yaml.safe_load(entry.EXAMPLES)
        for name, options in task.items()
        if name.startswith("securetransport.platform.")
    ]
    assert module in {name for name, _ in tasks}
    for name, options in tasks:
        result = ansible.one(name, _rendered(options), check=True)
        message = str(result.get("msg", ""))
        assert not any(words in message for words in ARGUMENT_ERRORS), message


def _rendered(options: dict[str, Any]) -> dict[str, Any]:
    """Replace what a playbook would fill in from an earlier task."""

    def value(entry: Any) -> Any:
        if isinstance(entry, str) and entry.startswith("{{"):
            return "text" if "item" in entry else []
        return entry

    return {name: 1 if name == "timeout" else value(entry) for name, entry in options.items()}

# SPDX-License-Identifier: Apache-2.0
"""Modules for the local platform: files, endpoints, programs; and every module's examples."""

from __future__ import annotations

import stat
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from module_lab import COLLECTION, PROJECT, Ansible, free_port

MODULES = sorted(path.stem for path in (PROJECT / "plugins" / "modules").glob("*.py"))
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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"files": [{"path": "relative", "content": ""}]}, "relative is not an absolute path"),
        ({"directories": [{"path": "relative"}]}, "relative is not an absolute path"),
        ({"absent": ["relative"]}, "relative is not an absolute path"),
        ({"files": [{"path": "@key", "random_bytes": -1}]}, "random_bytes: -1 is not between 1"),
        # YAML makes 420 of an unquoted 0644.
        ({"files": [{"path": "@x", "content": "", "mode": 420}]}, "mode '420' is not four octal"),
        ({"files": [{"path": "@x", "content": "", "mode": "0666"}]}, "lets everybody write"),
        ({"files": [{"path": "@none/x", "content": ""}]}, "cannot write into"),
        ({"directories": [{"path": "@file"}]}, "exists and is not a directory"),
        ({"absent": ["@folder"]}, "exists and is not a regular file"),
        ({"directories": [{"path": "@file/below"}]}, "Not a directory"),
    ],
)
def test_mistakes_in_a_set_of_files_are_told_in_one_line(
    ansible: Ansible, tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    named = yaml.safe_load(yaml.safe_dump(options).replace("'@", f"'{tmp_path}/"))
    failure = ansible.one("file_set", named)
    assert failure["failed"]
    assert text in failure["msg"], failure["msg"]
    assert "\n" not in failure["msg"]
    assert failure["changed_paths"] == []


def test_directory_with_a_slash_at_its_end_is_made_once(ansible: Ansible, tmp_path: Path) -> None:
    options = {"directories": [{"path": f"{tmp_path}/new/"}]}
    ansible.walk("file_set", [(options, True), (options, False)])


class _Health(BaseHTTPRequestHandler):
    """Answers 503 once, and 200 from then on."""

    answers: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        self.send_response(self.answers.pop() if self.answers else 200)
        self.end_headers()
        self.wfile.write(b"as it\nis")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def health() -> Iterator[str]:
    """URL of an endpoint that is ready at the second question."""
    _Health.answers = [503]
    with ThreadingHTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/readyz?full"
        server.shutdown()
        thread.join()


def test_endpoints_are_asked_until_each_is_ready_whatever_proxies_there_are(
    ansible: Ansible, health: str
) -> None:
    # Two of one name are two endpoints: the second must not be taken for asked.
    dead = {"name": "same", "url": f"http://127.0.0.1:{free_port()}/"}
    alive = {"name": "same", "url": health, "log_file": "/var/log/same.log"}
    ready = ansible.one("endpoint_ready", {"endpoints": [alive], "interval": 0.01})
    assert ready["endpoints"] == [{"name": "same", "is_ready": True, "answer": "200 as it is"}]
    failure = ansible.one("endpoint_ready", {"endpoints": [alive, dead], "timeout": 0})
    assert [entry["is_ready"] for entry in failure["endpoints"]] == [True, False]
    _Health.answers = [503]
    once = ansible.one("endpoint_ready", {"endpoints": [alive], "timeout": 0})
    assert once["msg"] == f"same at {health} is not ready: 503 as it is; see /var/log/same.log"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"url": "http://127.0.0.1:99999/"}, "watcher-1: http://127.0.0.1:99999/ is not an http"),
        ({"url": "http:///readyz"}, "is not an http(s) URL"),
        ({"url": "ftp://127.0.0.1/"}, "is not an http(s) URL"),
        ({"url": "http://127.0.0.1/a b"}, "is not an http(s) URL"),
        ({"url": "http://127.0.0.1/ü"}, "is not an http(s) URL"),
        ({"url": "https://127.0.0.1/"}, "an https URL needs ca_file"),
        ({"url": "https://127.0.0.1/", "ca_file": "/none"}, "ca_file /none: No such file"),
        ({"url": "https://127.0.0.1/", "ca_file": __file__}, "holds no certificates"),
    ],
)
def test_endpoint_that_cannot_be_asked_is_refused_at_once(
    ansible: Ansible, change: dict[str, str], text: str
) -> None:
    endpoint = {"name": "watcher-1", **change}
    failure = ansible.one("endpoint_ready", {"endpoints": [endpoint], "interval": -1})
    assert text in failure["msg"]
    assert "\n" not in failure["msg"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration for supervisord."""
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
    return tmp_path


def program(**changes: Any) -> dict[str, Any]:
    """Return a program that sleeps."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    return {"name": "clock-1", "command": command, "digest": "one", **changes}


def programs(folder: Path, *entries: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return options of ``supervisor_programs``."""
    return {"directory": str(folder), "programs": list(entries), "timeout": 20, **options}


def test_program_runs_is_restarted_when_it_changed_and_ends(ansible: Ansible, folder: Path) -> None:
    base = programs(folder, program())
    other = programs(folder, program(digest="two"))
    without = programs(folder, absent=["clock-1"])
    again = programs(folder, program(digest="two"), restarted=["clock-1"])
    stopped = programs(folder, state="stopped")
    try:
        results = ansible.walk(
            "supervisor_programs", [(base, True), (base, False), (other, True), (other, False)]
        )
        assert results[0]["started"] == ["clock-1"]
        assert results[2]["restarted"] == ["clock-1"]
        assert ansible.one("supervisor_programs", again)["restarted"] == ["clock-1"]
        gone = ansible.walk("supervisor_programs", [(without, True), (without, False)])
        assert gone[0]["stopped"] == ["clock-1"]
        ended = programs(folder, program(name="short", command=["/nonexistent"]), timeout=3)
        assert "short is " in ansible.one("supervisor_programs", ended)["msg"]
    finally:
        ended = ansible.run([("supervisor_programs", stopped, False) for _ in range(2)])
    assert [result["changed"] for result in ended] == [True, False]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "../clock"}, "program '../clock' is not a name"),
        ({"name": "clock 1"}, "program 'clock 1' is not a name"),
        ({"command": ["/bin/sh", "a ;b"]}, "cannot hold a line break, ' ;' or ' #'"),
        ({"command": ["/bin/sh", "a\nb"]}, "cannot hold a line break, ' ;' or ' #'"),
        ({"directory": "/a #b"}, "cannot hold a line break, ' ;' or ' #'"),
        ({"environment": {"A": 'x"y'}}, "cannot hold a quote in variable A"),
        ({"environment": {"A=B": "x"}}, "'A=B' is not the name of a variable"),
    ],
)
def test_program_that_supervisord_would_read_as_another_is_refused(
    ansible: Ansible, folder: Path, change: dict[str, Any], text: str
) -> None:
    for is_check in (True, False):
        options = programs(folder, program(name="first"), program(**change))
        failure = ansible.one("supervisor_programs", options, check=is_check)
        assert text in failure["msg"], failure["msg"]
        assert "\n" not in failure["msg"]
    assert list((folder / "conf.d").iterdir()) == []


def test_daemon_that_does_not_start_says_why(ansible: Ansible, folder: Path) -> None:
    text = (folder / "supervisord.conf").read_text()
    (folder / "supervisord.conf").write_text(text.replace("logfile=", "loglevel=loud\nlogfile="))
    failure = ansible.one("supervisor_programs", programs(folder))
    assert "did not start: Error: " in failure["msg"]
    assert "bad logging level name" in failure["msg"]
    (folder / "supervisord.conf").unlink()
    failure = ansible.one("supervisor_programs", programs(folder))
    assert "did not start: Error: could not find config file" in failure["msg"]
    missing = ansible.one("supervisor_programs", programs(folder / "none"))
    assert missing["msg"] == f"{folder}/none: No such file or directory"


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

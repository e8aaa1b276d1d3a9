"""``securetransport check`` and ``explain`` as a person calls them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from securetransport.cli.__main__ import main
from securetransport.cli.check import agent_problems
from securetransport.core.decisions.check import CATALOGUE


def run(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr(sys, "argv", ["securetransport", *argv])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_where_no_platform_is_that_is_the_one_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "authority" / "admin" / "cli.toml"
    assert run(monkeypatch, "check", "--config", str(config)) == 1
    first, why, following = capsys.readouterr().out.splitlines()
    assert first == "authority/admin/cli.toml: no platform is here: nothing that belongs to one"
    assert why.startswith("  why:  ")
    assert following.startswith("  next: ")


def test_json_has_what_why_and_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "authority" / "admin" / "cli.toml"
    assert run(monkeypatch, "check", "--json", "--config", str(config)) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["checks"] == len(CATALOGUE)
    assert {"check", "area", "subject", "what", "why", "next"} == set(told["findings"][0])


def test_a_configuration_of_no_platform_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "check", "--config", str(tmp_path / "cli.toml")) == 78
    assert "is not <state directory>/authority/admin/cli.toml" in capsys.readouterr().err


@pytest.mark.parametrize(("reason", "code"), [("freshness", 0), ("no such reason", 1), ("", 1)])
def test_explain_says_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: str, code: int
) -> None:
    assert run(monkeypatch, "explain", reason) == code
    said = capsys.readouterr()
    assert (said.out if code == 0 else said.err).count("\n") >= 1
    assert "Traceback" not in said.err


def test_the_tables_that_all_agents_have_are_judged_as_their_start_does() -> None:
    values = {"identity": {"service": "a", "instance": "web01.example.com"}, "logs": {"colour": 1}}
    found = agent_problems(values)
    assert "openbao: is missing" in found
    assert any(line.startswith("identity.instance: ") for line in found)
    assert any(line.startswith("unknown configuration key logs.colour") for line in found)

"""``diff``, ``explain`` and the command line around them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from acl_scene import TEXT, acl, changed

from securetransport.cli.__main__ import main
from securetransport.core.acl import diff, explain
from securetransport.core.base.errors import ConfigError, NotFoundError

WIDER = changed(
    "produces: [gatekeeper.responses]", "produces: [gatekeeper.responses, auth.requests]"
)


def test_new_producer_affects_the_consumers_of_its_topic_too() -> None:
    found = diff(acl(), acl(WIDER))
    assert found.lines == ("+ auth-controller produces auth.requests",)
    assert found.affected == ("auth-controller", "gatekeeper")


def test_service_without_shared_topics_is_not_affected() -> None:
    text = TEXT.replace(
        "  gatekeeper.responses: {",
        "  auth.own: {stream: AUTH_STREAM}\n  gatekeeper.responses: {",
        1,
    )
    text = text.replace("foreign:\n", "  loner:\n    produces: [auth.own]\nforeign:\n")
    found = diff(acl(), acl(text))
    assert found.affected == ("loner",)
    assert found.lines == ("+ topic auth.own", "+ service loner", "+ loner produces auth.own")


def test_removed_service_is_affected() -> None:
    start = TEXT.index("foreign:")
    found = diff(acl(), acl(TEXT[:start]))
    assert found.affected == ("monitor",)
    assert found.lines == ("- foreign monitor",)


def test_same_acl_has_no_difference() -> None:
    assert not diff(acl(), acl())


def test_new_trust_domain_affects_everyone() -> None:
    found = diff(acl(), acl(TEXT.replace("securetransport.test", "other.test")))
    assert found.affected == ("auth-controller", "gatekeeper", "monitor")


@pytest.mark.parametrize(
    ("service", "action", "subject", "answer"),
    [
        (
            "gatekeeper",
            "publish",
            "auth.requests",
            "allowed: gatekeeper may publish auth.requests: services.gatekeeper.produces",
        ),
        (
            "gatekeeper",
            "publish",
            "gatekeeper.responses",
            "denied: nothing allows gatekeeper to publish gatekeeper.responses",
        ),
        ("keeper", "publish", "auth.requests", "denied: keeper has no user on the bus"),
        (
            "watcher",
            "publish",
            "$SYS.REQ.SERVER.NABC.KICK",
            (
                "allowed: watcher may publish $SYS.REQ.SERVER.NABC.KICK"
                " by $SYS.REQ.SERVER.*.KICK: asks servers: KICK"
            ),
        ),
        (
            "gatekeeper",
            "create",
            "secret/data/enroll/gatekeeper/0/abc",
            (
                "allowed: gatekeeper/0 alone may create secret/data/enroll/gatekeeper/0/abc"
                " by its own policy"
            ),
        ),
        (
            "gatekeeper",
            "update",
            "secret/data/enroll/gatekeeper/0/abc",
            "denied: no policy of gatekeeper allows update on secret/data/enroll/gatekeeper/0/abc",
        ),
        ("probe", "read", "secret/data/trust/bundle", "denied: probe does not log in to OpenBao"),
    ],
)
def test_explanation_says_why(service: str, action: str, subject: str, answer: str) -> None:
    assert explain(acl(), service, action, subject) == answer


def test_unknown_name_and_action_are_refused() -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        explain(acl(), "nobody", "publish", "auth.requests")
    with pytest.raises(ConfigError, match="destroy"):
        explain(acl(), "gatekeeper", "destroy", "auth.requests")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``securetransport acl …`` as its entry point does."""

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["securetransport", "acl", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return call


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_wrong_file_exits_78_with_one_line_for_each_problem(tmp_path: Path, run: Run) -> None:
    file = write(tmp_path, "acl.yml", changed("version: 1", "version: 2"))
    done = run("check", file)
    assert done.returncode == 78
    assert done.stderr == f"securetransport: {file}:1: version: must be 1, not 2\n"
    assert done.stdout == ""


def test_missing_file_exits_1_with_one_line(tmp_path: Path, run: Run) -> None:
    done = run("check", str(tmp_path / "none.yml"))
    assert done.returncode == 1
    assert done.stderr == (
        f"securetransport: cannot read {tmp_path}/none.yml: No such file or directory\n"
    )


def test_check_diff_explain_and_matrix_of_a_good_file(tmp_path: Path, run: Run) -> None:
    old, new = write(tmp_path, "old.yml", TEXT), write(tmp_path, "new.yml", WIDER)
    assert run("check", old, "--profile", "test").returncode == 0
    assert "affected: auth-controller, gatekeeper" in run("diff", old, new).stdout
    assert run("explain", old, "gatekeeper", "publish", "auth.requests").returncode == 0
    assert run("explain", old, "gatekeeper", "publish", "x.y").returncode == 1
    rows = json.loads(run("matrix", old, "--format", "json").stdout)
    assert {
        "service": "gatekeeper",
        "action": "publish",
        "subject": "auth.requests",
        "is_allowed": True,
    } in rows


def test_the_demo_file_is_accepted(run: Run) -> None:
    demo = Path(__file__).parents[5] / "inventories" / "local" / "group_vars" / "acl.yml"
    assert run("check", str(demo), "--profile", "production").returncode == 0

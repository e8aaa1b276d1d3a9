"""A member cut off, every way, under load, for three times the longest validity, and healed again.

Of each row: nothing that was acknowledged is lost, by comparing sets; the member says what it
lacks; and it is ready again by itself soon after the cause is gone. Each row has a platform of its
own, in profile ``burst``: ``nox -s cut-off -- --rows token-file,bus-gone``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from outlet import Outlet
from rows import NOT_REACHED, ROWS, VICTIM, Row, Site

from conftest import RESULTS  # type: ignore[attr-defined]  # the folder's own
from evaluation.checker import judge
from platform_stage import Stage
from securetransport.core.base import names
from servers import LOOPBACK, wait_until

PUBLISHED: Final = "securetransport_messages_published_total"
REQUESTS: Final = "auth.requests"
READY_SECONDS: Final = 30.0
WARM_SECONDS: Final = 10.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per row that was asked for."""
    if "row" not in metafunc.fixturenames:
        return
    asked = [name for name in metafunc.config.getoption("--rows").split(",") if name]
    known = {row.name: row for row in ROWS}
    unknown = [name for name in asked if name not in known]
    if unknown:
        why = "; ".join(NOT_REACHED.get(name, "no such row") for name in unknown)
        raise pytest.UsageError(f"--rows {','.join(unknown)}: {why}; known: {', '.join(known)}")
    chosen = [known[name] for name in asked] or list(ROWS)
    metafunc.parametrize("row", chosen, ids=[row.name for row in chosen])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A platform under load, its victim behind an outlet of its own."""
    stage = Stage(tmp_path)
    try:
        stage.start_openbao()
        outlet = Outlet(int(stage.bao.addresses[0].rpartition(":")[2]))
        stage.openbao_of[VICTIM] = f"https://{LOOPBACK}:{outlet.port}"
        stage.start()
        stage.wait_ready()
        found = Site(stage, outlet)
        found.kept["first directory"] = stage.document(names.KV_DIRECTORY)
        yield found
    finally:
        stage.stop()


class Watch:
    """What the victim says, second by second."""

    def __init__(self, site: Site) -> None:
        self._victim = site.victim
        self.said: dict[str, float] = {}

    def look(self, since: float) -> list[str]:
        """Return the reasons of now, and remember when each was first given."""
        reasons = [line for line in self._victim.reasons() if line not in {"", "ok"}]
        for reason in reasons:
            self.said.setdefault(reason, round(time.monotonic() - since, 1))
        return reasons


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_it_comes_back(
    row: Row, site: Site, pytestconfig: pytest.Config
) -> None:
    seconds = float(pytestconfig.getoption("--cut-seconds"))
    time.sleep(WARM_SECONDS)
    watch, began = Watch(site), time.monotonic()
    before = site.victim.metric(PUBLISHED)
    assert before > 0, "no traffic before the cut, so nothing is shown"
    row.cut(site)
    while time.monotonic() - began < seconds:
        watch.look(began)
        time.sleep(1)
    last = watch.look(began)
    healed = time.monotonic()
    row.heal(site)
    members = [site.stage.members[name] for name in ("metadata", "auth-controller", VICTIM)]

    def is_well() -> bool:
        watch.look(began)
        return all(member.get("readyz") == "ok\n" for member in members)

    wait_until(f"ready again after {row.name}; it said {last}", is_well, READY_SECONDS)
    ready_after = time.monotonic() - healed
    back = site.victim.metric(PUBLISHED)
    time.sleep(5)
    assert site.victim.metric(PUBLISHED) > back, "ready, and publishes nothing"
    result = _result(row, site, watch, seconds, ready_after)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{row.name}.json").write_text(json.dumps(result, indent=1))
    assert result["lost"] == 0, result
    assert result["verdict"]["effected_twice"] == 0, result
    assert result["verdict"]["unexpected"] == 0, result
    assert result["verdict"]["acked"] > 0
    if row.says:
        assert any(row.says in reason for reason in watch.said), watch.said
    elif not row.stops:
        assert not watch.said


def _result(
    row: Row, site: Site, watch: Watch, seconds: float, ready_after: float
) -> dict[str, Any]:
    sender, reader = site.victim.ledger, site.stage.members["auth-controller"].ledger
    site.stage.set_rate(0)
    deadline = time.monotonic() + 60
    verdict = judge([sender], [reader], REQUESTS)
    while len(verdict.lost) and time.monotonic() < deadline:
        time.sleep(1)
        verdict = judge([sender], [reader], REQUESTS)
    return {
        "row": row.name,
        "cut for s": seconds,
        "acked": verdict.acked,
        "lost": len(verdict.lost),
        "ready after s": round(ready_after, 1),
        "says while cut off": "; ".join(f"{why} (at {at} s)" for why, at in watch.said.items()),
        "verdict": verdict.summary(),
    }

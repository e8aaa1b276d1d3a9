"""The watcher's rounds and commands, without a socket, in simulated time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from watcher_bench import KEY, NAMES, WatcherBench, make_bench

from securetransport.core.base.errors import BusUnavailableError, UnknownKeyError
from securetransport.core.ports import ProbeResult
from trust_scene import accepted, issuer_names, issuer_of

pytestmark = pytest.mark.virtual_time


# --- what is reported -------------------------------------------------------------------------


async def test_every_server_is_reported_with_its_ports_routes_and_connections() -> None:
    bench = await make_bench()
    report = await bench.round()
    assert [entry.server for entry in report.servers] == list(NAMES)
    for entry in report.servers:
        assert entry.reachable
        assert entry.seen_by_peers is True
        assert entry.reload_error is None
        assert set(entry.client_names or ()) == set(entry.route_names or ()) == issuer_names(1)
        served = (entry.served_issuer, entry.route_served_issuer)
        assert served == (issuer_of(1).common_name,) * 2
        assert entry.connections is not None
    users = {found.user for entry in report.servers for found in entry.connections or ()}
    assert users == {"spiffe://test/watcher", "spiffe://test/metadata"}
    assert bench.counted("servers", state="reachable") == 3
    assert bench.counted("connections") == 2


async def test_servers_are_asked_side_by_side() -> None:
    bench = await make_bench()
    for name in NAMES:
        bench.bus.servers[name].on("CONNZ", lambda _question: None)
        bench.bus.servers[name].on("ROUTEZ", lambda _question: None)
    began = asyncio.get_running_loop().time()
    await bench.round()
    took = asyncio.get_running_loop().time() - began
    assert took < 3.5, "answer_seconds is 1: each question waits once, then the reload does"


async def test_silent_server_is_unknown_and_then_not_reachable() -> None:
    bench = await make_bench()
    await bench.round()
    bench.bus.servers["nats-2"].stop()
    bench.sites["nats-2"].is_silent = True
    seen = await bench.seen("nats-2")
    assert seen.reachable, "silent for less than ten seconds is not gone"
    assert (seen.connections, seen.client_names, seen.route_names) == (None, None, None)
    assert seen.seen_by_peers is False, "the other two are a majority"
    await asyncio.sleep(10)
    assert not (await bench.seen("nats-2")).reachable
    bench.bus.servers["nats-2"].start()
    bench.sites["nats-2"].is_silent = False
    seen = await bench.seen("nats-2")
    assert seen.reachable
    assert seen.connections == ()


async def test_minority_does_not_say_that_a_server_is_gone() -> None:
    bench = await make_bench()
    for name in ("nats-2", "nats-3"):
        bench.bus.servers[name].stop()
    assert (await bench.seen("nats-3")).seen_by_peers is None


async def test_one_port_that_is_closed_is_unknown_and_the_other_is_not() -> None:
    bench = await make_bench()
    bench.tls.answers["nats-1:6222"] = ProbeResult(error="Connection refused")
    seen = await bench.seen()
    assert seen.route_names is None
    assert set(seen.client_names or ()) == issuer_names(1)


async def test_port_that_lists_more_names_than_a_trust_set_can_have_is_unknown() -> None:
    bench = await make_bench()
    many = tuple(f"name {number}" for number in range(10_000))
    bench.tls.answers["nats-1:4222"] = ProbeResult(ca_names=many)
    seen = await bench.seen()
    assert seen.client_names is None
    assert seen.route_names is not None


# --- pages of connections ---------------------------------------------------------------------


def entry(cid: int) -> dict[str, Any]:
    return {
        "cid": cid,
        "start": "2026-11-23T14:50:39.80320865Z",
        "authorized_user": f"spiffe://test/s{cid}",
    }


class Paged:
    """CONNZ of a server whose connections change after some pages."""

    def __init__(self, cids: list[int], *changes: Callable[[list[int]], None]) -> None:
        self.cids = cids
        self.asked: list[tuple[int, int]] = []
        self._changes = list(changes)

    def __call__(self, question: dict[str, Any]) -> dict[str, Any]:
        offset, limit = question["offset"], question["limit"]
        self.asked.append((offset, limit))
        listed = [entry(cid) for cid in self.cids[offset : offset + limit]]
        data = {"total": len(self.cids), "offset": offset, "connections": listed}
        if self._changes:
            self._changes.pop(0)(self.cids)
        return {"data": data}


def nothing(_cids: list[int]) -> None:
    return


def ends(cid: int) -> Callable[[list[int]], None]:
    return lambda cids: cids.remove(cid)


def begins(cid: int) -> Callable[[list[int]], None]:
    return lambda cids: cids.append(cid)


def both(first: Callable[..., None], second: Callable[..., None]) -> Callable[[list[int]], None]:
    def change(cids: list[int]) -> None:
        first(cids)
        second(cids)

    return change


async def listed(bench: WatcherBench, pages: Paged) -> list[int] | None:
    bench.bus.servers["nats-1"].on("CONNZ", pages)
    found = (await bench.seen()).connections
    return None if found is None else [item.cid for item in found]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_make_the_whole_list(count: int, size: int) -> None:
    bench = await make_bench(page_size=size)
    cids = list(range(10, 10 + count))
    assert await listed(bench, Paged(list(cids))) == cids


async def test_connection_that_ends_between_pages_hides_no_other() -> None:
    bench = await make_bench(page_size=2)
    # 1 ends and 6 begins: the same total, and by offset alone 3 would be on no page.
    pages = Paged([1, 2, 3, 4, 5], both(ends(1), begins(6)))
    assert await listed(bench, pages) == [2, 3, 4, 5, 6]
    assert pages.asked[:3] == [(0, 2), (1, 3), (0, 2)], "it began again"


async def test_total_that_changes_on_the_way_begins_again() -> None:
    bench = await make_bench(page_size=2)
    assert await listed(bench, Paged([1, 2, 3], begins(4))) == [1, 2, 3, 4]
    assert await listed(bench, Paged([1, 2, 3, 4, 5], nothing, ends(5))) == [1, 2, 3, 4]


async def test_connections_that_never_stand_still_are_unknown() -> None:
    bench = await make_bench(page_size=2)
    pages = Paged([1, 2, 3, 4], *[begins(cid) for cid in range(5, 30)])
    assert await listed(bench, pages) is None
    assert bench.counted("servers", state="unknown") == 1


def one(**changes: object) -> dict[str, Any]:
    return {"total": 1, "offset": 0, "connections": [{**entry(1), **changes}]}


@pytest.mark.parametrize(
    "data",
    [
        {"total": 10**18, "offset": 0, "connections": [entry(1)]},
        {"total": 60_000, "offset": 0, "connections": [entry(1)]},
        {"total": -1, "offset": 0, "connections": []},
        {"total": 3, "offset": 0, "connections": []},
        {"total": 0, "offset": 0, "connections": [entry(1)]},
        {"total": 2, "offset": 0, "connections": [entry(2), entry(1)]},
        {"total": 2, "offset": 0, "connections": [entry(1), entry(1)]},
        {"total": 1, "offset": 0, "connections": [entry(10**40)]},
        one(start="0001-01-01T00:00:00+23:59"),
        one(start="9999-12-31T23:59:59Z"),
        one(tls_peer_certs=[{"cert_sha256": "x" * 10**6}]),
        one(authorized_user="x" * 10**6),
        {"total": "NaN", "offset": 0},
        {},
    ],
)
async def test_absurd_connections_are_unknown_and_soon(data: dict[str, Any]) -> None:
    bench = await make_bench()
    asked: list[dict[str, Any]] = []

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        asked.append(question)
        return {"data": data}

    bench.bus.servers["nats-1"].on("CONNZ", answer)
    seen = await bench.seen()
    assert seen.connections is None
    assert seen.reachable, "its routes were told"
    assert len(asked) < 10


async def test_answer_of_another_server_is_no_answer() -> None:
    bench = await make_bench()
    answers = bench.bus.servers["nats-1"].handlers["CONNZ"]
    foreign = {"server": {"name": "nats-2", "id": "X"}}
    bench.bus.servers["nats-1"].on(
        "CONNZ", lambda question: {**(answers(question) or {}), **foreign}
    )
    bench.bus.servers["nats-1"].on("ROUTEZ", lambda _question: {"data": {"routes": []}, **foreign})
    seen = await bench.seen()
    assert seen.connections is None


async def test_report_that_is_too_large_calls_the_fullest_server_unknown() -> None:
    bench = await make_bench(page_size=65536)
    many = [entry(cid) for cid in range(12_000)]
    page = {"total": len(many), "offset": 0, "connections": many}
    bench.bus.servers["nats-1"].on("CONNZ", lambda _question: {"data": page})
    report = await bench.round()
    known = {entry.server: entry.connections is not None for entry in report.servers}
    assert known == {"nats-1": False, "nats-2": True, "nats-3": True}


# --- reloads ----------------------------------------------------------------------------------


async def test_new_trust_that_a_server_shows_is_confirmed_by_one_reload() -> None:
    bench = await make_bench()
    for _ in range(3):
        await bench.round()
        await asyncio.sleep(3)
    assert bench.counted("reloads_total", result="done") == 3, "each server once"


async def test_server_that_keeps_showing_the_old_set_is_told_after_a_while() -> None:
    bench = await make_bench()
    await bench.round()
    bench.on_reload("nats-1")
    bench.account.trust = accepted(1, 2, active=1, counter=2)
    for name in NAMES:
        bench.put_trust(name, 1, 2)
    for name in ("nats-2", "nats-3"):
        bench.sites[name].signal_reload()
    assert set((await bench.seen()).client_names or ()) == issuer_names(1), "its keeper is first"
    await asyncio.sleep(2.5)
    await bench.round()
    assert set((await bench.seen()).client_names or ()) == issuer_names(1, 2)
    assert bench.sites["nats-1"].reloads == 1


async def test_refused_reload_is_reported_until_one_is_accepted() -> None:
    bench = await make_bench()
    bench.on_reload("nats-1", problem="failed to\n parse " + "x" * 10_000)
    seen = await bench.seen()
    assert (seen.reload_error or "").startswith("failed to parse xxx")
    assert len(seen.reload_error or "") <= 500
    assert (await bench.seen()).reload_error == seen.reload_error
    bench.on_reload("nats-1")
    await asyncio.sleep(3)
    await bench.round()
    assert (await bench.seen()).reload_error is None
    assert bench.counted("reloads_total", result="refused") == 1


async def test_restarted_server_is_reloaded_under_its_new_id() -> None:
    bench = await make_bench()
    await bench.round()
    server = bench.bus.servers["nats-3"]
    server.stop()
    server.start()
    assert (await bench.command({"do": "reload", "server": "nats-3"}))["ok"] is False
    assert (await bench.command({"do": "reload", "server": "nats-3"}))["ok"] is True


async def test_reload_without_an_answer_is_repeated_at_its_distance() -> None:
    bench = await make_bench()
    bench.bus.servers["nats-1"].on("RELOAD", lambda _question: None)
    await bench.round()
    await bench.round()
    assert bench.counted("reloads_total", result="unanswered") == 1
    await asyncio.sleep(2)
    await bench.round()
    assert bench.counted("reloads_total", result="unanswered") == 2


async def test_without_a_trust_set_nobody_is_reloaded() -> None:
    bench = await make_bench()
    bench.account.trust = None
    await bench.round()
    assert bench.counted("reloads_total", result="done") == 0


# --- commands ---------------------------------------------------------------------------------


async def test_commanded_reload_answers_what_the_server_says() -> None:
    bench = await make_bench()
    bench.on_reload("nats-2")
    assert await bench.command({"do": "reload", "server": "nats-2"}) == {"ok": True, "error": None}
    assert bench.sites["nats-2"].reloads == 1
    bench.on_reload("nats-2", problem="bad")
    answer = await bench.command({"do": "reload", "server": "nats-2"})
    assert answer == {"ok": False, "error": "bad"}
    assert (await bench.seen("nats-2")).reload_error in ("bad", None)
    assert bench.counted("commands_total", result="done") == 1
    assert bench.counted("commands_total", result="refused") == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"do": "reload"}',
        b'{"do": "reload", "server": ["nats-1"]}',
        b'{"do": "reload", "server": {}}',
        b'{"do": ["reload"], "server": "nats-1"}',
        b'{"do": "reload", "server": "nats-9"}',
        b'{"do": "halt", "server": "nats-1"}',
        b'{"do": 1, "server": 2}',
    ],
)
async def test_command_that_is_none_is_answered_with_its_error(data: bytes) -> None:
    bench = await make_bench()
    answer = await bench.command(data)
    assert answer["ok"] is False
    assert answer["error"]
    assert (await bench.command({"do": "reload", "server": "nats-1"}))["ok"] is True


# --- the way to the authority -----------------------------------------------------------------


async def test_report_without_a_key_or_a_connection_fails_the_round_and_readiness_says_so() -> None:
    bench = await make_bench()
    assert bench.watcher.not_ready_reasons() == ["no report published yet"]
    bench.account.key = None
    with pytest.raises(UnknownKeyError):
        await bench.watcher.round()
    bench.account.key = KEY
    await bench.account.connection.close()
    with pytest.raises(BusUnavailableError):
        await bench.watcher.round()
    assert bench.watcher.not_ready_reasons() == ["no report published yet"]


async def test_readiness_goes_when_reports_stop_and_comes_back() -> None:
    bench = await make_bench()
    await bench.round()
    assert bench.watcher.not_ready_reasons() == []
    await asyncio.sleep(6)
    assert bench.watcher.not_ready_reasons() == ["last report published 6 s ago"]
    await bench.round()
    assert bench.watcher.not_ready_reasons() == []


async def test_reports_are_ordered_by_the_watchers_clock() -> None:
    bench = await make_bench()
    first = await bench.round()
    await asyncio.sleep(1)
    second = await bench.round()
    assert first.reported_at < second.reported_at
    assert json.loads(second.to_bytes())["servers"]

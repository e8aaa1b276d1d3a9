"""The two services on a whole platform, through rotations and crashes; judged by their ledgers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evaluation.checker import judge
from platform_stage import Member, Stage
from securetransport_examples.payloads import TOPIC_REQUESTS, TOPIC_RESPONSES
from servers import wait_until

MAX_RESIDENT_BYTES = 120e6


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"), profile="burst", rate=25.0)
    try:
        made.start()
        made.wait_ready(90)
        yield made
    finally:
        made.stop()


def answered(stage: Stage) -> float:
    return stage.members["gatekeeper"].metric("gatekeeper_responses_total")


def wait_for_answers(stage: Stage, count: int, seconds: float = 60) -> None:
    wanted = answered(stage) + count
    wait_until(f"{count} more answers", lambda: answered(stage) >= wanted, seconds)


def has_caught_up(gatekeeper: Member, controller: Member) -> bool:
    requests = judge([gatekeeper.ledger], [controller.ledger], TOPIC_REQUESTS)
    return not len(requests.lost) and requests.answered == requests.effected


def restart(member: Member) -> None:
    member.kill()
    member.start()
    wait_until(f"{member.name} is ready again", lambda: not member.reasons(), 60)


def test_requests_are_answered(stage: Stage) -> None:
    wait_for_answers(stage, 50)


def test_rotations_move_connections_and_restart_nothing(stage: Stage) -> None:
    gatekeeper = stage.members["gatekeeper"]
    first = stage.bundle().active
    assert first is not None
    wait_until("two rotations", lambda: (stage.bundle().active or 0) >= first + 2, 120)
    wait_for_answers(stage, 50)
    moves = gatekeeper.events("connection_moved")
    assert {"leaf"} <= {move["reason"] for move in moves}
    assert gatekeeper.metric("securetransport_session_admitted") == 1
    assert len(gatekeeper.events("agent_started")) == 1


def test_killed_services_come_back_with_new_keys(stage: Stage) -> None:
    restart(stage.members["auth-controller"])
    wait_for_answers(stage, 50)
    restart(stage.members["gatekeeper"])
    wait_for_answers(stage, 50)


def test_killed_server_is_left_for_another(stage: Stage) -> None:
    stage.nats[0].kill()
    wait_for_answers(stage, 100)
    stage.nats[0] = stage.start_server(1)
    wait_for_answers(stage, 50)


def test_services_stay_small(stage: Stage) -> None:
    for name in ("gatekeeper", "auth-controller"):
        assert stage.members[name].resident_bytes() < MAX_RESIDENT_BYTES


def test_after_a_stop_nothing_is_lost_or_done_twice(stage: Stage) -> None:
    gatekeeper, controller = stage.members["gatekeeper"], stage.members["auth-controller"]
    (stage.directory / "load.json").write_text('{"rate": 0, "stop": true}')
    wait_until("everything is answered", lambda: has_caught_up(gatekeeper, controller), 60)
    assert (gatekeeper.stop(), controller.stop()) == (0, 0)
    requests = judge([gatekeeper.ledger], [controller.ledger], TOPIC_REQUESTS)
    responses = judge([controller.ledger], [gatekeeper.ledger], TOPIC_RESPONSES)
    assert requests.is_clean, requests.summary()
    assert responses.is_clean, responses.summary()
    assert requests.effected > 300

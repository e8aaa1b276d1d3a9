"""The rotation log: one chain, through restarts, lost receipts and a second writer."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from securetransport.core.base import names
from securetransport.core.base.errors import BusUnavailableError, RejectedMessageError
from securetransport.metadata.rotation_log import RotationLog
from securetransport.testing.bus import ApiError, FakeBus, FakeConnection

pytestmark = pytest.mark.virtual_time
AT = datetime(2026, 1, 1, tzinfo=UTC)


def entries(bus: FakeBus) -> list[dict[str, Any]]:
    """Return the stored entries, after their chain was checked."""
    found, previous = [], ""
    for stored in bus.streams[names.STREAM_ROTATION_LOG].messages():
        entry = json.loads(stored.frame.data)
        assert entry["previous"] == previous, "the chain is broken"
        previous = hashlib.sha256(stored.frame.data).hexdigest()
        found.append(entry)
    return found


def steps(bus: FakeBus) -> list[str]:
    return [entry["step"] for entry in entries(bus)]


@pytest.fixture
def bus() -> FakeBus:
    bus = FakeBus()
    bus.add_stream(
        {
            "name": names.STREAM_ROTATION_LOG,
            "subjects": ["audit.rotation.>"],
            "allow_direct": True,
        }
    )
    return bus


@pytest.fixture
async def connection(bus: FakeBus) -> FakeConnection:
    return await bus.join("metadata")


def note(log: RotationLog, *words: str) -> None:
    for word in words:
        log.note(word, 41, ("nats-1",), AT)


async def test_steps_are_chained_in_order(bus: FakeBus, connection: FakeConnection) -> None:
    log = RotationLog()
    note(log, "plan", "prepare", "publish")
    await log.publish(connection)
    assert steps(bus) == ["plan", "prepare", "publish"]
    assert entries(bus)[0] == {
        "at": AT.isoformat(),
        "step": "plan",
        "epoch": 41,
        "detail": ["nats-1"],
        "previous": "",
    }
    await log.publish(connection)
    assert len(entries(bus)) == 3


async def test_a_restart_continues_the_chain(bus: FakeBus, connection: FakeConnection) -> None:
    for word in ("plan", "prepare"):
        log = RotationLog()
        note(log, word)
        await log.publish(connection)
    assert steps(bus) == ["plan", "prepare"]


async def test_a_second_writer_does_not_fork_the_chain(
    bus: FakeBus, connection: FakeConnection
) -> None:
    first, second = RotationLog(), RotationLog()
    note(first, "plan")
    await first.publish(connection)
    note(second, "take-over")
    await second.publish(connection)
    note(first, "late")
    await first.publish(connection)
    assert steps(bus) == ["plan", "take-over", "late"]


async def test_an_entry_whose_receipt_was_lost_is_stored_once(
    bus: FakeBus, connection: FakeConnection
) -> None:
    log = RotationLog()
    note(log, "plan", "prepare")
    bus.lose_next_ack(names.SUBJECT_ROTATION_LOG)
    with pytest.raises(BusUnavailableError):
        await log.publish(connection)
    await log.publish(connection)
    assert steps(bus) == ["plan", "prepare"]


async def test_a_lost_receipt_is_recognised_after_others_wrote_and_the_window_is_over(
    bus: FakeBus, connection: FakeConnection
) -> None:
    bus.streams[names.STREAM_ROTATION_LOG].config["duplicate_window"] = 1
    log = RotationLog()
    note(log, "plan")
    bus.lose_next_ack(names.SUBJECT_ROTATION_LOG)
    with pytest.raises(BusUnavailableError):
        await log.publish(connection)
    note(log, "prepare")
    await log.publish(connection)
    assert steps(bus) == ["plan", "prepare"]


async def test_while_the_bus_is_away_steps_wait(bus: FakeBus, connection: FakeConnection) -> None:
    log = RotationLog()
    note(log, "plan")
    bus.servers["nats-1"].stop()
    with pytest.raises(BusUnavailableError):
        await log.publish(connection)
    note(log, "prepare")
    bus.servers["nats-1"].start()
    await connection.wait_connected(30)
    await log.publish(connection)
    assert steps(bus) == ["plan", "prepare"]


async def test_an_entry_that_the_stream_refuses_is_told_and_kept(
    bus: FakeBus, connection: FakeConnection
) -> None:
    log = RotationLog()
    note(log, "plan")
    bus.streams[names.STREAM_ROTATION_LOG].failures.append(ApiError(400, 10054, "too large"))
    with pytest.raises(RejectedMessageError):
        await log.publish(connection)
    await log.publish(connection)
    assert steps(bus) == ["plan"]


async def test_steps_beyond_the_memory_are_counted_in_the_log(
    bus: FakeBus, connection: FakeConnection
) -> None:
    log = RotationLog(most_steps=5)
    note(log, *(f"step-{number}" for number in range(5 + 3)))
    await log.publish(connection)
    found = entries(bus)
    assert (found[0]["step"], found[0]["detail"]) == ("steps_not_logged", ["3"])
    assert found[1]["step"] == "step-3"
    assert found[-1]["step"] == "step-7"


async def test_a_long_list_of_names_is_cut_and_counted(
    bus: FakeBus, connection: FakeConnection
) -> None:
    log = RotationLog()
    log.note("confirm", None, tuple(f"member {number}" for number in range(1000)), AT)
    await log.publish(connection)
    detail = entries(bus)[0]["detail"]
    assert len(detail) == 51
    assert detail[-1] == "and 950 more"

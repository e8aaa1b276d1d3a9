"""The bench without a bus: its figures, its table, and the names of the SDK that it needs."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluation.bench import product, table, worker
from evaluation.bench.cluster import LaneNames
from evaluation.bench.figures import Sample, compare
from securetransport.core.trust.opening import Received, open_message


def look(at: float, count: int, **cpu: float) -> dict[str, Any]:
    def side(name: str) -> dict[str, Any]:
        return {
            "counts": {"protected": count, "plain": 0},
            "cpu": cpu.get(name, 0.0),
            "ledger": cpu.get(f"{name}_ledger", 0.0),
            "signatures": count / 4,
            "signed": count,
        }

    return {
        "at": at,
        "sender": side("sender"),
        "receiver": side("receiver"),
        "servers": cpu.get("servers", 0.0),
    }


def test_stages_are_shares_of_the_window_and_ledgers_are_their_own() -> None:
    after = look(
        10, 1000, sender=2.0, sender_ledger=0.5, receiver=1.5, receiver_ledger=0.5, servers=1.0
    )
    sample = Sample.between("protected", -1, look(0, 0), after)
    assert sample.per_second == pytest.approx(100)
    assert sample.publish_ms == pytest.approx(1.5)
    assert sample.receive_ms == pytest.approx(1.0)
    assert sample.ledger_ms == pytest.approx(1.0)
    assert sample.servers_ms == pytest.approx(1.0)
    assert sample.total_ms == pytest.approx(4.5)
    assert sample.batch == pytest.approx(4)


def test_window_without_a_message_is_an_error_not_free() -> None:
    with pytest.raises(ValueError, match="no protected message"):
        Sample.between("protected", 50, look(0, 7), look(10, 7))


def test_slower_checkout_shows_in_the_ratio_and_its_interval() -> None:
    found = compare([(90.0, 100.0), (80.0, 100.0), (92.0, 100.0), (91.0, 100.0), (89.0, 100.0)])
    assert found.middle == pytest.approx(0.9)
    assert found.low <= found.middle <= found.high < 0.95
    with pytest.raises(ValueError, match="no pair"):
        compare([])


def sample(mode: str, rate: float, per_second: float, cost: float) -> Sample:
    return Sample(mode, rate, per_second, cost, cost, cost, cost, 4.0)


def test_protected_is_set_against_plain_of_the_same_load() -> None:
    found = [
        sample("plain", -1, 2000, 0.5),
        sample("protected", -1, 1000, 1.0),
        sample("protected", 50, 50, 2.0),
    ]
    lines = table.ratios(found, 1.0, 0.3)
    assert lines[0] == (
        "full speed: plain costs 50% of the CPU of protected; protected reaches 50% of plain"
    )
    assert len(lines) == 2


def test_every_name_that_the_bench_needs_is_in_this_checkout() -> None:
    found = product.load()
    assert set(vars(found)) == {*product.ROOMS, *product.LATER}


NAMES = LaneNames("this")
LANE = {
    "lane": NAMES.lane,
    "secret": base64.b64encode(b"s" * 32).decode(),
    "stream": NAMES.stream,
    "topic": NAMES.topic,
    "plain": NAMES.plain,
    "plain_durable": NAMES.plain_durable,
    "sender": NAMES.sender,
    "receiver": NAMES.receiver,
}


class Loopback:
    """A connection that keeps what is published."""

    max_payload_bytes = 1 << 20

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, str]] = []

    async def publish_acked(
        self, subject: str, data: bytes, *, message_id: str, **_: object
    ) -> SimpleNamespace:
        self.sent.append((subject, data, message_id))
        return SimpleNamespace(sequence=len(self.sent), is_duplicate=False)

    async def close(self) -> None:
        return


async def connected(*_: object) -> Loopback:
    return Loopback()


async def test_sender_sends_what_the_receivers_keys_accept(tmp_path: Path) -> None:
    lane = {**LANE, "folder": str(tmp_path), "urls": [], "anchor": ""}
    sender = worker.Sender(lane, connected)
    told = await sender.start()
    for mode in ("protected", "plain"):
        sender.order(mode, 500)
        async with asyncio.timeout(10):
            while not sender.counts[mode]:
                await asyncio.sleep(0.01)
    sender.order("plain", 0)
    looked = sender.look()
    sent = sender.connection.sent
    await sender.close()
    assert looked["signatures"] >= 1
    keys = worker.FixedKeys(product.load(), {**lane, **told}, NAMES.receiver)
    [first, *_] = [one for one in sent if one[0] == NAMES.topic]
    opened = open_now(first, keys)
    assert opened.payload.startswith(b'{"kind"')
    assert any(one[0] == NAMES.plain for one in sent)


def open_now(message: tuple[str, bytes, str], keys: worker.FixedKeys) -> Any:
    subject, data, identity = message
    return open_message(Received(subject, identity, datetime.now(UTC), data), keys.acceptance)

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.checker import (
    judge,
    publish_points,
    quantile,
)
from securetransport.core.base.errors import SecureTransportError
from securetransport.messages.ledger import open_ledger
from securetransport_examples.gatekeeper.service import LEDGER_TABLES

TOPIC = "auth.requests"


def sender(path: Path, attempts: list[str], acks: list[str]) -> Path:
    db = open_ledger(path)
    for number, name in enumerate(attempts):
        db.execute("INSERT INTO attempts VALUES (?, ?, ?)", (name, TOPIC, float(number)))
    for name in acks:
        at = attempts.index(name) + 0.25
        db.execute("INSERT INTO acks VALUES (?, ?, 1, 0)", (name, at))
    db.close()
    return path


def reader(path: Path, effects: list[str], redelivered: int = 0) -> Path:
    db = open_ledger(path)
    for name in effects:
        db.execute("INSERT INTO effects (message_id, at, result) VALUES (?, 0, x'')", (name,))
        db.execute("INSERT INTO seen VALUES (?, 0, 1, 1)", (name,))
    for _ in range(redelivered):
        db.execute("INSERT INTO seen VALUES (?, 0, 1, 2)", (effects[0],))
    db.close()
    return path


def names(count: int) -> list[str]:
    return [f"m{number:02d}" for number in range(count)]


def test_run_without_faults_is_clean(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(10), names(10))
    verdict = judge([out], [reader(tmp_path / "r.db", names(10), redelivered=3)], TOPIC)
    assert verdict.is_clean
    assert (verdict.attempted, verdict.acked, verdict.effected) == (10, 10, 10)
    assert verdict.redelivered == 3


def test_acknowledged_without_effect_is_lost_and_placed(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(10), names(10))
    done = [name for name in names(10) if name not in {"m00", "m05", "m09"}]
    verdict = judge([out], [reader(tmp_path / "r.db", done)], TOPIC)
    assert not verdict.is_clean
    assert verdict.lost.prefix == ("m00",)
    assert verdict.lost.middle == ("m05",)
    assert verdict.lost.postfix == ("m09",)


def test_unacknowledged_is_recovered_or_unknown_and_no_fault(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(4), ["m00", "m01"])
    verdict = judge([out], [reader(tmp_path / "r.db", ["m00", "m01", "m02"])], TOPIC)
    assert verdict.is_clean
    assert (verdict.recovered, verdict.unknown) == (1, 1)


def test_effect_in_two_ledgers_is_a_fault(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(3), names(3))
    readers = [reader(tmp_path / "a.db", ["m00", "m01"]), reader(tmp_path / "b.db", ["m01", "m02"])]
    verdict = judge([out], readers, TOPIC)
    assert verdict.effected_twice == ("m01",)
    assert not verdict.is_clean


def test_effect_nobody_asked_for_is_a_fault(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(1), names(1))
    verdict = judge([out], [reader(tmp_path / "r.db", ["m00", "ghost"])], TOPIC)
    assert verdict.unexpected == ("ghost",)
    assert not verdict.is_clean


def test_two_different_answers_to_one_request_are_a_fault(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(1), names(1))
    db = open_ledger(out, LEDGER_TABLES)
    for response in ("r1", "r2"):
        db.execute("INSERT INTO responses VALUES (?, 'm00', 0, 'allowed')", (response,))
    db.close()
    verdict = judge([out], [reader(tmp_path / "r.db", ["m00"])], TOPIC)
    assert verdict.answered_twice == ("m00",)
    assert not verdict.is_clean


def test_missing_ledger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SecureTransportError):
        judge([tmp_path / "none.db"], [], TOPIC)


def test_latency_is_from_attempt_to_receipt(tmp_path: Path) -> None:
    out = sender(tmp_path / "s.db", names(3), ["m01"])
    assert publish_points(out, TOPIC) == [(1.25, 0.25)]


def test_quantile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 1001)]
    assert quantile(values, 0.5) == 500
    assert quantile(values, 0.999) == 999
    assert quantile(values, 1.0) == 1000

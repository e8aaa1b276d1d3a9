from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from evaluation.errors import EvidenceError
from evaluation.evidence import (
    DECRYPT_REASONS,
    SIGNATURE_REASONS,
    Ledgers,
    count_refusals,
    disk_megabytes,
    refusals,
    rise,
)
from evaluation.verdict import Refusals
from securetransport.core.trust.opening import Refusal
from securetransport.messages.ledger import open_ledger
from securetransport.messages.telemetry import MessageTelemetry
from securetransport_examples.gatekeeper.service import LEDGER_TABLES


def metrics(**refused: int) -> str:
    """What a service shows that refused messages for these reasons, by its own counters."""
    registry = CollectorRegistry()
    telemetry = MessageTelemetry(registry)
    for reason, count in refused.items():
        telemetry.refused.labels("auth.requests", reason).inc(count)
    telemetry.fallback.labels("auth.requests").inc(4)
    return generate_latest(registry).decode()


def none() -> str:
    return metrics()


@contextmanager
def served(text: str) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that the library calls
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("reason", [Refusal.DECRYPT, Refusal.COMMITMENT, Refusal.TOPIC_KEY])
def test_message_that_could_not_be_decrypted_is_counted_as_that(reason: Refusal) -> None:
    found = count_refusals(metrics(**{reason.value: 3}), "here")
    assert found == Refusals(signature=0, decryption=3, other=0, older_key=4)


@pytest.mark.parametrize("reason", [Refusal.SIGNATURE, Refusal.VERIFY_KEY, Refusal.KEY_EPOCH])
def test_signature_that_failed_is_counted_as_that(reason: Refusal) -> None:
    assert count_refusals(metrics(**{reason.value: 2}), "here").signature == 2


@pytest.mark.parametrize("reason", [reason.value for reason in Refusal])
def test_no_reason_of_the_receivers_is_left_out(reason: str) -> None:
    found = count_refusals(metrics(**{reason: 5}), "here")
    assert found.signature + found.decryption + found.other == 5


def test_reason_that_nobody_knows_counts() -> None:
    assert count_refusals(metrics(new_reason=1), "here").other == 1


def test_classes_of_reasons_do_not_overlap() -> None:
    assert not SIGNATURE_REASONS & DECRYPT_REASONS


def test_counters_of_all_services_are_added() -> None:
    with served(metrics(decrypt=1)) as one, served(metrics(decrypt=2)) as two:
        assert refusals([one, two]).decryption == 3


def test_dead_metrics_port_is_an_error_not_zero() -> None:
    with served(none()) as dead:
        pass
    with served(none()) as alive, pytest.raises(EvidenceError, match=f"port {dead}"):
        refusals([alive, dead])


def test_metrics_without_the_counters_are_an_error_not_zero() -> None:
    with pytest.raises(EvidenceError, match="has no metric"):
        count_refusals("# TYPE other gauge\nother 1\n", "here")
    with pytest.raises(EvidenceError):
        count_refusals("", "here")


def test_nobody_to_ask_is_an_error() -> None:
    with pytest.raises(EvidenceError):
        refusals([])


def test_refusals_before_the_run_do_not_count_but_forgotten_ones_are_an_error() -> None:
    before, after = Refusals(1, 2, 0, 0), Refusals(1, 5, 0, 1)
    assert rise(before, after) == Refusals(0, 3, 0, 1)
    with pytest.raises(EvidenceError, match="decryption"):
        rise(after, before)


def ledger(services: Path, name: str, *, effects: str = "", attempts: str = "") -> None:
    path = services / name / "state" / "ledger.db"
    path.parent.mkdir(parents=True)
    db = open_ledger(path, LEDGER_TABLES)
    topic = "auth.requests" if name.startswith("gatekeeper") else "gatekeeper.responses"
    for message in attempts.split():
        db.execute("INSERT INTO attempts VALUES (?, ?, 10)", (message, topic))
        db.execute("INSERT INTO acks VALUES (?, 11, 1, 0)", (message,))
    for message in effects.split():
        db.execute("INSERT INTO effects (message_id, at, result) VALUES (?, 12, x'')", (message,))
    for number, message in enumerate(effects.split()):
        row = (message, 12.0 + number, number, f"key {number}")
        db.execute("INSERT INTO received_keys VALUES (?, ?, ?, ?)", row)
    db.close()


def test_both_directions_are_judged(tmp_path: Path) -> None:
    ledger(tmp_path, "gatekeeper-1", attempts="q1 q2", effects="r1")
    ledger(tmp_path, "auth-controller-1", attempts="r1 r2", effects="q1")
    messages = Ledgers.of(tmp_path).judge()
    assert (messages.attempted, messages.acked, messages.lost) == (4, 4, 2)


def test_what_may_still_be_on_its_way_is_not_lost_yet(tmp_path: Path) -> None:
    ledger(tmp_path, "gatekeeper-1", attempts="q1 q2", effects="")
    ledger(tmp_path, "auth-controller-1", effects="q1")
    assert Ledgers.of(tmp_path).judge(acked_before=11).lost == 0
    assert Ledgers.of(tmp_path).judge(acked_before=11.1).lost == 1


def test_with_one_instance_duplicates_are_not_claimed(tmp_path: Path) -> None:
    ledger(tmp_path, "gatekeeper-1", attempts="q1")
    ledger(tmp_path, "auth-controller-1", effects="q1")
    assert Ledgers.of(tmp_path).judge().duplicates is None


def test_effect_in_both_instances_is_a_duplicate(tmp_path: Path) -> None:
    ledger(tmp_path, "gatekeeper-1", attempts="q1 q2")
    ledger(tmp_path, "auth-controller-1", effects="q1")
    ledger(tmp_path, "auth-controller-2", effects="q1 q2")
    assert Ledgers.of(tmp_path).judge().duplicates == 1


def test_missing_ledger_is_an_error(tmp_path: Path) -> None:
    ledger(tmp_path, "gatekeeper-1")
    with pytest.raises(EvidenceError, match="auth-controller"):
        Ledgers.of(tmp_path)


def test_keys_are_read_from_what_arrived_in_the_run(tmp_path: Path) -> None:
    ledger(tmp_path, "gatekeeper-1", effects="r1 r2 r3")
    ledger(tmp_path, "auth-controller-1")
    found = Ledgers.of(tmp_path).received_keys(13, 15)
    assert [(use.key_epoch, use.key_id) for use in found] == [(1, "key 1"), (2, "key 2")]


def test_disk_is_what_the_files_take(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x" * 3_000_000)
    assert 3.0 <= disk_megabytes(tmp_path) < 3.1

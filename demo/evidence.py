"""What the processes left behind: ledgers, counters, memory."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from demo.platform import STATE, Process, resident_megabytes
from demo.verdict import Messages
from securetransport.messages import checker

REQUESTS = "auth.requests"
RESPONSES = "gatekeeper.responses"
GATEKEEPER = STATE / "services" / "gatekeeper-1"
AUTH_CONTROLLER = STATE / "services" / "auth-controller-1"
CONTROL_FILE = GATEKEEPER / "state" / "load.json"
_REFUSED = "securetransport_messages_refused"
_SIGNATURE_REASONS = frozenset({"signature", "unknown_key"})
_DECRYPT_REASONS = frozenset({"decryption"})


@dataclass(frozen=True, slots=True)
class Refusals:
    """Messages that receivers refused, and those sent with an older key than the epoch's."""

    signature: int
    decryption: int
    other: int
    older_key: int


def ledgers() -> tuple[Path, Path]:
    """Return the ledgers of gatekeeper and auth-controller."""
    return GATEKEEPER / "state" / "ledger.db", AUTH_CONTROLLER / "state" / "ledger.db"


def judge() -> tuple[checker.Verdict, checker.Verdict]:
    """Compare both directions: requests, and the responses to them."""
    sender, reader = ledgers()
    return (
        checker.judge([sender], [reader], REQUESTS),
        checker.judge([reader], [sender], RESPONSES),
    )


def total(verdicts: Iterable[checker.Verdict]) -> Messages:
    """Return the sums over both directions."""
    listed = list(verdicts)
    return Messages(
        attempted=sum(one.attempted for one in listed),
        acked=sum(one.acked for one in listed),
        lost=sum(len(one.lost) for one in listed),
        duplicates=sum(len(one.effected_twice) + len(one.answered_twice) for one in listed),
        unexpected=sum(len(one.unexpected) for one in listed),
        recovered=sum(one.recovered for one in listed),
        unknown=sum(one.unknown for one in listed),
    )


def order_load(rate: float, *, stop: bool) -> None:
    """Tell the gatekeeper how much to send."""
    partial = CONTROL_FILE.with_suffix(".tmp")
    partial.write_text(json.dumps({"rate": rate, "stop": stop}), encoding="utf-8")
    partial.replace(CONTROL_FILE)


def end_order() -> None:
    """Let the gatekeeper go on at the rate it is configured with."""
    CONTROL_FILE.unlink(missing_ok=True)


def refusals(ports: Iterable[int]) -> Refusals:
    """Return what the services' counters say, read from their metrics."""
    counts = {"signature": 0, "decryption": 0, "other": 0, "older_key": 0}
    for port in ports:
        for family in text_string_to_metric_families(_metrics(port)):
            for sample in family.samples:
                if sample.name == f"{_REFUSED}_total":
                    counts[_word(sample.labels["reason"])] += int(sample.value)
                elif sample.name == "securetransport_sent_with_older_key_total":
                    counts["older_key"] += int(sample.value)
    return Refusals(**counts)


def memory(processes: Iterable[Process]) -> dict[str, float]:
    """Return the resident memory of every process in MB, and the sum as ``platform``."""
    found = {
        process.name: resident_megabytes(process.pid)
        for process in processes
        if process.pid is not None
    }
    return {**found, "platform": round(sum(found.values()), 1)}


def _word(reason: str) -> str:
    if reason in _SIGNATURE_REASONS:
        return "signature"
    return "decryption" if reason in _DECRYPT_REASONS else "other"


def _metrics(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.URLError:
        return ""

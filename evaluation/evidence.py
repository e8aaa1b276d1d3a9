"""What the processes of a run left behind: ledgers, counters, key epochs, memory, disk.

Rules, each with a test that plants the fault:

1. A process whose counters cannot be read is an error, not a process without refusals.
2. Refusals are told apart by the reasons that receivers emit, taken from the code; a reason that
   is in no class counts as ``other``, so nothing that was refused is ever left out.
3. Effects that happened twice can only be seen with the ledgers of at least two instances of the
   receiving service; with one they are not claimed (``None``).
4. A key epoch counts when a verified message that was sealed with its key has arrived.
"""

from __future__ import annotations

import math
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from evaluation import checker
from evaluation.errors import EvidenceError
from evaluation.platform import Process, resident_megabytes
from evaluation.verdict import Messages, Refusals
from securetransport.core.trust.opening import Refusal

REQUESTS = "auth.requests"
RESPONSES = "gatekeeper.responses"
_REFUSED = "securetransport_messages_refused_total"
_OLDER_KEY = "securetransport_sent_with_older_key_total"
_METRICS_SECONDS = 5.0

SIGNATURE_REASONS: Final = frozenset(
    {Refusal.VERIFY_KEY, Refusal.KEY_OWNER, Refusal.KEY_EPOCH, Refusal.SIGNATURE}
)
DECRYPT_REASONS: Final = frozenset({Refusal.TOPIC_KEY, Refusal.COMMITMENT, Refusal.DECRYPT})


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The ledgers of every instance of both services."""

    gatekeepers: Sequence[Path]
    auth_controllers: Sequence[Path]

    @classmethod
    def of(cls, services: Path) -> Ledgers:
        """Find them in the folder of the services cluster, one folder for each instance.

        Raises:
            EvidenceError: One of the two has none.
        """
        found = {
            service: sorted(services.glob(f"{service}-*/state/ledger.db"))
            for service in ("gatekeeper", "auth-controller")
        }
        for service, paths in found.items():
            if not paths:
                raise EvidenceError(f"no ledger of {service} in {services}")
        return cls(found["gatekeeper"], found["auth-controller"])

    def judge(self, *, acked_before: float = math.inf) -> Messages:
        """Compare both directions as sets, requests and the responses to them; rule 3.

        Args:
            acked_before: As in :func:`evaluation.checker.judge`.
        """
        requests = checker.judge(
            self.gatekeepers, self.auth_controllers, REQUESTS, acked_before=acked_before
        )
        responses = checker.judge(
            self.auth_controllers, self.gatekeepers, RESPONSES, acked_before=acked_before
        )
        both = (requests, responses)
        receivers = (self.auth_controllers, self.gatekeepers)
        claimed = [
            len(one.effected_twice)
            for one, ledgers in zip(both, receivers, strict=True)
            if len(ledgers) > 1
        ]
        return Messages(
            attempted=sum(one.attempted for one in both),
            acked=sum(one.acked for one in both),
            lost=sum(len(one.lost) for one in both),
            duplicates=sum(claimed) if claimed else None,
            answered_twice=len(requests.answered_twice),
            unexpected=sum(len(one.unexpected) for one in both),
            recovered=sum(one.recovered for one in both),
            unknown=sum(one.unknown for one in both),
        )

    def received_keys(self, start: float, end: float) -> list[checker.KeyUse]:
        """Return the keys of every response that arrived between two Unix times; rule 4."""
        found = [use for path in self.gatekeepers for use in checker.key_points(path, start, end)]
        return sorted(found, key=lambda use: use.at)


def refusals(ports: Iterable[int]) -> Refusals:
    """Return the sums of what the services' counters say now.

    Args:
        ports: Health ports on the loopback, at least one.

    Raises:
        EvidenceError: One does not answer, or its answer has none of the counters.
    """
    found = [count_refusals(_metrics(port), f"port {port}") for port in ports]
    if not found:
        raise EvidenceError("no service to ask for its refusals")
    return Refusals(
        **{field.name: sum(getattr(one, field.name) for one in found) for field in fields(Refusals)}
    )


def count_refusals(text: str, source: str) -> Refusals:
    """Return what one service's metrics say; rule 2.

    Raises:
        EvidenceError: They are not those of a service built on the SDK.
    """
    counts = {field.name: 0 for field in fields(Refusals)}
    names = set()
    for family in text_string_to_metric_families(text):
        names.add(f"{family.name}_total")
        for sample in family.samples:
            if sample.name == _REFUSED:
                counts[_class_of(sample.labels["reason"])] += int(sample.value)
            elif sample.name == _OLDER_KEY:
                counts["older_key"] += int(sample.value)
    if missing := {_REFUSED, _OLDER_KEY} - names:
        raise EvidenceError(f"{source} has no metric {', '.join(sorted(missing))}")
    return Refusals(**counts)


def _class_of(reason: str) -> str:
    if reason in SIGNATURE_REASONS:
        return "signature"
    return "decryption" if reason in DECRYPT_REASONS else "other"


def _metrics(port: int) -> str:
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=_METRICS_SECONDS) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.URLError) as error:
        raise EvidenceError(f"port {port} does not show its metrics: {error}") from error


def memory(processes: Iterable[Process]) -> dict[str, float]:
    """Return the resident memory of every running process in MB, and the sum as ``platform``.

    Pages that processes share count for each of them.
    """
    found = {
        process.name: resident_megabytes(process.pid)
        for process in processes
        if process.pid is not None
    }
    return {**found, "platform": round(sum(found.values()), 1)}


def disk_megabytes(folder: Path) -> float:
    """Return the disk that a folder takes, in MB of 10^6 bytes; blocks, so holes are free."""
    blocks = 0
    for place, _folders, names in os.walk(folder):
        for name in names:
            try:
                blocks += (Path(place) / name).lstat().st_blocks
            except FileNotFoundError:
                continue  # a file of a running platform may go at any moment
    return round(blocks * 512 / 1e6, 1)


def rise(before: Refusals, after: Refusals) -> Refusals:
    """Return what was counted between two looks.

    Raises:
        EvidenceError: A counter fell: its process started anew, and what it had counted is gone.
    """
    counted = {
        field.name: getattr(after, field.name) - getattr(before, field.name)
        for field in fields(Refusals)
    }
    if fallen := [name for name, change in counted.items() if change < 0]:
        raise EvidenceError(f"counters of refusals fell: {', '.join(fallen)}")
    return Refusals(**counted)

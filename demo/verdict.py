"""The verdict: what the run showed, as numbers, and whether that is good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from demo.windows import GapFigures

LEAST_WINDOWS = 20
LARGEST_GAP_RATIO = 2.0
# The gatekeeper reads its order once a second, and answers of the last moment come later.
_ANSWERED_SHARE = 0.97


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much a run must show.

    Attributes:
        ca_rotations: Activations of a new CA epoch under load.
        key_rotations: Changes of the key epoch under load.
        per_second: Requests answered per second.
        compares_gaps: Whether rotation and steady windows are compared; a run in which something
            is killed every few seconds has no steady windows.
    """

    ca_rotations: int
    key_rotations: int
    per_second: float
    compares_gaps: bool


@dataclass(frozen=True, slots=True)
class Messages:
    """What the ledgers of both services say when they are compared as sets.

    Attributes:
        attempted: Messages whose sending began.
        acked: Of these, how many a stream confirmed.
        lost: Confirmed, but without effect at the receiver.
        duplicates: Effects that happened twice.
        unexpected: Effects of messages that nobody sent.
        recovered: Not confirmed, but with effect all the same.
        unknown: Neither confirmed nor with effect.
    """

    attempted: int
    acked: int
    lost: int
    duplicates: int
    unexpected: int
    recovered: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that ``verdict.json`` says; ``failures`` names each rule that was broken."""

    profile: str
    ca_rotations_completed: int
    key_rotations_completed: int
    messages: Messages
    answered_per_second: float
    wanted: Wanted
    signature_failures: int
    decrypt_failures: int
    faults_injected: list[dict[str, Any]]
    ack_gap_ms: GapFigures
    publish_gap_ms: GapFigures
    process_restarts_outside_faults: int
    excuses: int
    seconds: Mapping[str, float]
    resident_megabytes: Mapping[str, float]
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no rule was broken."""
        return not self.failures

    def judged(self) -> Verdict:
        """Return the verdict with every broken rule named."""
        gaps, compares_gaps = self.ack_gap_ms, self.wanted.compares_gaps
        rules = {
            f"fewer than {self.wanted.ca_rotations} CA rotations": (
                self.ca_rotations_completed >= self.wanted.ca_rotations
            ),
            f"fewer than {self.wanted.key_rotations} key rotations": (
                self.key_rotations_completed >= self.wanted.key_rotations
            ),
            "messages were lost": self.messages.lost == 0,
            "effects happened twice": self.messages.duplicates == 0,
            "effects that nobody asked for": self.messages.unexpected == 0,
            "signatures failed": self.signature_failures == 0,
            "messages could not be decrypted": self.decrypt_failures == 0,
            "processes restarted that nobody killed": self.process_restarts_outside_faults == 0,
            "a gate was passed without its evidence": self.excuses == 0,
            "no message was sent": self.messages.attempted > 0,
            f"less than {self.wanted.per_second:.0f} requests/s were answered": (
                self.answered_per_second >= _ANSWERED_SHARE * self.wanted.per_second
            ),
            f"fewer than {LEAST_WINDOWS} windows of a kind": not compares_gaps
            or (min(gaps.windows["steady"], gaps.windows["rotation"]) >= LEAST_WINDOWS),
            f"rotation gaps are over {LARGEST_GAP_RATIO:g} times the steady ones": (
                not compares_gaps or (gaps.ratio is not None and gaps.ratio <= LARGEST_GAP_RATIO)
            ),
        }
        failures = [text for text, holds in rules.items() if not holds]
        values = {name: getattr(self, name) for name in self.__slots__}
        return Verdict(**{**values, "failures": failures})

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``verdict.json``."""
        plain = asdict(self)
        messages = plain.pop("messages")
        return {
            "ok": self.ok,
            "profile": plain.pop("profile"),
            "ca_rotations_completed": plain.pop("ca_rotations_completed"),
            "key_rotations_completed": plain.pop("key_rotations_completed"),
            "messages_attempted": messages["attempted"],
            "messages_acked": messages["acked"],
            "lost": messages["lost"],
            "duplicates": messages["duplicates"],
            "unexpected": messages["unexpected"],
            "recovered": messages["recovered"],
            "unknown": messages["unknown"],
            "ack_gap_ratio": self.ack_gap_ms.ratio,
            **plain,
        }

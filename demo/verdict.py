"""The verdict: what the run showed, as numbers, and whether that is good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from demo.windows import GapFigures

LEAST_CA_ROTATIONS = 6
LEAST_KEY_ROTATIONS = 10
LEAST_WINDOWS = 20
LARGEST_GAP_RATIO = 2.0


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
    wanted_per_second: float
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
        gaps = self.ack_gap_ms
        rules = {
            f"fewer than {LEAST_CA_ROTATIONS} CA rotations": (
                self.ca_rotations_completed >= LEAST_CA_ROTATIONS
            ),
            f"fewer than {LEAST_KEY_ROTATIONS} key rotations": (
                self.key_rotations_completed >= LEAST_KEY_ROTATIONS
            ),
            "messages were lost": self.messages.lost == 0,
            "effects happened twice": self.messages.duplicates == 0,
            "effects that nobody asked for": self.messages.unexpected == 0,
            "signatures failed": self.signature_failures == 0,
            "messages could not be decrypted": self.decrypt_failures == 0,
            "processes restarted that nobody killed": self.process_restarts_outside_faults == 0,
            "a gate was passed without its evidence": self.excuses == 0,
            "no message was sent": self.messages.attempted > 0,
            f"less than {self.wanted_per_second:.0f} requests/s were answered": (
                self.answered_per_second >= 0.97 * self.wanted_per_second
            ),
            f"fewer than {LEAST_WINDOWS} windows of a kind": (
                min(gaps.windows["steady"], gaps.windows["rotation"]) >= LEAST_WINDOWS
            ),
            f"rotation gaps are over {LARGEST_GAP_RATIO:g} times the steady ones": (
                gaps.ratio is not None and gaps.ratio <= LARGEST_GAP_RATIO
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

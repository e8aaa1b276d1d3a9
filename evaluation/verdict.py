"""The verdict: what the run showed, as numbers, and whether that is good.

Every rule can fail; ``tests/test_verdict.py`` plants the fault of each. What was not observed is
``None`` here, and ``None`` fails a rule unless the verdict names it under ``not_claimed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from evaluation.footprint import Footprint
from evaluation.timeline import KeyRotations
from evaluation.windows import GapFigures

LEAST_WINDOWS: Final = 20
GOAL_GAP_RATIO: Final = 1.2
"""A run fails when it shows more: the lower end of the ratio's interval lies above."""
LARGEST_GAP_RATIO: Final = 1.5
"""A run fails with more, however uncertain the ratio is."""
# The gatekeeper reads its order once a second, and answers of the last moment come later.
_ANSWERED_SHARE = 0.97


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much a run must show.

    Attributes:
        ca_rotations: Activations of a new CA epoch under load.
        key_rotations: Changes of topic key and signing key, seen in messages.
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
        duplicates: Effects that happened in more than one instance of a service; ``None`` when
            every service has one, because its ledger alone cannot show them.
        answered_twice: Requests that got more than one different response.
        unexpected: Effects of messages that nobody sent.
        recovered: Not confirmed, but with effect all the same.
        unknown: Neither confirmed nor with effect.
    """

    attempted: int
    acked: int
    lost: int
    duplicates: int | None
    answered_twice: int
    unexpected: int
    recovered: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Refusals:
    """Messages that receivers refused, by what failed, and those sent with an older key."""

    signature: int
    decryption: int
    other: int
    older_key: int

    def plus(self, more: Refusals) -> Refusals:
        """Return the sums."""
        return Refusals(
            **{name: getattr(self, name) + getattr(more, name) for name in self.__slots__}
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that ``verdict.json`` says; ``failures`` names each rule that was broken."""

    profile: str
    ca_rotations_completed: int
    keys: KeyRotations
    messages: Messages
    answered_per_second: float
    wanted: Wanted
    refused: Refusals
    faults_injected: list[dict[str, Any]]
    ack_gap_ms: GapFigures
    publish_gap_ms: GapFigures
    process_restarts_outside_faults: int
    excuses: int | None
    seconds: Mapping[str, float]
    resident_megabytes: Mapping[str, float]
    footprint: Footprint
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no rule was broken."""
        return not self.failures

    def judged(self) -> Verdict:
        """Return the verdict with every broken rule named."""
        rules = {**self._rotation_rules(), **self._message_rules(), **self._gap_rules()}
        failures = [text for text, holds in rules.items() if not holds]
        failures += self.footprint.broken()
        values = {name: getattr(self, name) for name in self.__slots__}
        return Verdict(**{**values, "failures": failures})

    def _rotation_rules(self) -> dict[str, bool]:
        return {
            f"fewer than {self.wanted.ca_rotations} CA rotations": (
                self.ca_rotations_completed >= self.wanted.ca_rotations
            ),
            f"fewer than {self.wanted.key_rotations} key rotations in messages": (
                self.keys.completed >= self.wanted.key_rotations
            ),
            "processes restarted that nobody killed": self.process_restarts_outside_faults == 0,
            "no status says whether gates were passed without evidence": self.excuses is not None,
            "a gate was passed without its evidence": not self.excuses,
        }

    def _message_rules(self) -> dict[str, bool]:
        return {
            "no message was sent": self.messages.attempted > 0,
            "messages were lost": self.messages.lost == 0,
            "effects happened twice": not self.messages.duplicates,
            "requests got two different answers": self.messages.answered_twice == 0,
            "effects that nobody asked for": self.messages.unexpected == 0,
            "signatures failed": self.refused.signature == 0,
            "messages could not be decrypted": self.refused.decryption == 0,
            "messages were refused": self.refused.other == 0,
            f"less than {self.wanted.per_second:.0f} requests/s were answered": (
                self.answered_per_second >= _ANSWERED_SHARE * self.wanted.per_second
            ),
        }

    def _gap_rules(self) -> dict[str, bool]:
        if not self.wanted.compares_gaps:
            return {}
        gaps = self.ack_gap_ms
        return {
            f"fewer than {LEAST_WINDOWS} windows of a kind": (
                min(gaps.windows["steady"], gaps.windows["rotation"]) >= LEAST_WINDOWS
            ),
            f"rotation gaps are shown to be over {GOAL_GAP_RATIO:g} times the steady ones": (
                gaps.ratio_low is not None and gaps.ratio_low <= GOAL_GAP_RATIO
            ),
            f"rotation gaps are over {LARGEST_GAP_RATIO:g} times the steady ones": (
                gaps.ratio is not None and gaps.ratio <= LARGEST_GAP_RATIO
            ),
        }

    @property
    def not_claimed(self) -> list[str]:
        """What this run could not show, in words."""
        claims = {
            "that no effect happens in two instances: every service has one here": (
                self.messages.duplicates is None
            ),
            "the gaps of rotations: too much was killed for steady windows": (
                not self.wanted.compares_gaps
            ),
        }
        return [text for text, is_open in claims.items() if is_open]

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``verdict.json``."""
        plain = asdict(self)
        messages, keys, refused = plain.pop("messages"), plain.pop("keys"), plain.pop("refused")
        return {
            "ok": self.ok,
            "profile": plain.pop("profile"),
            "ca_rotations_completed": plain.pop("ca_rotations_completed"),
            "key_rotations_completed": self.keys.completed,
            "topic_key_rotations": keys["topic"],
            "signing_key_rotations": keys["signing"],
            "messages_attempted": messages.pop("attempted"),
            "messages_acked": messages.pop("acked"),
            **messages,
            "signature_failures": refused["signature"],
            "decrypt_failures": refused["decryption"],
            "other_refusals": refused["other"],
            "sent_with_older_key": refused["older_key"],
            "ack_gap_ratio": self.ack_gap_ms.ratio,
            **plain,
            "not_claimed": self.not_claimed,
        }

"""What a window of traffic cost, and how two checkouts compare; pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

_RESAMPLES = 2000
_MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One window of one kind of traffic.

    Attributes:
        mode: ``protected`` or ``plain``.
        wanted_rate: Messages per second asked for; negative for as fast as it goes.
        per_second: Messages that had their effect, per second.
        publish_ms: CPU of the sender per message, its ledger aside, in milliseconds.
        servers_ms: CPU of all servers per message.
        receive_ms: CPU of the receiver per message, its ledger aside.
        ledger_ms: CPU of both ledgers' threads per message.
        batch: Messages that shared one signature, on average; 0 when none was signed.
    """

    mode: str
    wanted_rate: float
    per_second: float
    publish_ms: float
    servers_ms: float
    receive_ms: float
    ledger_ms: float
    batch: float

    @property
    def total_ms(self) -> float:
        """CPU per message, all stages."""
        return self.publish_ms + self.servers_ms + self.receive_ms + self.ledger_ms

    @classmethod
    def between(
        cls, mode: str, rate: float, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Sample:
        """Return what lies between two looks at a lane.

        Raises:
            ValueError: No message had its effect.
        """

        def rise(who: str, what: str) -> float:
            return float(after[who][what]) - float(before[who][what])

        sent = after["sender"]["counts"][mode] - before["sender"]["counts"][mode]
        done = after["receiver"]["counts"][mode] - before["receiver"]["counts"][mode]
        if not sent or not done:
            raise ValueError(f"no {mode} message in the window")
        ledgers = {who: rise(who, "ledger") for who in ("sender", "receiver")}
        signatures = rise("sender", "signatures")
        return cls(
            mode=mode,
            wanted_rate=rate,
            per_second=done / (after["at"] - before["at"]),
            publish_ms=(rise("sender", "cpu") - ledgers["sender"]) / sent * _MILLISECONDS,
            servers_ms=(after["servers"] - before["servers"]) / sent * _MILLISECONDS,
            receive_ms=(rise("receiver", "cpu") - ledgers["receiver"]) / done * _MILLISECONDS,
            ledger_ms=(ledgers["sender"] / sent + ledgers["receiver"] / done) * _MILLISECONDS,
            batch=rise("sender", "signed") / signatures if signatures else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ratios of pairs of runs, this checkout to the other.

    Attributes:
        ratios: One for each pair, in order.
        low: Lower end of the 90 % interval of the median, by resampling the pairs.
        high: Its upper end.
    """

    ratios: tuple[float, ...]
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Median of the ratios."""
        return median(self.ratios)


def compare(pairs: Sequence[tuple[float, float]]) -> Comparison:
    """Compare a figure in pairs of (this, other).

    Raises:
        ValueError: There is no pair.
    """
    ratios = tuple(this / other for this, other in pairs)
    if not ratios:
        raise ValueError("no pair to compare")
    draw = random.Random(0)  # noqa: S311  repeatable, and no secret
    middles = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLES))
    return Comparison(ratios, middles[int(0.05 * _RESAMPLES)], middles[int(0.95 * _RESAMPLES) - 1])

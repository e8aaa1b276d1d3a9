"""Epoch arithmetic: which epoch an instant belongs to, and when an epoch is valid.

An epoch is a numbered, half-open interval ``[start, start + period)`` counted from
1970-01-01T00:00:00Z, so every process computes the same number without talking. Its material is
accepted for ``validity`` from its *start*, which outlasts the period: ``validity / period`` epochs
are valid at any instant.

Pure: no clock is read here; callers pass ``at``.

Source: docs/decisions/0003-epochs.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NewType

EpochNumber = NewType("EpochNumber", int)

MAX_EPOCH: Final = 253_402_300_799
"""The last second of year 9999: no period is shorter, so no honest epoch is higher."""

UNIX_START = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# Ends of our calendar, with room for the validities, leads and waits that callers add.
_EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EpochSchedule:
    """Length and validity of the epochs of one kind (CA, topic key or signing key).

    Attributes:
        period: Distance between two epoch starts; a whole number of seconds, at least one.
        validity: How long an epoch's material is accepted, counted from its start; not shorter
            than ``period``.

    Raises:
        ValueError: A rule above is broken.
    """

    period: timedelta
    validity: timedelta

    def __post_init__(self) -> None:
        """Check the two rules."""
        if self.period < _SECOND or self.period % _SECOND:
            raise ValueError(f"period must be whole seconds, at least one, not {self.period}")
        if self.validity < self.period:
            raise ValueError(f"validity {self.validity} is shorter than period {self.period}")

    def number_at(self, at: datetime) -> EpochNumber:
        """Return the epoch that contains ``at``.

        Args:
            at: An aware instant, any zone.

        Raises:
            ValueError: ``at`` has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError("an instant without a time zone belongs to no epoch")
        return EpochNumber((at - UNIX_START) // self.period)

    def start_of(self, epoch: EpochNumber) -> datetime:
        """Return the first instant of ``epoch``, in UTC.

        Epochs come from others, so every number has an answer: one far from our time starts at the
        end of the calendar that it lies behind, and is valid at no instant that anybody lives in.
        """
        try:
            start = UNIX_START + self.period * epoch
        except OverflowError:
            return _LATEST if epoch > 0 else _EARLIEST
        return min(max(start, _EARLIEST), _LATEST)

    def end_of(self, epoch: EpochNumber) -> datetime:
        """Return the first instant after ``epoch``, in UTC."""
        return self.start_of(EpochNumber(epoch + 1))

    def expiry_of(self, epoch: EpochNumber) -> datetime:
        """Return the instant from which material of ``epoch`` is refused, in UTC."""
        return self.start_of(epoch) + self.validity

    def is_valid(self, epoch: EpochNumber, at: datetime) -> bool:
        """Tell whether material of ``epoch`` is accepted at ``at``."""
        return self.start_of(epoch) <= at < self.expiry_of(epoch)

    def valid_at(self, at: datetime) -> list[EpochNumber]:
        """Return the epochs whose material is accepted at ``at``, oldest first."""
        newest = self.number_at(at)
        count = -(-self.validity // self.period)
        candidates = (EpochNumber(newest - back) for back in range(count, -1, -1))
        return [epoch for epoch in candidates if self.is_valid(epoch, at)]

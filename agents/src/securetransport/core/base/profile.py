"""The constants of a deployment: periods, validities, leads, deadlines, and the rules between them.

A profile is chosen by name and may be overridden field by field; :meth:`Profile.check` refuses a
combination that breaks a rule and names both fields. Rules:

1. ``ca_validity >= 4 * ca_period``: three legacy epochs and the active one are valid.
2. ``ca_lead + 2 * clock_skew <= 2 * ca_period``: preparation fits.
3. ``leaf_validity / 2 >= 2 * clock_skew``: a leaf outlives the disagreement of clocks.
4. ``ca_period + leaf_validity + margin <= ca_validity``: a leaf fits into its issuer.
5. at most 6 live issuers: ``ca_validity / ca_period + 2 <= 6``.
6. ``key_lead < key_period`` and ``key_validity >= 2 * key_period``.

Source: docs/architecture.md, "Constants".
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Final

from securetransport.core.base.epochs import EpochSchedule
from securetransport.core.base.errors import ConfigError

MAX_LIVE_ISSUERS: Final = 6
MAX_DEAD_LETTER_AGE: Final = timedelta(days=7)
"""How long dead letters stay at most, and where the ACL says nothing; members, who do not have the
ACL, keep keys for as long."""
_MIN_RETIRE_SLACK = timedelta(seconds=2)


def _seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


@dataclass(frozen=True, slots=True)
class Profile:
    """All durations of one deployment.

    Attributes:
        name: What people call it; printed in verdicts.
        ca_period: Distance of CA epoch starts.
        ca_validity: Life of an intermediate, counted from its epoch's start.
        ca_lead: How long before its start an epoch is prepared.
        leaf_validity: Life of a leaf certificate.
        renewal_window: Longest spread of leaf renewals after an activation.
        ldm_deadline: How long a drained connection may take to move. Nothing drains yet; it stays
            because it is a field that people may have set.
        key_period: Distance of key epoch starts (topic and signing keys).
        key_validity: How long keys are accepted, from their epoch's start.
        key_lead: How long before its start a key epoch's material is held by everybody.
        key_refresh: How long after a boundary a member refreshes its bundle.
        clock_skew: Accepted disagreement of clocks.
        retry_limit: How late after signing a sender may still publish.
        secret_id_agents: Renewal interval of the agents' secret-ids.
        secret_id_services: Renewal interval of the services' secret-ids.
    """

    name: str
    ca_period: timedelta
    ca_validity: timedelta
    ca_lead: timedelta
    leaf_validity: timedelta
    renewal_window: timedelta
    ldm_deadline: timedelta
    key_period: timedelta
    key_validity: timedelta
    key_lead: timedelta
    key_refresh: timedelta
    clock_skew: timedelta
    secret_id_agents: timedelta
    secret_id_services: timedelta
    retry_limit: timedelta = field(default=timedelta(seconds=20))

    @property
    def ca_schedule(self) -> EpochSchedule:
        """Epochs of the intermediate CA."""
        return EpochSchedule(self.ca_period, self.ca_validity)

    @property
    def key_schedule(self) -> EpochSchedule:
        """Epochs of topic and signing keys."""
        return EpochSchedule(self.key_period, self.key_validity)

    @property
    def not_before_backdate(self) -> timedelta:
        """How far a certificate's ``notBefore`` lies before its issue: skew plus one minute."""
        return self.clock_skew + timedelta(minutes=1)

    @property
    def retire_margin(self) -> timedelta:
        """How long before an issuer's end it must be retired."""
        return max(self.ca_period / 4, self.clock_skew + _MIN_RETIRE_SLACK)

    def check(self) -> Profile:
        """Return self when every rule holds.

        Raises:
            ConfigError: One line per broken rule, naming the fields.
        """
        problems: list[str] = []

        def rule(holds: bool, text: str) -> None:
            if not holds:
                problems.append(f"profile {self.name!r}: {text}")

        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, timedelta) and value <= timedelta(0):
                problems.append(f"profile {self.name!r}: {entry.name} must be positive")
        if problems:
            raise ConfigError(problems)
        rule(self.ca_validity >= 4 * self.ca_period, "ca_validity must be at least 4 * ca_period")
        rule(
            self.ca_lead + 2 * self.clock_skew <= 2 * self.ca_period,
            "ca_lead + 2 * clock_skew must be at most 2 * ca_period",
        )
        rule(
            self.leaf_validity >= 4 * self.clock_skew,
            "leaf_validity must be at least 4 * clock_skew",
        )
        rule(
            self.ca_period + self.leaf_validity + self.retire_margin <= self.ca_validity,
            "ca_period + leaf_validity + retire margin must be at most ca_validity",
        )
        rule(
            self.ca_validity / self.ca_period + 2 <= MAX_LIVE_ISSUERS,
            f"ca_validity / ca_period + 2 must be at most {MAX_LIVE_ISSUERS} live issuers",
        )
        rule(self.key_lead < self.key_period, "key_lead must be shorter than key_period")
        rule(
            self.key_validity >= 2 * self.key_period, "key_validity must be at least 2 * key_period"
        )
        for name in ("ca_period", "key_period"):
            whole = not getattr(self, name) % timedelta(seconds=1)
            rule(whole, f"{name} must be whole seconds")
        if problems:
            raise ConfigError(problems)
        return self

    def override(self, **changes: timedelta) -> Profile:
        """Return a copy with some durations replaced, checked.

        Raises:
            ConfigError: An unknown field, or a rule is broken.
        """
        known = {entry.name for entry in fields(self)} - {"name"}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ConfigError([f"profile {self.name!r}: unknown field {name}" for name in unknown])
        return replace(self, **changes).check()  # type: ignore[arg-type]  # names were checked above


_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)

PROFILES: Final[dict[str, Profile]] = {
    "test": Profile(
        name="test",
        ca_period=20 * _MINUTE,
        ca_validity=80 * _MINUTE,
        ca_lead=5 * _MINUTE,
        leaf_validity=40 * _MINUTE,
        renewal_window=4 * _MINUTE,
        ldm_deadline=_MINUTE,
        key_period=15 * _MINUTE,
        key_validity=60 * _MINUTE,
        key_lead=5 * _MINUTE,
        key_refresh=5 * _MINUTE,
        clock_skew=10 * _MINUTE,
        secret_id_agents=5 * _MINUTE,
        secret_id_services=60 * _MINUTE,
    ),
    "production": Profile(
        name="production",
        ca_period=6 * _HOUR,
        ca_validity=24 * _HOUR,
        ca_lead=30 * _MINUTE,
        leaf_validity=8 * _HOUR,
        renewal_window=72 * _MINUTE,
        ldm_deadline=5 * _MINUTE,
        key_period=3 * _HOUR,
        key_validity=12 * _HOUR,
        key_lead=15 * _MINUTE,
        key_refresh=15 * _MINUTE,
        clock_skew=10 * _MINUTE,
        secret_id_agents=15 * _MINUTE,
        secret_id_services=60 * _MINUTE,
    ),
    "compressed": Profile(
        name="compressed",
        ca_period=_seconds(60),
        ca_validity=_seconds(240),
        ca_lead=_seconds(20),
        leaf_validity=_seconds(90),
        renewal_window=_seconds(12),
        ldm_deadline=_seconds(5),
        key_period=_seconds(30),
        key_validity=_seconds(120),
        key_lead=_seconds(10),
        key_refresh=_seconds(5),
        clock_skew=_seconds(5),
        secret_id_agents=_seconds(60),
        secret_id_services=_seconds(120),
    ),
    "burst": Profile(
        name="burst",
        ca_period=_seconds(15),
        ca_validity=_seconds(60),
        ca_lead=_seconds(5),
        leaf_validity=_seconds(30),
        renewal_window=_seconds(3),
        ldm_deadline=_seconds(2),
        key_period=_seconds(15),
        key_validity=_seconds(60),
        key_lead=_seconds(5),
        key_refresh=_seconds(2),
        clock_skew=_seconds(1),
        secret_id_agents=_seconds(60),
        secret_id_services=_seconds(60),
    ),
}

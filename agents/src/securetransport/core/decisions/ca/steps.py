"""The steps of the CA rotation. Each is one change, of the record or of the world, never of both.

The exception is :class:`Prepare`, whose result the record must keep: the intent, with the name that
key and issuer get, is in the record since :class:`Plan`, so that whatever a crash leaves in OpenBao
belongs to an intent.
"""

from __future__ import annotations

from dataclasses import dataclass

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.decisions.ca.observation import MountIssuer
from securetransport.core.decisions.ca.record import CaEpoch
from securetransport.core.formats.trust_bundle import EpochState


@dataclass(frozen=True, slots=True)
class Plan:
    """Remember that ``epoch`` shall exist, and under which name its issuer will be made."""

    epoch: EpochNumber


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make key and certificate of a planned epoch inside OpenBao, under the recorded name."""

    epoch: CaEpoch


@dataclass(frozen=True, slots=True)
class NameIssuer:
    """Give an issuer the name that its key has, and stop it signing.

    OpenBao imports an issuer without a name and with every usage; a preparation that crashed right
    after the import leaves such a one.
    """

    issuer: MountIssuer
    name: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over the issuer that a crashed preparation left complete."""

    epoch: CaEpoch
    issuer: MountIssuer


@dataclass(frozen=True, slots=True)
class RemoveIssuer:
    """Delete an issuer, and its key, that no live epoch of the record names."""

    issuer: MountIssuer


@dataclass(frozen=True, slots=True)
class SetUsage:
    """Let an issuer sign, or stop it; with ``make_default`` it also becomes the default."""

    issuer: MountIssuer
    may_issue: bool
    make_default: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """Sign and publish the TrustBundle that follows from the record."""


@dataclass(frozen=True, slots=True)
class Move:
    """Move one epoch to another state in the record.

    Attributes:
        epoch: The epoch as it is.
        state: Where it goes.
        missing: Evidence that was missing when the deadline let it pass; empty in good times.
    """

    epoch: CaEpoch
    state: EpochState
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Activate:
    """Make ``epoch`` the signing epoch; the one before becomes legacy in the same write."""

    epoch: CaEpoch
    previous: CaEpoch | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Demote:
    """Every server serves ``active``: stop the issuer before it, announce the renewal window."""

    active: CaEpoch
    missing: tuple[str, ...] = ()


Step = (
    Plan
    | Prepare
    | NameIssuer
    | Adopt
    | RemoveIssuer
    | SetUsage
    | Publish
    | Move
    | Activate
    | Demote
)

"""The leaf certificate of a member: when it is renewed, and why.

Rules, the first that applies:

1. Without a trust set there is nothing to check a leaf by: wait.
2. Without a leaf: now ("first").
3. The leaf's issuer is not in the trust set any more: now ("untrusted").
4. The wall clock says that it is over: now ("expired"). After a suspend the monotonic clock may not
   have noticed.
5. On request, as when a server asks clients of an old epoch to leave: now ("requested").
6. A renewal window is announced for a newer epoch, and this instance's instant in it is there: now
   ("window"). The instant is a fixed point of the window, by the hash of the instance id.
7. By age, on the monotonic clock since issue: at a share between 33 % and 50 % of its life, fixed
   by a hash of the instance id, so that a fleet does not renew in step ("age").
8. Not for its end or its age within a second of its issue: a wall clock that is wrong by more than
   a leaf's life would have it renewed without a pause.

Source: docs/architecture.md, "Trust".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import InstanceId
from securetransport.core.crypto.x509 import epoch_of_common_name
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.trust_bundle import RenewalWindow, TrustBundle
from securetransport.core.ports.leaf_certificates import TlsIdentity
from securetransport.core.trust import bundle as trust_rules

_EARLIEST_SHARE: Final = 0.33
_LATEST_SHARE: Final = 0.50
_HASH_STEPS: Final = 2**32
_LEAST_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class HeldLeaf:
    """A leaf with what is needed to know its age.

    Attributes:
        identity: Certificate and key.
        issued_at: Monotonic seconds when it was fetched.
        life_seconds: From then to its end.
    """

    identity: TlsIdentity
    issued_at: float
    life_seconds: float

    @property
    def epoch(self) -> EpochNumber | None:
        """CA epoch of its issuer."""
        return epoch_of_common_name(self.identity.issuer_common_name)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a member knows of its leaf.

    Attributes:
        instance: Whose leaf.
        now: Wall clock.
        monotonic: Monotonic clock, seconds.
        trust: The trust set in force.
        leaf: The one that is held.
        is_requested: Somebody asked for another one.
    """

    instance: InstanceId
    now: datetime
    monotonic: float
    trust: TrustBundle | None
    leaf: HeldLeaf | None
    is_requested: bool = False


@dataclass(frozen=True, slots=True)
class RenewLeaf:
    """Fetch a leaf.

    Attributes:
        reason: A word of the rules; a metric's label.
    """

    reason: str


def decide(seen: Observation) -> RenewLeaf | Wait:
    """Return whether a leaf is fetched now, by the rules of this module."""
    if seen.trust is None:
        return Wait(("a trust set",))
    if seen.leaf is None:
        return RenewLeaf("first")
    reason = _unusable(seen, seen.leaf, seen.trust) or _due(seen, seen.leaf, seen.trust)
    return Wait() if reason is None else RenewLeaf(reason)


def _unusable(seen: Observation, leaf: HeldLeaf, trust: TrustBundle) -> str | None:
    """Rules 3 to 5."""
    if leaf.identity.issuer_common_name not in trust_rules.names(trust):
        return "untrusted"
    if seen.now >= leaf.identity.not_after and _age(seen, leaf) >= _LEAST_SECONDS:
        return "expired"
    return "requested" if seen.is_requested else None


def _due(seen: Observation, leaf: HeldLeaf, trust: TrustBundle) -> str | None:
    """Rules 6 and 7."""
    window = trust.renewal
    is_older = window is not None and (leaf.epoch is None or leaf.epoch < window.epoch)
    if window is not None and is_older and seen.now >= renewal_instant(window, seen.instance):
        return "window"
    share = leaf.life_seconds * renewal_share(seen.instance)
    return "age" if _age(seen, leaf) >= max(share, _LEAST_SECONDS) else None


def _age(seen: Observation, leaf: HeldLeaf) -> float:
    return seen.monotonic - leaf.issued_at


def renewal_share(instance: InstanceId) -> float:
    """Return at which share of its life an instance renews its leaf, 0.33 to 0.50."""
    digest = hashlib.sha256(b"leaf renewal\x00" + instance.encode()).digest()
    spread = int.from_bytes(digest[:4], "big") / _HASH_STEPS
    return _EARLIEST_SHARE + (_LATEST_SHARE - _EARLIEST_SHARE) * spread


def renewal_instant(window: RenewalWindow, instance: InstanceId) -> datetime:
    """Return when ``instance`` renews: a fixed point of the window, by the hash of its id."""
    digest = hashlib.sha256(instance.encode()).digest()
    share = int.from_bytes(digest[:4], "big") / _HASH_STEPS
    return window.opens_at + (window.closes_at - window.opens_at) * share

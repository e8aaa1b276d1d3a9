"""The leaf certificate of this process: when it is renewed, and which one may be used.

Rules (:func:`renewal_reason`):

1. Without a leaf: now.
2. The leaf's issuer is not in the trust set any more: now.
3. A renewal window is announced for a newer epoch and this instance's instant in it has come: now.
4. Age, by the monotonic clock since issue: at a share between 33 % and 50 % of its life, fixed by a
   hash of the instance id, so that a fleet does not renew in step.
5. On request, for example when a server asks clients of an old epoch to leave.

A fetched leaf is used only when its issuer is in the trust set. Its key exists in memory only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.base.names import InstanceId
from securetransport.core.crypto.x509 import epoch_of_common_name
from securetransport.core.decisions.ca.bundle import renewal_instant
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.core.ports import LeafSource, TlsIdentity
from securetransport.core.ports.clock import Clock
from securetransport.core.trust import bundle as trust_rules
from securetransport.member.telemetry import SessionTelemetry
from securetransport.runtime.logs import get_logger

_EARLIEST_SHARE: Final = 0.33
_LATEST_SHARE: Final = 0.50


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


def renewal_share(instance: InstanceId) -> float:
    """Return at which share of its life an instance renews its leaf, 0.33 to 0.50."""
    digest = hashlib.sha256(b"leaf renewal\x00" + instance.encode()).digest()
    spread = int.from_bytes(digest[:4], "big") / 2**32
    return _EARLIEST_SHARE + (_LATEST_SHARE - _EARLIEST_SHARE) * spread


def renewal_reason(
    leaf: HeldLeaf | None,
    trust: TrustBundle,
    instance: InstanceId,
    *,
    now: datetime,
    monotonic: float,
) -> str | None:
    """Return why a leaf must be fetched now, ``None`` when it need not (rules 1 to 4)."""
    if leaf is None:
        return "first"
    if leaf.identity.issuer_common_name not in trust_rules.names(trust):
        return "untrusted"
    window = trust.renewal
    if window is not None:
        is_older = leaf.epoch is None or leaf.epoch < window.epoch
        if is_older and now >= renewal_instant(window, instance):
            return "window"
    if monotonic - leaf.issued_at >= leaf.life_seconds * renewal_share(instance):
        return "age"
    return None


class LeafHolder:
    """Holds the newest usable leaf.

    Args:
        source: Of leaf certificates.
        instance: Whose.
        longest: Life to ask for, unless the issuer ends before.
        clock: Wall time of its end, monotonic time of its age.
        telemetry: Counts renewals.

    Attributes:
        held: The newest leaf, ``None`` before the first.
    """

    def __init__(
        self,
        source: LeafSource,
        instance: InstanceId,
        longest: timedelta,
        clock: Clock,
        telemetry: SessionTelemetry,
    ) -> None:
        self._source = source
        self._longest = longest
        self._instance = instance
        self._clock = clock
        self._telemetry = telemetry
        self._is_requested = False
        self._log = get_logger(kind="leaf")
        self.held: HeldLeaf | None = None

    def request_renewal(self) -> None:
        """Renew in the next round whatever the age (rule 5)."""
        self._is_requested = True

    async def reconcile(self, trust: TrustBundle) -> bool:
        """Fetch a leaf if one is due; tells whether ``held`` is a new one.

        Raises:
            SecretStoreUnavailableError: OpenBao did not sign; the leaf in hand stays.
            RejectedDocumentError: Its issuer is not in the trust set; the leaf in hand stays.
        """
        clock = self._clock
        self._report_age()
        reason = renewal_reason(
            self.held, trust, self._instance, now=clock.now(), monotonic=clock.monotonic()
        ) or ("requested" if self._is_requested else None)
        if reason is None:
            return False
        try:
            life = trust_rules.fitting_ttl(self._longest, trust, clock.now())
            identity = await self._source.issue(life)
            if identity.issuer_common_name not in trust_rules.names(trust):
                raise RejectedDocumentError(
                    "leaf is from an issuer outside the trust set",
                    issuer=identity.issuer_common_name,
                )
        except SecureTransportError:
            self._telemetry.leaf_certificates.labels(reason, "failed").inc()
            raise
        seconds = (identity.not_after - clock.now()).total_seconds()
        self.held = HeldLeaf(identity, clock.monotonic(), seconds)
        self._is_requested = False
        self._telemetry.leaf_certificates.labels(reason, "done").inc()
        self._log.info(
            "leaf_renewed",
            reason=reason,
            epoch=self.held.epoch,
            fingerprint=identity.fingerprint[:16],
            seconds=round(seconds),
        )
        return True

    def _report_age(self) -> None:
        if self.held is not None:
            left = self.held.identity.not_after - self._clock.now()
            self._telemetry.leaf_seconds_left.set(left.total_seconds())

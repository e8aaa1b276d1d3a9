"""The leaf certificate of this process; ``core.decisions.member.leaf`` says when it is renewed.

A fetched leaf is used only when its issuer is in the trust set. Its key exists in memory only.
"""

from __future__ import annotations

from datetime import timedelta

from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
from securetransport.core.base.names import InstanceId
from securetransport.core.decisions.member import leaf as rules
from securetransport.core.decisions.member.leaf import HeldLeaf, RenewLeaf
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.core.ports import LeafSource
from securetransport.core.ports.clock import Clock
from securetransport.core.trust import bundle as trust_rules
from securetransport.member.telemetry import SessionTelemetry
from securetransport.runtime.logs import get_logger


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
        self._instance = instance
        self._longest = longest
        self._clock = clock
        self._telemetry = telemetry
        self._is_requested = False
        self._log = get_logger(kind="leaf")
        self.held: HeldLeaf | None = None

    @property
    def is_over(self) -> bool:
        """Whether a leaf is held and has ended."""
        return self.held is not None and self._clock.now() >= self.held.identity.not_after

    def request_renewal(self) -> None:
        """Renew in the next round whatever the age."""
        self._is_requested = True

    async def reconcile(self, trust: TrustBundle | None) -> bool:
        """Fetch a leaf if one is due; tells whether ``held`` is a new one.

        Raises:
            SecretStoreUnavailableError: OpenBao did not sign; the leaf that is held stays.
            RejectedDocumentError: Its issuer is not in the trust set; the leaf that is held stays.
        """
        self._report_age()
        step = rules.decide(self._observe(trust))
        if isinstance(step, Wait) or trust is None:
            return False
        await self._renew(step, trust)
        return True

    def _observe(self, trust: TrustBundle | None) -> rules.Observation:
        return rules.Observation(
            instance=self._instance,
            now=self._clock.now(),
            monotonic=self._clock.monotonic(),
            trust=trust,
            leaf=self.held,
            is_requested=self._is_requested,
        )

    async def _renew(self, step: RenewLeaf, trust: TrustBundle) -> None:
        clock, counter = self._clock, self._telemetry.leaf_certificates
        try:
            life = trust_rules.fitting_ttl(self._longest, trust, clock.now())
            identity = await self._source.issue(life)
            if identity.issuer_common_name not in trust_rules.names(trust):
                raise RejectedDocumentError(
                    "leaf is from an issuer outside the trust set",
                    issuer=identity.issuer_common_name,
                )
        except SecureTransportError:
            counter.labels(step.reason, "failed").inc()
            raise
        seconds = (identity.not_after - clock.now()).total_seconds()
        self.held = HeldLeaf(identity, clock.monotonic(), seconds)
        self._is_requested = False
        counter.labels(step.reason, "done").inc()
        self._log.info(
            "leaf_renewed",
            reason=step.reason,
            epoch=self.held.epoch,
            fingerprint=identity.fingerprint[:16],
            seconds=round(seconds),
        )

    def _report_age(self) -> None:
        if self.held is not None:
            left = self.held.identity.not_after - self._clock.now()
            self._telemetry.leaf_seconds_left.set(left.total_seconds())

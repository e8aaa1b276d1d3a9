from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RejectedDocumentError, SecretStoreUnavailableError
from securetransport.core.base.names import InstanceId
from securetransport.core.formats.trust_bundle import RenewalWindow, TrustBundle
from securetransport.core.ports import TlsIdentity
from securetransport.core.trust.bundle import fitting_ttl
from securetransport.member.leaf import LeafHolder
from securetransport.member.telemetry import SessionTelemetry
from securetransport.testing import FakeClock, an_issuer, trust_bundle

ME = InstanceId("gatekeeper/1")
LIFE = 100.0


def bundle(*epochs: int, window: RenewalWindow | None = None) -> TrustBundle:
    made = trust_bundle([an_issuer(epoch) for epoch in epochs])
    return made.model_copy(update={"active": EpochNumber(epochs[-1]), "renewal": window})


def identity(epoch: int, not_after: datetime) -> TlsIdentity:
    return TlsIdentity(
        certificate="",
        private_key="",
        fingerprint=f"leaf of {epoch}",
        issuer_common_name=an_issuer(epoch).common_name,
        not_before=not_after,
        not_after=not_after,
    )


def test_asked_life_ends_before_the_issuer_does() -> None:
    clock = FakeClock()
    end = clock.now() + timedelta(seconds=30)
    trust = trust_bundle([an_issuer(1, not_after=end)]).model_copy(
        update={"active": EpochNumber(1)}
    )
    assert fitting_ttl(timedelta(seconds=20), trust, clock.now()) == timedelta(seconds=20)
    assert fitting_ttl(timedelta(seconds=90), trust, clock.now()) == timedelta(seconds=28)


class Source:
    """Leaf certificates as told, in order."""

    def __init__(self, *results: TlsIdentity | Exception) -> None:
        self.results = list(results)
        self.asked: list[timedelta] = []

    async def issue(self, life: timedelta) -> TlsIdentity:
        self.asked.append(life)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def holder(source: Source, clock: FakeClock) -> LeafHolder:
    longest = timedelta(seconds=LIFE)
    return LeafHolder(source, ME, longest, clock, SessionTelemetry(CollectorRegistry()))


async def test_leaf_from_an_issuer_outside_the_trust_set_is_refused_and_the_old_stays() -> None:
    clock = FakeClock()
    end = clock.now() + timedelta(seconds=LIFE)
    leaf_holder = holder(Source(identity(1, end), identity(9, end)), clock)
    assert await leaf_holder.reconcile(bundle(1))
    first = leaf_holder.held
    leaf_holder.request_renewal()
    with pytest.raises(RejectedDocumentError):
        await leaf_holder.reconcile(bundle(1))
    assert leaf_holder.held is first


async def test_request_is_repeated_until_a_leaf_came() -> None:
    clock = FakeClock()
    end = clock.now() + timedelta(seconds=LIFE)
    away = SecretStoreUnavailableError("away")
    leaf_holder = holder(Source(identity(1, end), away, identity(1, end)), clock)
    await leaf_holder.reconcile(bundle(1))
    leaf_holder.request_renewal()
    with pytest.raises(SecretStoreUnavailableError):
        await leaf_holder.reconcile(bundle(1))
    assert await leaf_holder.reconcile(bundle(1))
    assert not await leaf_holder.reconcile(bundle(1))

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
from securetransport.member.leaf import HeldLeaf, LeafHolder, renewal_reason, renewal_share
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


def held(epoch: int, clock: FakeClock) -> HeldLeaf:
    end = clock.now() + timedelta(seconds=LIFE)
    return HeldLeaf(identity(epoch, end), clock.monotonic(), LIFE)


def reason(leaf: HeldLeaf | None, trust: TrustBundle, clock: FakeClock) -> str | None:
    return renewal_reason(leaf, trust, ME, now=clock.now(), monotonic=clock.monotonic())


def test_without_a_leaf_one_is_fetched() -> None:
    assert reason(None, bundle(1), FakeClock()) == "first"


def test_young_leaf_of_a_trusted_issuer_stays() -> None:
    clock = FakeClock()
    assert reason(held(1, clock), bundle(1), clock) is None


def test_leaf_is_renewed_between_a_third_and_half_of_its_life() -> None:
    clock = FakeClock()
    leaf = held(1, clock)
    clock.advance(LIFE * 0.329)
    assert reason(leaf, bundle(1), clock) is None
    clock.advance(LIFE * 0.172)
    assert reason(leaf, bundle(1), clock) == "age"


def test_shares_of_instances_differ_and_stay_in_range() -> None:
    shares = {renewal_share(InstanceId(f"gatekeeper/{number}")) for number in range(200)}
    assert len(shares) > 190
    assert min(shares) >= 0.33
    assert max(shares) <= 0.50


def test_wall_clock_jump_does_not_age_a_leaf() -> None:
    clock = FakeClock()
    leaf = held(1, clock)
    clock.jump(timedelta(hours=5))
    assert reason(leaf, bundle(1), clock) is None


def test_leaf_of_an_issuer_that_left_the_trust_set_is_replaced() -> None:
    clock = FakeClock()
    assert reason(held(1, clock), bundle(2, 3), clock) == "untrusted"


def test_announced_window_moves_to_the_newer_epoch_before_age_does() -> None:
    clock = FakeClock()
    window = RenewalWindow(
        epoch=EpochNumber(2),
        opens_at=clock.now(),
        closes_at=clock.now() + timedelta(seconds=10),
    )
    leaf = held(1, clock)
    clock.advance(10)
    assert reason(leaf, bundle(1, 2, window=window), clock) == "window"
    assert reason(held(2, clock), bundle(1, 2, window=window), clock) is None


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

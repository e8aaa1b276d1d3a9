"""Rules of ``core.decisions.member.leaf``, one test or more for each."""

from __future__ import annotations

from datetime import datetime, timedelta

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import InstanceId
from securetransport.core.decisions.member.leaf import (
    HeldLeaf,
    Observation,
    RenewLeaf,
    decide,
    renewal_instant,
    renewal_share,
)
from securetransport.core.formats.trust_bundle import RenewalWindow, TrustBundle
from securetransport.core.ports import TlsIdentity
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


def held(epoch: int, clock: FakeClock, life: float = LIFE) -> HeldLeaf:
    end = clock.now() + timedelta(seconds=life)
    return HeldLeaf(identity(epoch, end), clock.monotonic(), life)


def reason(
    leaf: HeldLeaf | None,
    trust: TrustBundle | None,
    clock: FakeClock,
    *,
    is_requested: bool = False,
) -> str | None:
    step = decide(Observation(ME, clock.now(), clock.monotonic(), trust, leaf, is_requested))
    return step.reason if isinstance(step, RenewLeaf) else None


def test_without_a_trust_set_nothing_is_fetched() -> None:  # rule 1
    assert reason(None, None, FakeClock()) is None


def test_without_a_leaf_one_is_fetched() -> None:  # rule 2
    assert reason(None, bundle(1), FakeClock()) == "first"


def test_young_leaf_of_a_trusted_issuer_stays() -> None:
    clock = FakeClock()
    assert reason(held(1, clock), bundle(1), clock) is None


def test_leaf_of_an_issuer_that_left_the_trust_set_is_replaced() -> None:  # rule 3
    clock = FakeClock()
    assert reason(held(1, clock), bundle(2, 3), clock) == "untrusted"


def test_leaf_that_ended_during_a_suspend_is_replaced() -> None:  # rule 4
    clock = FakeClock()
    leaf = held(1, clock)
    clock.advance(2)
    clock.jump(timedelta(seconds=LIFE))  # the monotonic clock stood still
    assert reason(leaf, bundle(1), clock) == "expired"


def test_wall_clock_jump_within_its_life_does_not_age_a_leaf() -> None:
    clock = FakeClock()
    leaf = held(1, clock)
    clock.jump(timedelta(seconds=LIFE - 1))
    assert reason(leaf, bundle(1), clock) is None


def test_leaf_is_replaced_on_request() -> None:  # rule 5
    clock = FakeClock()
    assert reason(held(1, clock), bundle(1), clock, is_requested=True) == "requested"


def test_announced_window_moves_to_the_newer_epoch_before_age_does() -> None:  # rule 6
    clock = FakeClock()
    window = RenewalWindow(
        epoch=EpochNumber(2),
        opens_at=clock.now(),
        closes_at=clock.now() + timedelta(seconds=10),
    )
    leaf = held(1, clock)
    trust = bundle(1, 2, window=window)
    clock.advance((renewal_instant(window, ME) - clock.now()).total_seconds() - 0.01)
    assert reason(leaf, trust, clock) is None
    clock.advance(0.02)
    assert reason(leaf, trust, clock) == "window"
    assert reason(held(2, clock), trust, clock) is None


def test_leaf_is_renewed_by_age_while_a_window_lies_ahead() -> None:
    clock = FakeClock()
    opens = clock.now() + timedelta(seconds=LIFE)
    window = RenewalWindow(epoch=EpochNumber(2), opens_at=opens, closes_at=opens)
    leaf = held(1, clock)
    clock.advance(LIFE * 0.51)
    assert reason(leaf, bundle(1, 2, window=window), clock) == "age"


def test_leaf_is_renewed_between_a_third_and_half_of_its_life() -> None:  # rule 7
    clock = FakeClock()
    leaf = held(1, clock)
    clock.advance(LIFE * 0.329)
    assert reason(leaf, bundle(1), clock) is None
    clock.advance(LIFE * 0.172)
    assert reason(leaf, bundle(1), clock) == "age"


def test_shares_of_instances_differ_and_stay_in_range() -> None:  # rule 7
    shares = {renewal_share(InstanceId(f"gatekeeper/{number}")) for number in range(200)}
    assert len(shares) > 190
    assert min(shares) >= 0.33
    assert max(shares) <= 0.50


def test_wrong_wall_clock_does_not_renew_without_a_pause() -> None:  # rule 8
    clock = FakeClock()
    leaf = held(1, clock, life=-3600.0)
    assert reason(leaf, bundle(1), clock) is None
    clock.advance(1)
    assert reason(leaf, bundle(1), clock) == "expired"

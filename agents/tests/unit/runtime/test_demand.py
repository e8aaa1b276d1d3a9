"""Rules of ``runtime.demand``."""

from __future__ import annotations

from securetransport.runtime.demand import Demand


def test_nothing_is_demanded_at_first() -> None:
    assert not Demand().is_open


def test_try_that_fails_leaves_the_demand_open() -> None:
    demand = Demand()
    demand.make()
    demand.begin()
    assert demand.is_open


def test_try_that_succeeds_ends_what_it_began_after() -> None:
    demand = Demand()
    demand.make()
    demand.make()
    demand.serve(demand.begin())
    assert not demand.is_open


def test_demand_that_comes_during_a_try_is_not_lost() -> None:
    demand = Demand()
    demand.make()
    began = demand.begin()
    demand.make()
    demand.serve(began)
    assert demand.is_open


def test_older_try_that_ends_late_opens_nothing_again() -> None:
    demand = Demand()
    demand.make()
    early = demand.begin()
    demand.make()
    demand.serve(demand.begin())
    demand.serve(early)
    assert not demand.is_open

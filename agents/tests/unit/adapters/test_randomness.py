"""Randomness: the contract on this machine and on the fake, and that the fake repeats itself."""

from __future__ import annotations

import pytest

from securetransport.adapters.system import SystemRandomness
from securetransport.core.ports import Randomness
from securetransport.testing import FakeRandomness


@pytest.fixture(params=["fake", "system"])
def randomness(request: pytest.FixtureRequest) -> Randomness:
    return FakeRandomness() if request.param == "fake" else SystemRandomness()


@pytest.mark.parametrize("count", [0, 1, 16, 32])
def test_as_many_bytes_as_asked_for(randomness: Randomness, count: int) -> None:
    assert len(randomness.token_bytes(count)) == count


def test_no_draw_is_drawn_again(randomness: Randomness) -> None:
    assert len({randomness.token_bytes(16) for _ in range(1000)}) == 1000


def test_numbers_fill_the_range_and_do_not_leave_it(randomness: Randomness) -> None:
    drawn = [randomness.uniform(-1.0, 3.0) for _ in range(1000)]
    assert -1.0 <= min(drawn) < -0.9
    assert 2.9 < max(drawn) <= 3.0


def test_range_of_one_number_is_that_number(randomness: Randomness) -> None:
    assert randomness.uniform(2.0, 2.0) == 2.0


def test_fake_is_the_same_in_every_run() -> None:
    one, other = FakeRandomness(7), FakeRandomness(7)
    assert one.token_bytes(8) == other.token_bytes(8)
    assert one.uniform(0, 1) == other.uniform(0, 1)
    assert one.token_bytes(8) != FakeRandomness(8).token_bytes(8)

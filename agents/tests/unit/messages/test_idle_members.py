"""The budget of a member with nothing to do, and that it does not grow with the others."""

from __future__ import annotations

import pytest

from idle_members import requests_per_minute

pytestmark = [pytest.mark.virtual_time, pytest.mark.long]
BUDGET = 2.0


async def test_idle_member_asks_openbao_at_most_twice_a_minute_however_many_there_are() -> None:
    few, _ = await requests_per_minute(2, minutes=13)
    many, _ = await requests_per_minute(5, minutes=13)
    assert few <= BUDGET
    assert many <= 1.3 * few

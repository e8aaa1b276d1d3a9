"""When OpenBao is asked for what the bus tells: seldom, but whenever the bus does not tell."""

from __future__ import annotations

from datetime import timedelta

import pytest

from securetransport.core.base.names import InstanceId
from securetransport.core.base.profile import PROFILES
from securetransport.core.decisions.member.refresh import Observation, is_store_due, repair_every

EVERY = timedelta(seconds=600)
ONE = InstanceId("gatekeeper/1")


@pytest.mark.parametrize(
    ("seen", "is_due"),
    [
        (Observation(has_bus_told=True, since_store_seconds=None), True),
        (Observation(has_bus_told=True, since_store_seconds=1, is_demanded=True), True),
        (Observation(has_bus_told=False, since_store_seconds=0), True),
        (Observation(has_bus_told=True, since_store_seconds=599.9), False),
        (Observation(has_bus_told=True, since_store_seconds=600), True),
    ],
)
def test_each_rule(seen: Observation, *, is_due: bool) -> None:
    assert is_store_due(seen, EVERY) is is_due


def test_members_do_not_ask_at_the_same_time() -> None:
    distances = {repair_every(timedelta(hours=3), InstanceId(f"gatekeeper/{n}")) for n in range(50)}
    assert len(distances) > 30
    assert min(distances) >= timedelta(minutes=7.5)
    assert max(distances) <= timedelta(minutes=12.5)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_lost_announcement_is_repaired_within_the_lead(profile: object) -> None:
    assert isinstance(profile, type(PROFILES["test"]))
    assert repair_every(profile.ca_period, ONE) < profile.ca_lead
    assert repair_every(profile.key_period, ONE) < profile.key_lead

"""The rules of core.decisions.topic_keys: which keys must exist, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Topic
from securetransport.core.base.profile import PROFILES
from securetransport.core.decisions.topic_keys import (
    Destroyed,
    DestroyKey,
    MakeKey,
    Observation,
    decide,
    first_generation,
    is_any_overdue,
    wanted_epochs,
)
from securetransport.core.decisions.wait import Wait

PROFILE = PROFILES["compressed"]  # period 30 s, validity 120 s, lead 10 s
SCHEDULE = PROFILE.key_schedule
SECOND = timedelta(seconds=1)
CURRENT = SCHEDULE.number_at(datetime(2026, 1, 1, tzinfo=UTC))
START = SCHEDULE.start_of(CURRENT)
WAIT = timedelta(minutes=5)
TOPICS = frozenset({Topic("auth.a"), Topic("auth.b")})


def run(seen: Observation) -> tuple[Observation, list[object]]:
    """Carry out every step; returns the settled observation and the steps."""
    steps: list[object] = []
    while not isinstance(step := decide(seen, PROFILE), Wait):
        steps.append(step)
        key = (step.topic, step.epoch)
        held = seen.held | {key} if isinstance(step, MakeKey) else seen.held - {key}
        seen = replace(seen, held=held)
        assert len(steps) < 200
    return seen, steps


def settled(now: datetime = START) -> Observation:
    return run(Observation(now, TOPICS, frozenset(), WAIT))[0]


@pytest.mark.parametrize(
    ("after_start", "newest"),
    [(0, CURRENT), (19.999, CURRENT), (20, CURRENT + 1), (29.999, CURRENT + 1)],
)
def test_the_next_epoch_has_keys_from_its_lead_on(after_start: float, newest: int) -> None:
    """Rule 2."""
    found = wanted_epochs(PROFILE, START + timedelta(seconds=after_start))
    assert found[-1] == newest
    assert found[:-1] == tuple(range(CURRENT - 3, newest))


@given(
    name=st.sampled_from(sorted(PROFILES)),
    seconds=st.integers(min_value=0, max_value=4_000_000_000),
)
def test_every_valid_epoch_is_wanted_in_every_profile(name: str, seconds: int) -> None:
    """Rule 2: nothing that is valid now lacks a key, and at most one more has one."""
    profile = PROFILES[name]
    now = datetime(1980, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    valid = tuple(profile.key_schedule.valid_at(now))
    found = wanted_epochs(profile, now)
    assert found[: len(valid)] == valid
    assert len(found) - len(valid) in {0, 1}
    assert list(found) == sorted(found)


def test_missing_keys_are_made_oldest_epoch_first() -> None:
    """Rule 2."""
    _, steps = run(Observation(START, TOPICS, frozenset(), WAIT))
    assert all(isinstance(step, MakeKey) for step in steps)
    epochs = [step.epoch for step in steps if isinstance(step, MakeKey)]
    assert epochs == sorted(epochs)
    assert len(steps) == len(TOPICS) * 4


def test_a_new_topic_gets_its_keys_and_nothing_else_changes() -> None:
    seen = settled()
    more = replace(seen, topics=TOPICS | {Topic("auth.c")})
    _, steps = run(more)
    assert {step.topic for step in steps if isinstance(step, MakeKey)} == {"auth.c"}


def test_a_key_lives_until_no_message_can_be_waiting() -> None:
    """Rule 3, also for a topic that left the ACL."""
    oldest = EpochNumber(CURRENT - 3)
    end = SCHEDULE.expiry_of(oldest) + WAIT
    held = frozenset({(Topic("auth.gone"), oldest)})
    before = settled(end - SECOND)
    assert decide(replace(before, held=before.held | held), PROFILE) == Wait(until=end)
    after = settled(end)
    late = replace(after, held=after.held | held)
    assert is_any_overdue(late, PROFILE)
    assert isinstance(decide(late, PROFILE), Wait), "the time is not agreed"
    early = decide(replace(late, agreed_at=end - SECOND), PROFILE)
    assert isinstance(early, Wait)
    assert early.until > end
    step = decide(replace(late, agreed_at=end), PROFILE)
    assert step == DestroyKey(Topic("auth.gone"), oldest)


def test_what_must_exist_comes_before_what_may_go() -> None:
    """Rule 3."""
    held = frozenset({(Topic("auth.a"), EpochNumber(1))})
    seen = Observation(START, TOPICS, held, WAIT, agreed_at=START)
    _, steps = run(seen)
    assert isinstance(steps[-1], DestroyKey)
    assert all(isinstance(step, MakeKey) for step in steps[:-1])


def test_a_settled_authority_waits_until_the_next_lead() -> None:
    lead = SCHEDULE.start_of(EpochNumber(CURRENT + 1)) - PROFILE.key_lead
    assert decide(settled(), PROFILE) == Wait(until=lead)
    in_lead = decide(settled(lead), PROFILE)
    assert in_lead == Wait(until=lead + PROFILE.key_period)


def test_a_generation_is_never_used_twice() -> None:
    """Rule 5."""
    assert first_generation(None, CURRENT) == 0
    destroyed = Destroyed(CURRENT, 0).with_key(CURRENT, 0)
    assert first_generation(destroyed, CURRENT) == 1
    assert first_generation(destroyed, EpochNumber(CURRENT - 5)) == 1
    assert first_generation(destroyed, EpochNumber(CURRENT + 1)) == 0
    older = destroyed.with_key(EpochNumber(CURRENT - 1), 3)
    assert older == Destroyed(CURRENT, 4)

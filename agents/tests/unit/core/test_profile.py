"""The rules between the constants: every shipped profile keeps them, every breach is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base.errors import ConfigError
from securetransport.core.base.profile import MAX_LIVE_ISSUERS, PROFILES, Profile

BASE = PROFILES["compressed"]


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_shipped_profile_keeps_the_rules(profile: Profile) -> None:
    assert profile.check() is profile
    assert PROFILES[profile.name] is profile


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@given(
    at=st.datetimes(
        min_value=datetime(2020, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
        max_value=datetime(8999, 1, 1),  # noqa: DTZ001  # later, epochs end with the calendar
        timezones=st.just(UTC),
    )
)
def test_three_legacy_epochs_and_the_active_one_are_valid_at_any_time(
    profile: Profile, at: datetime
) -> None:
    valid = profile.ca_schedule.valid_at(at)
    assert 4 <= len(valid) <= MAX_LIVE_ISSUERS - 2


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_leaf_of_the_active_issuer_ends_before_its_issuer_must_be_retired(
    profile: Profile,
) -> None:
    issued_last = profile.ca_period
    assert issued_last + profile.leaf_validity <= profile.ca_validity - profile.retire_margin


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ca_validity": seconds(239)}, ("ca_validity", "ca_period")),
        ({"ca_lead": seconds(111)}, ("ca_lead", "clock_skew", "ca_period")),
        ({"leaf_validity": seconds(19)}, ("leaf_validity", "clock_skew")),
        ({"leaf_validity": seconds(170)}, ("leaf_validity", "ca_validity")),
        ({"ca_validity": seconds(301)}, ("ca_validity", "ca_period", "live issuers")),
        ({"key_lead": seconds(30)}, ("key_lead", "key_period")),
        ({"key_validity": seconds(59)}, ("key_validity", "key_period")),
        ({"key_period": seconds(20.5)}, ("key_period", "whole seconds")),
        ({"clock_skew": seconds(0)}, ("clock_skew", "positive")),
        ({"renewal_window": seconds(-1)}, ("renewal_window", "positive")),
    ],
)
def test_a_broken_rule_is_refused_and_names_the_fields(
    changes: dict[str, timedelta], named: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as refused:
        BASE.override(**changes)
    text = str(refused.value)
    assert "profile 'compressed'" in text
    assert all(word in text for word in named)


def test_all_broken_rules_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        BASE.override(ca_validity=seconds(200), key_lead=seconds(40))
    assert len(refused.value.problems) >= 2


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="unknown field ca_perod"):
        BASE.override(ca_perod=seconds(60))
    with pytest.raises(ConfigError, match="unknown field name"):
        BASE.override(name=seconds(60))


def test_an_override_leaves_the_original_alone() -> None:
    changed = BASE.override(ldm_deadline=seconds(6))
    assert changed.ldm_deadline == seconds(6)
    assert BASE.ldm_deadline == seconds(5)


def test_margins_follow_period_and_skew() -> None:
    assert BASE.retire_margin == seconds(15)
    assert PROFILES["burst"].retire_margin == seconds(3.75)
    assert PROFILES["test"].retire_margin == seconds(602)
    assert BASE.not_before_backdate == seconds(65)


@given(
    st.builds(
        dict,
        ca_period=st.integers(1, 100).map(seconds),
        ca_validity=st.integers(1, 700).map(seconds),
        ca_lead=st.integers(1, 200).map(seconds),
        leaf_validity=st.integers(1, 400).map(seconds),
        clock_skew=st.integers(1, 20).map(seconds),
        key_period=st.integers(1, 60).map(seconds),
        key_validity=st.integers(1, 200).map(seconds),
        key_lead=st.integers(1, 60).map(seconds),
    )
)
def test_whatever_the_check_accepts_keeps_the_rules(changes: dict[str, timedelta]) -> None:
    try:
        profile = BASE.override(**changes)
    except ConfigError:
        return
    assert profile.ca_validity >= 4 * profile.ca_period
    assert profile.ca_lead + 2 * profile.clock_skew <= 2 * profile.ca_period
    assert profile.leaf_validity / 2 >= 2 * profile.clock_skew
    assert profile.ca_period + profile.leaf_validity + profile.retire_margin <= profile.ca_validity
    assert profile.ca_validity <= (MAX_LIVE_ISSUERS - 2) * profile.ca_period
    assert profile.key_lead < profile.key_period <= profile.key_validity / 2

"""Rules of ``core.decisions.member.publishing``, one by one and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from securetransport.core.base.epochs import EpochNumber, EpochSchedule
from securetransport.core.decisions.member.publishing import (
    Material,
    MayNotPublish,
    MayPublish,
    Obstacle,
    OwnKey,
    TopicMaterial,
    decide,
    identity_obstacle,
    not_ready,
)

SCHEDULE = EpochSchedule(timedelta(seconds=30), timedelta(seconds=120))
SKEW = timedelta(seconds=5)
NOW = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
EPOCH = SCHEDULE.number_at(NOW)
LATER = NOW + timedelta(hours=1)


def epoch(distance: int) -> EpochNumber:
    return EpochNumber(EPOCH + distance)


OWN = Material(
    now=NOW, bundle_ends_at=LATER, leaf_ends_at=LATER, signing_keys=(OwnKey(EPOCH, True),)
)
TOPIC = TopicMaterial(may_produce=True, key_epochs=frozenset({EPOCH}), is_rule_listed=True)


def judge(own: Material = OWN, topic: TopicMaterial | None = TOPIC) -> MayPublish | MayNotPublish:
    return decide(own, topic, SCHEDULE, SKEW)


def test_whole_material_may_publish_until_the_first_of_it_ends() -> None:
    end = SCHEDULE.expiry_of(EPOCH)
    assert judge() == MayPublish(end - SKEW, EPOCH)
    soon = NOW + timedelta(seconds=1)
    assert judge(replace(OWN, leaf_ends_at=soon)) == MayPublish(soon, EPOCH)
    assert judge(replace(OWN, bundle_ends_at=soon)) == MayPublish(soon, EPOCH)


@pytest.mark.parametrize(
    ("own", "topic", "obstacle"),
    [
        (replace(OWN, bundle_ends_at=None), TOPIC, Obstacle.NO_BUNDLE),
        (replace(OWN, bundle_ends_at=NOW), TOPIC, Obstacle.BUNDLE_ENDED),
        (replace(OWN, is_denied=True), TOPIC, Obstacle.DENIED),
        (OWN, None, Obstacle.NO_RIGHT),
        (OWN, replace(TOPIC, may_produce=False), Obstacle.NO_RIGHT),
        (OWN, replace(TOPIC, is_rule_listed=False), Obstacle.RULE_NOT_LISTED),
        (replace(OWN, leaf_ends_at=None), TOPIC, Obstacle.NO_LEAF),
        (replace(OWN, leaf_ends_at=NOW), TOPIC, Obstacle.LEAF_ENDED),
        (replace(OWN, signing_keys=()), TOPIC, Obstacle.NO_SIGNING_KEY),
        (replace(OWN, signing_keys=(OwnKey(epoch(-4), True),)), TOPIC, Obstacle.NO_SIGNING_KEY),
        (replace(OWN, signing_keys=(OwnKey(epoch(1), True),)), TOPIC, Obstacle.NO_SIGNING_KEY),
        (replace(OWN, signing_keys=(OwnKey(EPOCH, False),)), TOPIC, Obstacle.KEY_NOT_LISTED),
        (replace(OWN, signing_keys=(OwnKey(EPOCH, True, True),)), TOPIC, Obstacle.DENIED),
        (OWN, replace(TOPIC, key_epochs=frozenset()), Obstacle.NO_TOPIC_KEY),
        (OWN, replace(TOPIC, key_epochs=frozenset({epoch(1)})), Obstacle.NO_TOPIC_KEY),
        (OWN, replace(TOPIC, key_epochs=frozenset({epoch(-4)})), Obstacle.NO_TOPIC_KEY),
    ],
)
def test_each_broken_rule_is_an_obstacle(
    own: Material, topic: TopicMaterial | None, obstacle: Obstacle
) -> None:
    assert judge(own, topic) == MayNotPublish(obstacle)


def test_directory_that_is_older_than_the_bundle_says_nothing_of_its_rules() -> None:
    assert isinstance(judge(topic=replace(TOPIC, is_rule_listed=None)), MayPublish)


def test_end_is_exact_and_needs_no_call() -> None:
    verdict = judge()
    assert isinstance(verdict, MayPublish)
    instant = timedelta(microseconds=1)
    assert isinstance(judge(replace(OWN, now=verdict.until - instant)), MayPublish)
    assert isinstance(judge(replace(OWN, now=verdict.until)), MayNotPublish)


def test_key_of_the_coming_epoch_moves_the_end() -> None:
    keys = (OwnKey(EPOCH, True), OwnKey(epoch(1), True))
    topic = replace(TOPIC, key_epochs=frozenset({EPOCH, epoch(1)}))
    assert judge(replace(OWN, signing_keys=keys), topic) == MayPublish(
        SCHEDULE.expiry_of(epoch(1)) - SKEW, EPOCH
    )
    unlisted = (OwnKey(EPOCH, True), OwnKey(epoch(1), False))
    assert judge(replace(OWN, signing_keys=unlisted), topic) == MayPublish(
        SCHEDULE.expiry_of(EPOCH), EPOCH
    )


def test_key_beyond_a_gap_does_not_move_the_end() -> None:
    keys = (OwnKey(EPOCH, True), OwnKey(epoch(5), True))
    assert judge(replace(OWN, signing_keys=keys)) == MayPublish(
        SCHEDULE.expiry_of(EPOCH) - SKEW, EPOCH
    )


def test_newest_started_key_signs() -> None:
    keys = tuple(OwnKey(epoch(distance), True) for distance in (-1, 0, 1))
    verdict = judge(replace(OWN, signing_keys=keys))
    assert isinstance(verdict, MayPublish)
    assert verdict.signing_epoch == EPOCH
    denied = (OwnKey(epoch(-1), True), OwnKey(EPOCH, True, True))
    verdict = judge(replace(OWN, signing_keys=denied))
    assert isinstance(verdict, MayPublish)
    assert verdict.signing_epoch == epoch(-1)


def test_what_lasts_is_told_from_what_passes() -> None:
    assert {one for one in Obstacle if one.is_lasting} == {Obstacle.DENIED, Obstacle.NO_RIGHT}


def test_every_obstacle_has_words_of_its_own() -> None:
    assert len({not_ready(one, "auth.requests") for one in Obstacle}) == len(Obstacle)


def test_identity_is_judged_without_a_topic() -> None:
    assert identity_obstacle(OWN, SCHEDULE) is None
    assert identity_obstacle(replace(OWN, leaf_ends_at=NOW), SCHEDULE) is Obstacle.LEAF_ENDED

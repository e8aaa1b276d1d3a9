"""Which keys are used for sending, which are kept, and what a keyring refuses to hold."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from message_scene import (
    EPOCH,
    KEY,
    NOW,
    OTHER_KEY,
    SCHEDULE,
    SKEW,
    TOPIC,
    topic_key,
    topic_ring,
    verify_key,
    verify_ring,
)

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import (
    MalformedMessageError,
    NotPermittedError,
    UnknownKeyError,
)
from securetransport.core.base.names import InstanceId, ServiceId, Topic
from securetransport.core.formats.service_bundle import TopicKey

OTHER_TOPIC = Topic("auth.grants")


def epoch(offset: int) -> EpochNumber:
    return EpochNumber(EPOCH + offset)


def test_the_current_epochs_highest_generation_is_sent_with() -> None:
    ring = topic_ring(topic_key(), topic_key(generation=2), topic_key(generation=1))
    key = ring.for_sending(TOPIC, NOW, SKEW)
    assert key.generation == 2
    assert not ring.is_fallback(key, NOW)


def test_without_the_current_key_the_newest_older_one_is_a_fallback() -> None:
    ring = topic_ring(topic_key(epoch(-2)), topic_key(epoch(-1)), topic_key(epoch(1)))
    key = ring.for_sending(TOPIC, NOW, SKEW)
    assert key.epoch == EPOCH - 1
    assert ring.is_fallback(key, NOW)


def test_a_coming_key_is_not_used_before_its_epoch() -> None:
    ring = topic_ring(topic_key(epoch(1)))
    with pytest.raises(UnknownKeyError):
        ring.for_sending(TOPIC, NOW, SKEW)
    key = ring.for_sending(TOPIC, SCHEDULE.start_of(epoch(1)), SKEW)
    assert key.epoch == EPOCH + 1


def test_a_fallback_that_a_receiver_could_see_as_expired_is_not_used() -> None:
    ring = topic_ring(topic_key())
    end = SCHEDULE.expiry_of(EPOCH)
    little = timedelta(microseconds=1)
    assert ring.for_sending(TOPIC, end - SKEW - little, SKEW).epoch == EPOCH
    with pytest.raises(UnknownKeyError):
        ring.for_sending(TOPIC, end - SKEW, SKEW)


@given(
    st.sets(st.integers(-8, 3), max_size=6),
    st.timedeltas(timedelta(minutes=-30), timedelta(minutes=30)),
    st.timedeltas(timedelta(0), timedelta(minutes=10)),
)
def test_what_is_sent_with_is_always_valid_and_never_early(
    offsets: set[int], shift: timedelta, skew: timedelta
) -> None:
    ring = topic_ring(*(topic_key(epoch(offset)) for offset in offsets))
    at: datetime = NOW + shift
    try:
        key = ring.for_sending(TOPIC, at, skew)
    except UnknownKeyError:
        held = {epoch(offset) for offset in offsets}
        current = SCHEDULE.number_at(at)
        assert not {item for item in held if item <= current and SCHEDULE.is_valid(item, at + skew)}
        return
    assert SCHEDULE.is_valid(key.epoch, at)
    # No newer key that could have been used was passed over.
    assert not [o for o in offsets if key.epoch < epoch(o) <= SCHEDULE.number_at(at)]


def test_older_keys_stay_for_late_readers_until_pruned() -> None:
    ring = topic_ring(topic_key(epoch(-1)), topic_key())
    ring.replace([topic_key(generation=1), topic_key(epoch(1))])
    for key in (topic_key(epoch(-1)), topic_key(), topic_key(generation=1), topic_key(epoch(1))):
        assert ring.key(TOPIC, key.epoch, key.generation) == key
    retention = timedelta(hours=2)
    assert ring.prune(SCHEDULE.start_of(epoch(-1)) + retention, retention) == 1
    with pytest.raises(UnknownKeyError):
        ring.key(TOPIC, epoch(-1), 0)
    assert ring.key(TOPIC, EPOCH, 0) == topic_key()


def test_a_topic_that_is_no_longer_given_is_forgotten() -> None:
    ring = topic_ring(topic_key(), topic_key(topic=OTHER_TOPIC))
    ring.replace([topic_key(epoch(1))])
    assert ring.key(TOPIC, EPOCH, 0) == topic_key()
    with pytest.raises(UnknownKeyError):
        ring.key(OTHER_TOPIC, EPOCH, 0)


def test_a_wrong_key_changes_nothing() -> None:
    ring = topic_ring(topic_key())
    short = TopicKey(topic=TOPIC, epoch=EPOCH, generation=1, secret=b"short")
    with pytest.raises(MalformedMessageError) as caught:
        ring.replace([topic_key(generation=5), short])
    assert "short" not in str(caught.value)
    assert ring.for_sending(TOPIC, NOW, SKEW).generation == 0


def test_missing_names_topics_without_a_key_of_the_current_epoch() -> None:
    ring = topic_ring(topic_key(), topic_key(epoch(-1), topic=OTHER_TOPIC))
    assert ring.missing([TOPIC, OTHER_TOPIC, Topic("a.b")], NOW) == ["a.b", OTHER_TOPIC]


# --- verify keys --------------------------------------------------------------------------------


def test_a_verify_key_is_found_by_its_id() -> None:
    ring = verify_ring(verify_key(), verify_key())
    assert KEY.key_id in ring
    assert len(ring) == 1
    assert ring.get(KEY.key_id).public_key == KEY.public_key
    assert OTHER_KEY.key_id not in ring
    with pytest.raises(UnknownKeyError):
        ring.get(OTHER_KEY.key_id)


def test_a_verify_key_under_a_wrong_id_or_service_is_refused() -> None:
    wrong = verify_key().model_copy(update={"key_id": OTHER_KEY.key_id})
    foreign = verify_key(service=ServiceId("metadata"))
    for key in (wrong, foreign):
        with pytest.raises(MalformedMessageError):
            verify_ring(key)


def test_a_verify_key_does_not_change_hands() -> None:
    ring = verify_ring(verify_key())
    with pytest.raises(NotPermittedError):
        ring.add(verify_key(instance=InstanceId("gatekeeper/2")))
    with pytest.raises(NotPermittedError):
        ring.add(verify_key(epoch=epoch(1)))
    assert ring.get(KEY.key_id).instance == "gatekeeper/1"


def test_verify_keys_of_long_past_epochs_are_forgotten() -> None:
    ring = verify_ring(verify_key(), verify_key(OTHER_KEY, epoch=epoch(-3)))
    retention = timedelta(hours=1)
    assert ring.prune(SCHEDULE.start_of(epoch(-3)) + retention, SCHEDULE, retention) == 1
    assert KEY.key_id in ring
    assert OTHER_KEY.key_id not in ring

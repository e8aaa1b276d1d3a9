"""Enrolled keys: whose a key is follows from its path, and a key that lies is left out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import structlog
from authority_desk import GATEKEEPER, PROFILE, Desk
from enrolments import SCHEDULE, Enrolled

from securetransport.core.base import names
from securetransport.core.base.errors import UnknownKeyError
from securetransport.core.base.names import InstanceId, KeyId
from securetransport.core.crypto.signing import generate_signing_key
from securetransport.metadata.enrolled import MOST_ENROLMENTS, EnrolledKeys

LONGEST_WAIT = timedelta(hours=1)


def keys_of(desk: Desk) -> EnrolledKeys:
    return EnrolledKeys(desk.store, PROFILE)


async def test_a_new_key_is_found_by_name_and_by_refresh(desk: Desk) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = keys_of(desk)
    found = await keys.find(GATEKEEPER, member.key.key_id, desk.clock.now())
    assert found.public_key == member.key.public_key
    other = keys_of(desk)
    await other.refresh(desk.clock.now(), LONGEST_WAIT)
    assert [key.key_id for key in other.keys] == [member.key.key_id]


async def test_a_key_is_not_lent_to_a_sibling(desk: Desk) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    with pytest.raises(UnknownKeyError):
        await keys.find(InstanceId("gatekeeper/2"), member.key.key_id, desk.clock.now())


@pytest.mark.parametrize(
    "changes",
    [
        {"instance": InstanceId("gatekeeper/2")},
        {"service": "auth-controller"},
        {"key_id": "00" * 16},
    ],
    ids=["instance", "service", "key id"],
)
async def test_an_enrolment_that_says_something_else_than_its_path_is_left_out(
    desk: Desk, changes: dict[str, Any]
) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    value = member.value(**changes)
    path = names.kv_enrolled_key(GATEKEEPER, member.key.key_id)
    await desk.store.kv_put(path, value, cas=0)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert keys.keys == ()


@pytest.mark.parametrize("proof", [None, "\u00e4", "AAA", ""])
async def test_an_enrolment_signed_by_another_key_is_left_out(
    desk: Desk, proof: str | None
) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    value, other = member.value(), Enrolled(GATEKEEPER, desk.clock, generate_signing_key())
    value["proof"] = other.value()["proof"] if proof is None else proof
    path = names.kv_enrolled_key(GATEKEEPER, member.key.key_id)
    await desk.store.kv_put(path, value, cas=0)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert keys.keys == ()
    with pytest.raises(UnknownKeyError):
        await keys.find(GATEKEEPER, member.key.key_id, desk.clock.now())


@pytest.mark.parametrize("epoch", [10**15, -(10**15), -1, 10**30])
async def test_an_enrolment_for_an_absurd_epoch_is_left_out(desk: Desk, epoch: int) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    path = names.kv_enrolled_key(GATEKEEPER, member.key.key_id)
    await desk.store.kv_put(path, member.value(epoch=epoch), cas=0)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert keys.keys == ()
    with pytest.raises(UnknownKeyError):
        await keys.find(GATEKEEPER, member.key.key_id, desk.clock.now())


def ids(keys: EnrolledKeys) -> set[KeyId]:
    return {key.key_id for key in keys.keys}


async def listed(desk: Desk, member: Enrolled) -> None:
    """What the authority writes when it lists a key; no member may write there."""
    await desk.store.kv_put(names.kv_directory_entry(member.key.key_id), {"entry": {}}, cas=0)


async def test_an_instance_that_runs_for_a_week_keeps_every_key(desk: Desk) -> None:
    """One key per epoch is normal operation, however many messages may wait for."""
    keys, wait = keys_of(desk), timedelta(days=7)
    made: set[KeyId] = set()
    for _ in range(300):
        member = Enrolled(GATEKEEPER, desk.clock)
        await member.enrol(desk.store)
        await listed(desk, member)
        made.add(member.key.key_id)
        await keys.refresh(desk.clock.now(), wait)
        assert member.key.key_id in ids(keys)
        desk.clock.advance(PROFILE.key_period)
    assert ids(keys) == made
    after = keys_of(desk)
    await after.refresh(desk.clock.now(), wait)
    assert ids(after) == made, "a restart reads them all at once"


async def test_what_an_instance_enrols_beyond_its_quota_harms_itself_alone(desk: Desk) -> None:
    keys = keys_of(desk)
    first, sibling = Enrolled(GATEKEEPER, desk.clock), Enrolled(InstanceId("a/1"), desk.clock)
    for member in (first, sibling):
        await member.enrol(desk.store)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    for _ in range(MOST_ENROLMENTS + 5):
        await Enrolled(GATEKEEPER, desk.clock).enrol(desk.store)
    following = Enrolled(GATEKEEPER, desk.clock)
    await following.enrol(desk.store, epoch=SCHEDULE.number_at(desk.clock.now()) + 1)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    held = ids(keys)
    assert len(held) == MOST_ENROLMENTS + 2
    assert {each.key.key_id for each in (first, sibling, following)} <= held
    assert [line["event"] for line in lines] == ["enrolments_over_quota"]
    beyond = Enrolled(GATEKEEPER, desk.clock)
    await beyond.enrol(desk.store)
    with pytest.raises(UnknownKeyError):
        await keys.find(GATEKEEPER, beyond.key.key_id, desk.clock.now())


async def test_a_listed_key_stays_through_a_restart_whatever_was_enrolled_since(
    desk: Desk,
) -> None:
    """Before, which keys stayed was by their ids, which are random."""
    honest = [Enrolled(GATEKEEPER, desk.clock) for _ in range(3)]
    for member in honest:
        await member.enrol(desk.store)
        await listed(desk, member)
    desk.clock.advance(1)
    for _ in range(300):
        await Enrolled(GATEKEEPER, desk.clock).enrol(desk.store)
    keys = keys_of(desk)
    seen = len(desk.store.calls)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    read = [path for name, path in desk.store.calls[seen:] if name == "kv_get"]
    assert len(read) < 80, "what is new is read by parts"
    for _ in range(5):
        await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert {member.key.key_id for member in honest} <= ids(keys)
    assert len(ids(keys)) == MOST_ENROLMENTS


async def test_of_too_many_new_keys_the_newest_are_taken(desk: Desk) -> None:
    """The process that runs made the last one; those before it are gone."""
    for _ in range(MOST_ENROLMENTS + 5):
        last = Enrolled(GATEKEEPER, desk.clock)
        await last.enrol(desk.store)
        desk.clock.advance(0.01)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert last.key.key_id in ids(keys)


async def test_a_key_of_a_past_epoch_is_taken_only_when_it_was_listed(desk: Desk) -> None:
    unlisted, known = Enrolled(GATEKEEPER, desk.clock), Enrolled(GATEKEEPER, desk.clock)
    for member in (unlisted, known):
        await member.enrol(desk.store)
    await listed(desk, known)
    desk.clock.advance(PROFILE.key_period + PROFILE.key_lead + PROFILE.clock_skew)
    keys = keys_of(desk)
    assert await keys.find(GATEKEEPER, known.key.key_id, desk.clock.now())
    with pytest.raises(UnknownKeyError):
        await keys.find(GATEKEEPER, unlisted.key.key_id, desk.clock.now())
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert ids(keys) == {known.key.key_id}


@pytest.mark.parametrize("off", [timedelta(hours=2), -timedelta(hours=2)])
async def test_a_key_that_a_wrong_clock_refused_is_taken_when_it_is_right_again(
    desk: Desk, off: timedelta
) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now() + off, LONGEST_WAIT)
    assert not ids(keys)
    seen = len(desk.store.calls)
    await keys.refresh(desk.clock.now() + off, LONGEST_WAIT)
    assert "kv_get" not in [name for name, _ in desk.store.calls[seen:]]
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert ids(keys) == {member.key.key_id}


async def test_a_key_is_enrolled_for_the_current_and_the_next_epoch_only(desk: Desk) -> None:
    current = SCHEDULE.number_at(desk.clock.now() + PROFILE.clock_skew)
    keys = keys_of(desk)
    for ahead, is_taken in ((1, True), (2, False)):
        member = Enrolled(GATEKEEPER, desk.clock)
        await member.enrol(desk.store, epoch=current + ahead)
        await keys.refresh(desk.clock.now(), LONGEST_WAIT)
        assert (member.key.key_id in {key.key_id for key in keys.keys}) == is_taken


@pytest.mark.parametrize("value", [{}, {"key": 1, "proof": "x"}, {"key": {}, "proof": "AA=="}])
async def test_junk_below_a_members_path_harms_nobody_else(
    desk: Desk, value: dict[str, Any]
) -> None:
    await desk.store.kv_put(f"enroll/{GATEKEEPER}/junk", value, cas=0)
    await desk.store.kv_put("enroll/Not A Name/1/junk", value, cas=0)
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert [key.key_id for key in keys.keys] == [member.key.key_id]


async def test_a_refused_enrolment_is_read_once(desk: Desk) -> None:
    await desk.store.kv_put(f"enroll/{GATEKEEPER}/junk", {}, cas=0)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    seen = len(desk.store.calls)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert "kv_get" not in [name for name, _ in desk.store.calls[seen:]]


async def test_a_key_of_a_past_epoch_signs_nothing_but_stays_until_no_message_waits(
    desk: Desk,
) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    epoch = await member.enrol(desk.store)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    over = SCHEDULE.expiry_of(epoch) + PROFILE.clock_skew
    await keys.refresh(over, LONGEST_WAIT)
    with pytest.raises(UnknownKeyError):
        await keys.find(GATEKEEPER, member.key.key_id, over)
    assert len(keys.keys) == 1
    end = SCHEDULE.expiry_of(epoch) + LONGEST_WAIT
    await keys.refresh(end, LONGEST_WAIT)
    assert len(keys.keys) == 1, "OpenBao does not agree that it is so late"
    await keys.refresh(end, LONGEST_WAIT, agreed_at=end)
    assert keys.keys == ()
    path = names.kv_enrolled_key(GATEKEEPER, member.key.key_id)
    assert await desk.store.kv_get(path) is None


async def test_a_key_of_a_coming_epoch_is_unknown_before_its_lead(desk: Desk) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    epoch = await member.enrol(desk.store, epoch=SCHEDULE.number_at(desk.clock.now()) + 1)
    keys = keys_of(desk)
    begins = SCHEDULE.start_of(epoch) - PROFILE.key_lead - PROFILE.clock_skew
    with pytest.raises(UnknownKeyError):
        await keys.find(GATEKEEPER, member.key.key_id, begins - timedelta(seconds=1))
    assert await keys.find(GATEKEEPER, member.key.key_id, begins)


async def test_a_key_whose_enrolment_vanished_is_forgotten(desk: Desk) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = keys_of(desk)
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    await desk.store.kv_destroy(names.kv_enrolled_key(GATEKEEPER, member.key.key_id))
    await keys.refresh(desk.clock.now(), LONGEST_WAIT)
    assert keys.keys == ()

"""Enrolled keys: whose a key is follows from its path, and a key that lies is left out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from authority_desk import GATEKEEPER, PROFILE, Desk
from enrolments import SCHEDULE, Enrolled

from securetransport.core.base import names
from securetransport.core.base.errors import UnknownKeyError
from securetransport.core.base.names import InstanceId
from securetransport.core.crypto.signing import generate_signing_key
from securetransport.metadata.enrolled import EnrolledKeys

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

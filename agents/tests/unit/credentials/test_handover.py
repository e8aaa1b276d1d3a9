"""A secret-id changes hands: whatever ends when, the bao agent can always log in."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from handover_scene import ACL, INSTANCE, INTERVAL, PLACE, ROLE, Fate, Scene

from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.formats.deny_list import DenyList

pytestmark = pytest.mark.long

MOST_CALLS = 200


async def test_a_secret_id_is_replaced_at_its_interval_and_the_old_one_is_destroyed() -> None:
    scene = Scene()
    first = scene.secret_id()
    await scene.run(INTERVAL - timedelta(seconds=4))
    assert scene.secret_id() == first
    await scene.run(INTERVAL / 2)
    assert scene.secret_id() != first
    assert not scene.approles.is_valid(ROLE, first)
    assert len(scene.approles.accessors(ROLE)) == 1
    assert scene.files.mode(PLACE.secret_id) == 0o600


async def test_what_is_offered_is_wrapped_and_no_secret_lies_in_kv() -> None:
    scene = Scene()
    await scene.run(INTERVAL * 2)
    for path in (names.kv_offered_secret_id(INSTANCE), names.kv_proven_secret_id(INSTANCE)):
        entry = await scene.store.kv_get(path)
        assert entry is not None
        assert "secret-" not in str(entry.value)


async def test_nothing_is_minted_for_who_has_no_secret_id() -> None:
    scene = Scene()
    await scene.run(INTERVAL * 3)
    roles = {path for call, path in scene.store.calls if call == "write_wrapped"}
    assert roles == {f"auth/approle/role/{ROLE}/secret-id"}


async def test_an_instance_that_is_away_costs_one_offer_an_interval_and_none_piles_up() -> None:
    scene = Scene()
    for _ in range(100):
        await scene.authority.round(ACL, DenyList())
        scene.clock.advance(INTERVAL / 10)
    minted = [path for call, path in scene.store.calls if call == "write_wrapped"]
    assert 4 <= len(minted) <= 10
    assert len(scene.approles.accessors(ROLE)) <= 2
    await scene.run(INTERVAL * 2)
    assert scene.member.handovers >= 1
    assert len(scene.approles.accessors(ROLE)) == 1


async def test_without_the_authority_the_secret_id_lives_until_its_end() -> None:
    scene = Scene(life=INTERVAL * 5)
    for _ in range(100):
        with suppress(SecureTransportError):
            await scene.member.round()
        if scene.member.state()[0] != "ok":
            break
        assert scene.is_safe()
        scene.clock.advance(INTERVAL / 10)
    state, ends = scene.member.state()
    assert state == "over"
    assert ends is not None
    assert ends <= scene.clock.now()


async def test_a_dead_secret_id_is_told_and_a_delivered_one_taken_up() -> None:
    scene = Scene(life=INTERVAL * 5)
    scene.clock.advance(INTERVAL * 6)
    scene.start_member()
    await scene.member.round()
    assert scene.member.state()[0] == "refused"
    scene.deliver()
    await scene.run(INTERVAL * 3)
    assert scene.member.state()[0] == "ok"
    assert scene.member.handovers >= 1


async def test_a_full_disk_opens_nothing() -> None:
    scene = Scene()
    await scene.run(INTERVAL - timedelta(seconds=2))
    scene.files.is_full = True
    await scene.run(INTERVAL * 3)
    scene.files.is_full = False
    await scene.run(INTERVAL * 2)
    assert scene.member.handovers >= 1
    assert len(scene.approles.accessors(ROLE)) == 1


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("who", ["authority", "member"])
async def test_a_process_may_end_at_every_call(who: str, is_after: bool) -> None:
    """Kill it before or after each call of one handover; the next process goes on."""
    ended = 0
    for call in range(1, MOST_CALLS):
        scene = Scene()
        scene.clock.advance(INTERVAL - timedelta(seconds=4))
        fate = Fate(at=call, is_after=is_after)
        if who == "authority":
            scene.authority_dies = fate
            scene.start_authority()
        else:
            scene.member_dies = fate
            scene.start_member()
        await scene.run(timedelta(seconds=24), step=timedelta(seconds=4))
        is_reached = len(fate.calls) >= call
        await scene.run(INTERVAL * 3, step=timedelta(seconds=12))
        assert await scene.settles(), (call, fate.calls)
        assert scene.is_safe()
        if not is_reached:
            break
        ended += 1
    assert ended >= 15


async def test_both_may_end_again_and_again() -> None:
    for seed in range(12):
        scene = Scene()
        for number in range(12):
            scene.authority_dies = Fate(at=3 + (seed * 7 + number * 5) % 17, is_after=seed % 2 == 0)
            scene.start_authority()
            scene.member_dies = Fate(at=2 + (seed * 11 + number * 3) % 23, is_after=seed % 3 == 0)
            scene.start_member()
            await scene.run(INTERVAL / 2, step=timedelta(seconds=6))
        scene.authority_dies, scene.member_dies = Fate(), Fate()
        scene.start_authority()
        scene.start_member()
        await scene.run(INTERVAL * 9, step=timedelta(seconds=12))
        assert await scene.settles(), seed

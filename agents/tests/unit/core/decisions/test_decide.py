"""The rules of core.decisions.ca.decide, each by its number, on a simulated world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from world import START, World

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RotationError
from securetransport.core.base.profile import PROFILES
from securetransport.core.decisions.ca import gates, steps
from securetransport.core.decisions.ca.record import Holder, RotationRecord, lease_is_free
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.trust_bundle import EpochState

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world() -> World:
    """A platform with one member that has run for 30 s, so the current epoch is active."""
    made = World()
    made.authority()
    made.everybody_else()
    made.add_member("gatekeeper/1")
    made.run(30 * SECOND)
    assert made.active() == made.profile.ca_schedule.number_at(START)
    return made


def test_cold_start_needs_nobody_and_activates_at_once() -> None:
    """Rule 8."""
    world = World(watcher_works=False)
    world.authority()
    assert world.active() == world.profile.ca_schedule.number_at(START)
    assert world.published is not None
    assert world.published.bundle.active == world.active()


def test_ten_rotations_run_by_themselves(world: World) -> None:
    first = world.active()
    world.run(10 * MINUTE)
    assert world.active() == first + 10
    assert not world.record.excuses
    assert not world.problems


def test_activation_is_never_before_its_start(world: World) -> None:
    """Rule 3b."""
    world.run(5 * MINUTE)
    schedule = world.profile.ca_schedule
    for entry in world.record.epochs[1:]:
        activated = entry.entered(EpochState.ACTIVE)
        assert activated is None or activated >= schedule.start_of(entry.epoch)


def test_epoch_is_confirmed_before_its_start(world: World) -> None:
    """Rule 3a."""
    world.run(3 * MINUTE)
    active = world.record.active
    assert active is not None
    confirmed = active.entered(EpochState.CONFIRMED)
    assert confirmed is not None
    assert confirmed < world.profile.ca_schedule.start_of(active.epoch)


def test_a_keeper_that_does_not_attest_holds_the_rotation(world: World) -> None:
    """Rule 3a."""
    before = world.active()
    world.servers["nats-2"].keeper_works = False
    world.run(70 * SECOND)
    step = world.decide()
    assert world.active() == before
    assert isinstance(step, Wait)
    assert any("nats-2" in line for line in step.waits_for)


def test_a_member_that_does_not_follow_holds_the_rotation(world: World) -> None:
    before = world.active()
    world.members[0].follows = False
    world.run(70 * SECOND)
    step = world.decide()
    assert world.active() == before
    assert isinstance(step, Wait)
    assert any("gatekeeper/1" in line for line in step.waits_for)


def test_a_leaf_that_nobody_attested_holds_the_rotation(world: World) -> None:
    before = world.active()
    world.add_member("stranger/1", attests=False)
    world.run(70 * SECOND)
    step = world.decide()
    assert world.active() == before
    assert isinstance(step, Wait)
    assert any("not attested" in line for line in step.waits_for)


def test_evidence_is_asked_again_at_activation(world: World) -> None:
    """Rule 3b: confirmed is not enough; who connects in between must show its trust as well."""
    schedule = world.profile.ca_schedule
    following = EpochNumber(world.active() + 1)
    world.run(schedule.start_of(following) - world.now - 2 * SECOND)
    assert world.state_of(following) is EpochState.CONFIRMED
    world.members[0].follows = False
    world.members[0].bundle = world.published and world.published.bundle.model_copy(
        update={"digest": "another"}
    )
    world.run(10 * SECOND)
    assert world.state_of(following) is EpochState.CONFIRMED


def test_silent_watcher_is_unknown_not_yes(world: World) -> None:
    before = world.active()
    world.watcher_works = False
    world.run(70 * SECOND)
    assert world.active() == before


def test_deadline_lets_it_pass_and_names_what_was_missing(world: World) -> None:
    """Rule 7."""
    before = world.active()
    world.members[0].follows = False
    deadline = gates.deadline_of(world.record, world.profile)
    assert deadline is not None
    world.run(deadline - world.now + 5 * SECOND)
    assert world.active() > before
    assert any("gatekeeper/1" in line for line in world.record.excuses[-1].missing)


def test_a_server_that_is_gone_does_not_gate(world: World) -> None:
    before = world.active()
    world.servers["nats-3"].is_up = False
    world.run(2 * MINUTE)
    assert world.active() == before + 2
    assert not world.record.excuses


def test_demotion_waits_for_every_server_to_serve_the_active_epoch(world: World) -> None:
    """Rule 4."""
    schedule = world.profile.ca_schedule
    following = EpochNumber(world.active() + 1)
    world.run(schedule.start_of(following) - world.now - SECOND)
    stuck = world.servers["nats-1"]
    world.run(SECOND)
    stuck.keeper_works = False
    world.authority()
    world.run(5 * SECOND)
    assert world.active() == following
    assert not world.record.is_demoted
    stuck.keeper_works = True
    world.run(3 * SECOND)
    assert world.record.is_demoted


def test_a_server_that_the_report_does_not_name_holds_the_demotion(world: World) -> None:
    """Rule 4, gates rule 2: unknown is never yes."""
    schedule = world.profile.ca_schedule
    following = EpochNumber(world.active() + 1)
    world.run(schedule.start_of(following) - world.now)
    world.authority()
    assert world.active() == following
    world.everybody_else()
    world.reported = ("nats-1", "nats-2")
    step = world.authority()
    assert isinstance(step, Wait)
    assert step.step == "demote"
    assert step.waits_for == ("server nats-3: not in the watcher's report",)
    world.reported = ("nats-1", "nats-2", "nats-3")
    world.authority()
    assert world.record.is_demoted


def test_legacy_issuers_cannot_issue(world: World) -> None:
    """Rule 1."""
    world.run(3 * MINUTE)
    active = world.record.active
    assert active is not None
    assert active.issuer is not None
    able = [issuer.issuer_id for issuer in world.mount.values() if issuer.may_issue]
    assert able == [active.issuer.issuer_id]


def test_expired_issuers_leave_trust_and_mount(world: World) -> None:
    """Rule 5."""
    first = world.active()
    world.run(world.profile.ca_validity + MINUTE)
    assert world.state_of(first) is EpochState.DESTROYED
    assert f"id-e{first}-a1" not in world.mount
    assert world.published is not None
    assert first not in [entry.epoch for entry in world.published.bundle.issuers]


def test_three_legacy_epochs_and_the_active_one_stay_trusted(world: World) -> None:
    world.run(5 * MINUTE)
    assert world.published is not None
    states = [entry.state for entry in world.published.bundle.issuers]
    assert states.count(EpochState.LEGACY) >= 3
    assert states.count(EpochState.ACTIVE) == 1


def test_comes_back_after_everything_expired(world: World) -> None:
    world.members.clear()
    world.now += world.profile.ca_validity * 3
    world.run(10 * SECOND)
    assert world.active() == world.profile.ca_schedule.number_at(world.now)
    world.add_member("gatekeeper/1")
    before = world.active()
    world.run(2 * MINUTE)
    assert world.active() == before + 2
    assert len(world.mount) <= 6
    assert not world.problems


def test_a_restart_after_missed_epochs_goes_on_with_the_current_one(world: World) -> None:
    """Rules 3c and 6."""
    world.now += world.profile.ca_period * 2
    world.everybody_else()
    world.run(10 * SECOND)
    assert world.active() == world.profile.ca_schedule.number_at(world.now)


def test_a_crashed_preparation_is_adopted(world: World) -> None:
    schedule = world.profile.ca_schedule
    following = EpochNumber(world.active() + 1)
    world.run(schedule.start_of(following) - world.profile.ca_lead - world.now)
    step = world.decide()
    assert isinstance(step, steps.Plan)
    world.act(step)
    prepare = world.decide()
    assert isinstance(prepare, steps.Prepare)
    world.make_issuer(prepare.epoch)  # made in OpenBao, then the process died
    assert isinstance(world.decide(), steps.Adopt)
    world.run(30 * SECOND)
    assert world.active() == following
    assert len([name for name in world.mount if f"e{following}-" in name]) == 1


def _until_prepare(world: World) -> steps.Prepare:
    """Let time pass until the next epoch is to be made; its intent is in the record then."""
    following = EpochNumber(world.active() + 1)
    start = world.profile.ca_schedule.start_of(following)
    world.run(start - world.profile.ca_lead - world.now)
    step = world.decide()
    assert isinstance(step, steps.Plan)
    world.act(step)
    prepare = world.decide()
    assert isinstance(prepare, steps.Prepare)
    return prepare


def test_the_intent_is_recorded_before_openbao_is_touched(world: World) -> None:
    """Rule 3d: the name of what will be made is in the record while the mount is untouched."""
    before = dict(world.mount)
    prepare = _until_prepare(world)
    recorded = world.record.find(prepare.epoch.epoch)
    assert world.mount == before
    assert recorded is not None
    assert recorded.state is EpochState.PLANNED
    assert recorded.issuer_name == prepare.epoch.issuer_name


@pytest.mark.parametrize("effects", [0, 1, 2, 3])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_preparation_that_crashed_anywhere_leaves_nothing_nameless(
    world: World, effects: int, *, is_first: bool
) -> None:
    """Rules 1 and 3d: key, import, name, record; whatever was the last, it is one issuer's."""
    if is_first:
        world = World()
        step = world.decide()
        assert isinstance(step, steps.Plan)
        world.act(step)
    else:
        _until_prepare(world)
    prepare = world.decide()
    assert isinstance(prepare, steps.Prepare)
    known = {entry.issuer_name for entry in world.record.live()}
    world.make_issuer(prepare.epoch, effects)
    assert all(issuer.made_as in known for issuer in world.mount.values())
    world.authority()
    assert all(issuer.name in known for issuer in world.mount.values())
    world.everybody_else()
    world.run(30 * SECOND)
    assert world.active() == prepare.epoch.epoch
    named = [entry for entry in world.mount.values() if entry.name == prepare.epoch.issuer_name]
    assert len(named) == 1
    removed = [step for _at, step in world.steps if isinstance(step, steps.RemoveIssuer)]
    assert not removed, "what a crash left was thrown away"


def test_what_a_crash_left_may_not_sign_before_its_epoch_is_active(world: World) -> None:
    prepare = _until_prepare(world)
    world.make_issuer(prepare.epoch, effects=2)
    step = world.decide()
    assert isinstance(step, steps.NameIssuer)
    world.act(step)
    left = next(entry for entry in world.mount.values() if entry.name == step.name)
    assert not left.may_issue
    assert isinstance(world.decide(), steps.Adopt)


def test_a_leftover_without_its_key_is_removed_not_adopted(world: World) -> None:
    """Rule 3d: an issuer that can never sign is none."""
    prepare = _until_prepare(world)
    facts = world.make_issuer(prepare.epoch)
    left = world.mount[facts.issuer_id]
    world.mount[facts.issuer_id] = replace(left, key_id="", key_name="")
    step = world.decide()
    assert isinstance(step, steps.RemoveIssuer)
    world.act(step)
    assert isinstance(world.decide(), steps.Prepare)


def test_issuers_that_no_record_names_are_removed(world: World) -> None:
    """Rule 1."""
    stray = world.record.active
    assert stray is not None
    world.make_issuer(stray.model_copy(update={"epoch": 7, "attempt": 3}))
    step = world.decide()
    assert isinstance(step, steps.RemoveIssuer)
    assert step.issuer.name == "e7-a3"


def test_bundle_is_signed_again_before_it_expires(world: World) -> None:
    """Rule 2."""
    world.run(3 * MINUTE)
    for at, step in world.steps:
        if isinstance(step, steps.Publish):
            last = at
    assert world.now - last <= world.profile.leaf_validity / 2


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@example(downs=[("keeper", 301, 84), ("keeper", 387, 70)])  # retired issuers filled the mount
@given(
    downs=st.lists(
        st.tuples(
            st.sampled_from(["keeper", "server", "member", "watcher"]),
            st.integers(min_value=0, max_value=400),
            st.integers(min_value=1, max_value=120),
        ),
        max_size=6,
    )
)
def test_no_interruption_breaks_an_invariant(downs: list[tuple[str, int, int]]) -> None:
    """Whatever part is away for a while, the rotation is safe, and goes on afterwards."""
    world = World()
    world.authority()
    world.everybody_else()
    member = world.add_member("gatekeeper/1")
    for second in range(0, 540, 2):
        away = {what for what, start, length in downs if start <= second < start + length}
        world.servers["nats-1"].keeper_works = "keeper" not in away
        world.servers["nats-2"].is_up = "server" not in away
        member.follows = "member" not in away
        world.watcher_works = "watcher" not in away
        world.run(2 * SECOND, tick=2 * SECOND)
    world.run(2 * MINUTE, tick=2 * SECOND)
    assert not world.problems
    assert world.active() >= world.profile.ca_schedule.number_at(world.now) - 1


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(crashes=st.sets(st.integers(min_value=0, max_value=60), max_size=12))
def test_a_crash_after_any_step_is_resumed(crashes: set[int]) -> None:
    """A step that did not happen, or a preparation of which only its first effects did."""
    world = World()
    number = 0
    for _ in range(220):
        for _ in range(32):
            step = world.decide()
            if isinstance(step, Wait):
                break
            if number in crashes and isinstance(step, steps.Prepare):
                world.make_issuer(step.epoch, effects=number % 4)
            elif number not in crashes:
                world.act(step)
            number += 1
            world.check()
        world.everybody_else()
        world.now += 2 * SECOND
    assert world.active() == world.profile.ca_schedule.number_at(world.now - 2 * SECOND)
    assert not world.problems


def test_states_cannot_be_skipped() -> None:
    record = RotationRecord().planned(EpochNumber(5), START)
    entry = record.find(EpochNumber(5))
    assert entry is not None
    with pytest.raises(RotationError):
        entry.moved(EpochState.ACTIVE, START)


def test_a_silent_holder_loses_the_lease_only_after_its_end(world: World) -> None:
    record = world.record
    lease = 10 * SECOND
    assert lease_is_free(record, "metadata/2", START, lease)
    held = record.model_copy(
        update={
            "holder": Holder(instance="metadata/1", boot_id="b", accessor="a", renewed_at=START)
        }
    )
    assert not lease_is_free(held, "metadata/2", START + 9 * SECOND, lease)
    assert lease_is_free(held, "metadata/2", START + lease, lease)
    assert lease_is_free(held, "metadata/1", START, lease)


def test_profiles_keep_their_own_rules() -> None:
    for profile in PROFILES.values():
        assert profile.check() is profile

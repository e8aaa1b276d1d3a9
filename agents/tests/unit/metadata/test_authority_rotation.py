"""The CA rotation as a loop, on a store in memory: what a step writes and what a crash leaves."""

from __future__ import annotations

from typing import Any

import pytest
from authority_desk import Desk
from authority_scene import SERVERS, Scene

from securetransport.core.base import names
from securetransport.core.base.errors import ConflictError, SecureTransportError
from securetransport.core.crypto import x509
from securetransport.core.decisions.ca.decide import Wait
from securetransport.core.formats.trust_bundle import EpochState


@pytest.fixture
def scene(desk: Desk) -> Scene:
    return Scene(desk)


def words(scene: Scene) -> list[str]:
    return [word for word, _epoch, _detail in scene.steps]


async def test_a_cold_start_makes_an_active_issuer_in_one_round(scene: Scene) -> None:
    await scene.rotation.round()
    record = await scene.record()
    assert record.active is not None
    assert record.active.issuer is not None
    bundle = await scene.bundle()
    assert bundle.active == record.active.epoch
    assert scene.rotation.is_holder
    assert scene.published == len([word for word in words(scene) if word == "publish"])


async def test_the_active_issuer_signs_as_the_mounts_default_and_nobody_else_does(
    scene: Scene,
) -> None:
    await scene.rotation.round()
    record = await scene.record()
    assert record.active is not None
    assert record.active.issuer is not None
    held = scene.mounts.issuers[scene.mounts.default]
    assert held["issuer_name"] == record.active.issuer_name
    assert "issuing-certificates" in held["usage"]
    assert held["leaf_not_after_behavior"] == "err"
    described = x509.describe(x509.pem_to_der(held["certificate"]))
    assert described.is_ca
    assert described.not_after == record.active.issuer.not_after


async def test_a_rotation_under_followers_demotes_the_one_before(scene: Scene) -> None:
    await scene.run(lambda: words(scene).count("demote") >= 2)
    record = await scene.record()
    assert record.completed >= 1
    legacy = record.in_states({EpochState.LEGACY})[-1]
    usages = {entry["issuer_name"]: entry["usage"] for entry in scene.mounts.issuers.values()}
    assert "issuing-certificates" not in usages[legacy.issuer_name]
    assert record.renewal is not None
    assert record.active is not None
    assert record.renewal.epoch == record.active.epoch
    assert not record.excuses


async def test_without_evidence_the_rotation_waits_and_names_each_server(scene: Scene) -> None:
    await scene.run(lambda: words(scene).count("demote") >= 1)
    for server in SERVERS:
        await scene.desk.store.kv_destroy(names.kv_keeper_attestation(server))
    waits: list[Wait] = []
    for _ in range(70):
        await scene.rotation.round()
        await scene.follow(keepers_say=False)
        scene.desk.clock.advance(1)
        state = scene.rotation.state
        assert state is not None
        if isinstance(state.step, Wait) and state.step.step == "confirm":
            waits.append(state.step)
            assert state.waiting_since is not None
    assert waits
    for server in SERVERS:
        assert any(server in line for line in waits[-1].waits_for)


async def test_a_second_instance_stands_by_and_takes_over_where_the_first_stopped(
    desk: Desk, scene: Scene
) -> None:
    await scene.rotation.round()
    second = Scene(desk, number=2, pki=scene.mounts)
    await second.rotation.round()
    assert second.rotation.is_standby
    assert not second.rotation.is_holder
    assert second.steps == []
    desk.clock.advance(10)
    await second.rotation.round()
    assert second.rotation.is_holder
    assert len(scene.mounts.issuers) == 1


async def test_a_released_lease_lets_the_other_act_at_once(desk: Desk, scene: Scene) -> None:
    await scene.rotation.round()
    await scene.rotation.release()
    second = Scene(desk, number=2, pki=scene.mounts)
    await second.rotation.round()
    assert second.rotation.is_holder


@pytest.mark.parametrize(
    "ending",
    [
        "generate/intermediate/internal",
        "root/sign-intermediate",
        "intermediate/set-signed",
        "issuer/issuer-2",
        "config/issuers",
    ],
)
async def test_a_step_that_fails_in_openbao_is_done_by_a_later_round(
    scene: Scene, ending: str
) -> None:
    scene.mounts.fail_on.append(ending)
    with pytest.raises(SecureTransportError, match="refused"):
        await scene.rotation.round()
    await scene.rotation.round()
    record = await scene.record()
    assert record.active is not None
    assert len(scene.mounts.issuers) == 1
    assert len(scene.mounts.keys) == 1, "keys of the failed preparation must not stay"


async def test_a_lost_compare_and_swap_ends_the_round_without_a_step(
    desk: Desk, scene: Scene
) -> None:
    put = desk.store.kv_put

    async def overtaken(path: str, value: dict[str, Any], *, cas: int) -> int:
        if path == names.KV_CA_RECORD and value["record"].count('"epoch"'):
            raise ConflictError("compare-and-swap lost", path=path)
        return await put(path, value, cas=cas)

    desk.store.kv_put = overtaken  # type: ignore[method-assign]
    await scene.rotation.round()
    assert "plan" not in words(scene)


async def test_a_keepers_statement_that_is_none_is_unknown(scene: Scene) -> None:
    await scene.rotation.round()
    path = names.kv_keeper_attestation("nats-1")
    await scene.desk.store.kv_put(path, {"attestation": {"server": 1}}, cas=0)
    await scene.desk.store.kv_put(names.kv_keeper_attestation("nats-2"), {}, cas=0)
    await scene.rotation.round()
    state = scene.rotation.state
    assert state is not None
    assert state.observation.keepers == {"nats-1": None, "nats-2": None}


async def test_a_damaged_trust_bundle_is_an_alarm(scene: Scene) -> None:
    await scene.rotation.round()
    entry = await scene.desk.store.kv_get(names.KV_TRUST_BUNDLE)
    assert entry is not None
    await scene.desk.store.kv_put(names.KV_TRUST_BUNDLE, {"document": "AAAA"}, cas=entry.cas)
    with pytest.raises(SecureTransportError):
        await scene.rotation.round()


async def test_an_issuer_that_no_record_names_is_removed_with_its_key(scene: Scene) -> None:
    await scene.rotation.round()
    handle = scene.mounts.handle
    path = "nats_int/issuers/generate/intermediate/internal"
    csr = await handle("write", path, {"common_name": "x"})
    assert csr is not None
    not_after = scene.desk.clock.now().replace(year=2030).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = await handle(
        "write",
        "pki/root/sign-intermediate",
        {
            "csr": csr["csr"],
            "common_name": "x",
            "not_before_duration": 30,
            "not_after": not_after,
            "max_path_length": 0,
        },
    )
    assert signed is not None
    await handle("write", "nats_int/intermediate/set-signed", signed)
    assert len(scene.mounts.issuers) == 2
    await scene.rotation.round()
    assert len(scene.mounts.issuers) == 1
    assert len(scene.mounts.keys) == 1
    assert "remove_issuer" in words(scene)


async def test_while_openbao_is_away_nothing_is_decided(scene: Scene) -> None:
    await scene.rotation.round()
    before = list(scene.steps)
    scene.desk.store.is_available = False
    with pytest.raises(SecureTransportError):
        await scene.rotation.round()
    scene.desk.store.is_available = True
    await scene.rotation.round()
    assert scene.steps == before


async def test_a_crash_before_the_naming_is_finished_and_not_thrown_away(scene: Scene) -> None:
    scene.mounts.fail_on.append("issuer/issuer-2")
    with pytest.raises(SecureTransportError):
        await scene.rotation.round()
    await scene.rotation.round()
    assert "adopt" in words(scene)
    assert "remove_issuer" not in words(scene)


async def test_what_the_record_names_is_what_leaves_are_judged_by(scene: Scene) -> None:
    await scene.rotation.round()
    await scene.rotation.round()
    record = await scene.record()
    assert record.active is not None
    assert list(scene.evidence._issuers) == [record.active.issuer]


@pytest.mark.parametrize("is_overtaken", [False, True], ids=["standby", "lost the record"])
async def test_who_acts_again_looks_at_the_mount_anew(
    desk: Desk, scene: Scene, *, is_overtaken: bool
) -> None:
    await scene.rotation.round()
    desk.clock.advance(10)
    second = Scene(desk, number=2, pki=scene.mounts)
    await second.rotation.round()
    scene.mounts.issuers[scene.mounts.default]["usage"] = "read-only"  # while another one acts
    if is_overtaken:
        desk.clock.advance(10)
        desk.store.failures.append(ConflictError("compare-and-swap lost"))
    await scene.rotation.round()
    assert not scene.rotation.is_holder or is_overtaken
    desk.clock.advance(10)
    await scene.rotation.round()
    assert scene.rotation.is_holder
    assert "issuing-certificates" in scene.mounts.issuers[scene.mounts.default]["usage"]

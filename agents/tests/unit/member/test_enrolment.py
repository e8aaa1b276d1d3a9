"""Signing keys of an instance over an OpenBao in memory."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from securetransport.core.base.errors import SecretStoreUnavailableError, UnknownKeyError
from securetransport.core.base.names import InstanceId
from securetransport.core.base.pae import pae
from securetransport.core.base.profile import PROFILES
from securetransport.core.crypto import signing
from securetransport.core.formats.directory import VerifyKey
from securetransport.member.enrolment import ENROL_TYPE, SigningKeys
from securetransport.member.telemetry import SessionTelemetry
from securetransport.testing import FakeClock, FakeSecretStore

PROFILE = PROFILES["compressed"]
ME = InstanceId("gatekeeper/1")


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeSecretStore(self.clock)
        self.registry = CollectorRegistry()
        self.keys = SigningKeys(
            self.store, ME, PROFILE, self.clock, SessionTelemetry(self.registry)
        )

    async def enrolled(self) -> list[VerifyKey]:
        found = []
        for key_id in await self.store.kv_list(f"enroll/{ME}"):
            entry = await self.store.kv_get(f"enroll/{ME}/{key_id}")
            assert entry is not None
            key = VerifyKey.model_validate(entry.value["key"])
            proof = base64.b64decode(entry.value["proof"])
            signing.verify(key.algorithm, key.public_key, pae(ENROL_TYPE, key.to_bytes()), proof)
            found.append(key)
        return sorted(found, key=lambda key: key.epoch)

    def to_the_next_lead(self) -> None:
        schedule, now = PROFILE.key_schedule, self.clock.now()
        self.clock.advance(schedule.end_of(schedule.number_at(now)) - PROFILE.key_lead - now)


async def test_key_of_this_epoch_is_enrolled_with_a_proof_that_it_is_held() -> None:
    scene = Scene()
    await scene.keys.reconcile()
    found = await scene.enrolled()
    assert [key.epoch for key in found] == [PROFILE.key_schedule.number_at(scene.clock.now())]
    assert scene.keys.for_signing(must_be_listed=False).key_id == found[0].key_id


async def test_next_key_is_enrolled_within_its_lead_and_not_used_before_its_start() -> None:
    scene = Scene()
    await scene.keys.reconcile()
    first = scene.keys.for_signing(must_be_listed=False)
    scene.to_the_next_lead()
    await scene.keys.reconcile()
    assert len(await scene.enrolled()) == 2
    assert scene.keys.for_signing(must_be_listed=False) is first
    scene.clock.advance(PROFILE.key_lead)
    assert scene.keys.for_signing(must_be_listed=False) is not first


async def test_messages_are_signed_only_by_a_key_that_the_directory_lists() -> None:
    scene = Scene()
    await scene.keys.reconcile()
    assert not scene.keys.is_listed()
    with pytest.raises(UnknownKeyError, match="listed"):
        scene.keys.for_signing()
    scene.keys.know_listed(frozenset(scene.keys.enrolled))
    assert scene.keys.is_listed()
    assert scene.keys.for_signing().key_id in scene.keys.enrolled


async def test_key_whose_epoch_is_over_never_signs() -> None:
    scene = Scene()
    await scene.keys.reconcile()
    scene.keys.know_listed(frozenset(scene.keys.enrolled))
    scene.clock.advance(PROFILE.key_validity)
    assert not scene.keys.is_listed()
    with pytest.raises(UnknownKeyError):
        scene.keys.for_signing()
    with pytest.raises(UnknownKeyError):
        scene.keys.for_signing(must_be_listed=False)


async def test_key_whose_epoch_is_over_is_forgotten_although_openbao_is_away() -> None:
    scene = Scene()
    await scene.keys.reconcile()
    scene.clock.advance(PROFILE.key_validity)
    scene.store.is_available = False
    with pytest.raises(SecretStoreUnavailableError):
        await scene.keys.reconcile()
    assert not scene.keys.enrolled


async def test_enrolment_whose_answer_was_lost_is_not_made_again() -> None:
    scene = Scene()

    class LosesAnswers(FakeSecretStore):
        async def kv_put(self, path: str, value: dict[str, object], *, cas: int) -> int:
            await super().kv_put(path, value, cas=cas)
            raise SecretStoreUnavailableError("answer lost")

    losing = LosesAnswers(scene.clock)
    losing._content = scene.store._content
    scene.keys._store = losing
    with pytest.raises(SecretStoreUnavailableError):
        await scene.keys.reconcile()
    assert not scene.keys.enrolled
    scene.keys._store = scene.store
    await scene.keys.reconcile()
    assert [key.key_id for key in await scene.enrolled()] == list(scene.keys.enrolled)


async def test_failed_enrolment_is_tried_again_with_the_same_key() -> None:
    scene = Scene()
    scene.store.failures = [SecretStoreUnavailableError("away")]
    with pytest.raises(SecretStoreUnavailableError):
        await scene.keys.reconcile()
    await scene.keys.reconcile()
    scene.clock.advance(timedelta(seconds=1))
    await scene.keys.reconcile()
    assert len(await scene.enrolled()) == 1
    count = scene.registry.get_sample_value
    assert count("securetransport_enrolments_total", {"result": "failed"}) == 1
    assert count("securetransport_enrolments_total", {"result": "done"}) == 1
